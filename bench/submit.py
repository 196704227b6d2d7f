"""What the plugins cost at a submit: `make bench BENCH=submit` (root).

Every sbatch is paired with one of a job without directives against a slurmctld without any of ours, right before it,
and with the one of its floor in the same shuffled group, so that a busy moment of the machine falls on both; a ratio is
the median over all pairs, and with it stands, as `_low` and `_high`, between which two of the pairs' ratios their true
median lies with 95 %. One process that has become alice starts them all. The jobs may not begin before tomorrow, so
nothing but submitting happens.

The floor is what no script of anybody's can go below: Slurm's two Lua plugins with functions that only return, the
same SPANK plugin given the same options, and a job_submit that sets two constant lines. By itself it costs more than
1.05 of a plain submit on 22.05, so 1.05 of plain is a bar for other people's jobs, and jobs with directives have theirs
over the floor (docs/decisions/0006-submit-bar.md). The issue's own limit is printed beside the ratios over plain.
"""

from __future__ import annotations

import json
import math
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.controllers import SPANK, Controller, Lua, controllers
from bench.report import Bar, Report, publish
from sandbox import cell
from sandbox.accounts import ALICE

ROUNDS = 10
PAIRS = 100
RPC_BLOCKS = 15
RPC_SUBMITS = 20
LIMIT_RATIO = 1.05
BARS = {"no_directives_ratio": LIMIT_RATIO, "lines_over_floor_ratio": LIMIT_RATIO, "options_over_floor_ratio": 1.08}
"""docs/decisions/0006-submit-bar.md says what each is measured against, and why."""
OURS = ("options", "lines", "no_directives")
NO_DIRECTIVES = "#!/bin/sh\nhostname\n"
LINES = "#!/bin/sh\n#AMLFS stage_in prefix=/genomics/run7/\n#AMLFS stage_out prefix=/jobs/run7/\nhostname\n"
OPTIONS = "#!/bin/sh\n#SBATCH --amlfs-import=/genomics/run7/\n#SBATCH --amlfs-export=/jobs/run7/\nhostname\n"


@dataclass(frozen=True, slots=True)
class Kind:
    """A job script submitted to one of the controllers."""

    name: str
    controller: str
    script: str


PLAIN = Kind("plain", "plain", NO_DIRECTIVES)
KINDS = (
    Kind("options", "ours", OPTIONS),
    Kind("floor_options", "floor", OPTIONS),
    Kind("lines", "ours", LINES),
    Kind("floor_lines", "floor", LINES),
    Kind("no_directives", "ours", NO_DIRECTIVES),
    Kind("floor_no_directives", "floor", NO_DIRECTIVES),
)


def main() -> int:
    """Measure, print and write the report."""
    if not cell.inside():
        raise SystemExit("bench submit: run it by make bench BENCH=submit, which gives it a machine of its own")
    if not SPANK.exists():
        raise SystemExit(f"bench submit: {SPANK} is not there; make setup builds it")
    kinds = {"plain": Lua.NONE, "floor": Lua.EMPTY, "ours": Lua.OURS}
    with tempfile.TemporaryDirectory() as name, controllers(Path(name), kinds) as found:
        scripts = _write_scripts(Path(name))
        figures: dict[str, float] = {}
        measured = _measure(found, scripts)
        for kind, pairs in measured.items():
            figures[f"{kind}_ms"] = statistics.median(mine for mine, _ in pairs)
            figures[f"{kind}_beside_plain_ms"] = statistics.median(plain for _, plain in pairs)
            figures |= _median(f"{kind}_ratio", [mine / plain for mine, plain in pairs])
        figures |= _rpc_figures(_measure_rpc(found, scripts))
    for kind in OURS:
        both = zip(measured[kind], measured[f"floor_{kind}"], strict=True)
        figures |= _median(f"{kind}_over_floor_ratio", [ours / floor for (ours, _), (floor, _) in both])
    figures["issue_limit_over_plain_ratio"] = LIMIT_RATIO
    return publish(Report("submit", figures, [Bar(name, figures[name], limit) for name, limit in BARS.items()]))


def _median(name: str, values: Sequence[float]) -> dict[str, float]:
    """Give the median, and the order statistics between which that of all such submits lies with 95 %."""
    ordered = sorted(values)
    reach = 1.96 * math.sqrt(len(ordered)) / 2
    low = max(0, math.floor(len(ordered) / 2 - reach))
    high = min(len(ordered) - 1, math.ceil(len(ordered) / 2 + reach))
    return {name: statistics.median(ordered), f"{name}_low": ordered[low], f"{name}_high": ordered[high]}


