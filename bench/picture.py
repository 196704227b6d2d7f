"""The waits of a simulation, drawn: for each site, the part of jobs that waited no longer than so many seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bench.waits import Wait

_SHORTEST_SECONDS = 1.0
"""Where the axis begins; whoever waited less is in the curve's first height."""

_COLUMNS = 2


def draw(sites: Mapping[str, Mapping[str, Sequence[Wait]]], path: Path) -> None:
    """Write a picture with a panel for each site and a curve for each policy; the axis of seconds is logarithmic."""
    rows = -(-len(sites) // _COLUMNS)
    figure = Figure(figsize=(11, 4 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, _COLUMNS, squeeze=False, sharey=True)
    for panel, (site, policies) in zip(panels.flat, sites.items(), strict=False):
        for policy, waits in policies.items():
            seconds = sorted(max(it.seconds, _SHORTEST_SECONDS) for it in waits)
            parts = [rank / len(seconds) for rank in range(1, len(seconds) + 1)]
            panel.step(seconds, parts, where="post", label=policy)
        panel.set(title=site, xscale="log", xlim=(_SHORTEST_SECONDS, None), ylim=(0, 1), xlabel="seconds waited")
        panel.grid(visible=True, alpha=0.3)
    panels[0][0].set_ylabel("part of jobs")
    panels[0][0].legend(loc="lower right")
    figure.savefig(path, dpi=120)