def _rpc_figures(blocks: list[dict[str, float]]) -> dict[str, float]:
    """Give each kind's microseconds in slurmctld, and what ours takes more than the floor in the same block."""
    figures = {f"{kind}_rpc_us": statistics.median(it[kind] for it in blocks) for kind in blocks[0]}
    for kind in OURS:
        figures |= _median(f"{kind}_over_floor_rpc_us", [it[kind] - it[f"floor_{kind}"] for it in blocks])
    return figures


def _measure_rpc(found: dict[str, Controller], scripts: dict[str, Path]) -> list[dict[str, float]]:
    """Give what slurmctld says of each kind, block by block; within a block the kinds follow each other at once."""
    blocks: list[dict[str, float]] = []
    shuffled = random.Random(RPC_BLOCKS)  # noqa: S311 - no secret, and the same in every run
    for _ in range(RPC_BLOCKS):
        block = {}
        for one in shuffled.sample((PLAIN, *KINDS), 1 + len(KINDS)):
            controller = found[one.controller]
            controller.run("/usr/bin/sdiag", "--reset")
            _launch([(controller, scripts[one.name])] * RPC_SUBMITS)
            block[one.name] = controller.submit_rpc_us()
        blocks.append(block)
        _cancel_all(found)
    return blocks


def _cancel_all(found: dict[str, Controller]) -> None:
    """Leave no jobs: Slurm's Lua plugin builds a table of all at each submit."""
    for controller in found.values():
        controller.run("/usr/bin/scancel", "--user", ALICE.name)


def _measure(found: dict[str, Controller], scripts: dict[str, Path]) -> dict[str, list[tuple[float, float]]]:
    """Give each kind's submits in order, (its own, that of the plain one right before it), in milliseconds."""
    pairs: dict[str, list[tuple[float, float]]] = {one.name: [] for one in KINDS}
    plain = (found["plain"], scripts["plain"])
    for number in range(ROUNDS):
        order = _order(number)
        times = _launch([call for one in order for call in (plain, (found[one.controller], scripts[one.name]))])
        for one, beside, mine in zip(order, times[::2], times[1::2], strict=True):
            pairs[one.name].append((mine, beside))
        _cancel_all(found)
    return pairs


def _order(number: int) -> list[Kind]:
    """Shuffle the kinds for each pair: which submit came before makes up to 3 % (tried with three equal floors)."""
    shuffled = random.Random(number)  # noqa: S311 - no secret, and the same in every run
    return [one for _ in range(PAIRS) for one in shuffled.sample(KINDS, len(KINDS))]


def _write_scripts(folder: Path) -> dict[str, Path]:
    scripts = {}
    for one in (PLAIN, *KINDS):
        scripts[one.name] = folder / f"{one.name}.sh"
        scripts[one.name].write_text(one.script)
    return scripts


def _launch(calls: Sequence[tuple[Controller, Path]]) -> list[float]:
    """Submit each as alice, one after the other, and give the milliseconds that each sbatch took.

    Raises:
        RuntimeError: an sbatch failed; its words are on stderr.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        code = 1
        try:
            os.setgroups([])
            os.setgid(ALICE.uid)
            os.setuid(ALICE.uid)
            os.chdir(ALICE.home)
            with os.fdopen(writer, "w") as answer:
                json.dump([_submit(controller.conf, script) for controller, script in calls], answer)
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader) as answer:
        text = answer.read()
    if os.waitpid(pid, 0)[1] != 0:
        raise RuntimeError("an sbatch failed; what it said is above")
    return [float(took) for took in json.loads(text)]


def _submit(conf: Path, script: Path) -> float:
    environment = {
        "SLURM_CONF": str(conf),
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(ALICE.home),
        "USER": ALICE.name,
        "LOGNAME": ALICE.name,
        "SHELL": "/bin/sh",
        "LANG": "C.UTF-8",
    }
    argv = ["/usr/bin/sbatch", "--quiet", "--parsable", "--begin=now+1day", str(script)]
    quiet = [(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)]
    started = time.perf_counter()
    pid = os.posix_spawn(argv[0], argv, environment, file_actions=quiet)
    status = os.waitpid(pid, 0)[1]
    took = (time.perf_counter() - started) * 1000
    if status != 0:
        raise RuntimeError(f"sbatch {script.name} ended with {os.waitstatus_to_exitcode(status)}")
    return took


if __name__ == "__main__":
    sys.exit(main())
