"""Named points at which the daemon can be made to die, before and after each act and each write: tests of restarts.

A point is "PART.ACT:SIDE", as in "arm.archive:after". The daemon dies there at once, by SIGKILL, so nothing is closed,
flushed or rolled back. Without `AMLFS_DIE_AT` in its environment no port is wrapped, and none of this costs anything.
"""

from __future__ import annotations

import os
import re
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from types import MappingProxyType
from typing import Any, TypeVar, cast

from slurm_amlfs.errors import UserError

VARIABLE = "AMLFS_DIE_AT"
"""Its value is a point, or `ANY` of them; "#3" behind it means the third time that it is reached."""

ANY = "any"
"""Every point but those of the inbox's looks and of renewals, which come again and again whether anything happens or
not."""

ACTS: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "arm": ("create_import", "cancel_import", "delete_import", "archive", "cancel_archive"),
    "lustre": ("restore", "archive", "release", "put_receipt", "drop_receipt"),
    "slurm": ("comment", "notify", "turn_gate", "restage", "end_stage_out", "tear_down_again"),
    "inbox": ("take", "done"),
    "board": ("post", "remove", "publish_site"),
    "store": ("save",),
    "pools": ("post",),
    "terms": ("take",),
    "term": ("renew", "give_back"),
})  # fmt: skip
"""The acts and writes of each port (application/ports.py, and the loop's Store), and those of holding the state
directory (term_files.py); all others only read."""

STEPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "slurm": ("_let_requeue", "_cancel_pending", "_requeue"),
        "terms": ("_link", "_take_over"),
    }
)
"""Methods that are steps of an act, and have points of their own, without the underscore: what comes after a death
between two of them is neither the one nor the other."""

POINTS = tuple(
    f"{part}.{name.removeprefix('_')}:{side}"
    for part in ACTS
    for name, side in product(ACTS[part] + STEPS.get(part, ()), ("before", "after"))
)

_OFTEN = ("inbox.take:", "term.renew:")
_SPELLED = re.compile(r"([a-z_.:]+)(?:#([1-9][0-9]{0,8}))?")

T = TypeVar("T")

Reach = Callable[[str], None]
"""Is told each point that is reached."""


def from_environment(environment: Mapping[str, str]) -> Reach | None:
    """Read where to die; None where nothing is asked.

    Raises:
        UserError: there is no such point.
    """
    text = environment.get(VARIABLE, "")
    if not text:
        return None
    spelled = _SPELLED.fullmatch(text)
    if not spelled or spelled[1] not in {ANY, *POINTS}:
        raise UserError(f"{VARIABLE}: {text[:60]!r} is no crash point; write one of {', '.join(POINTS)}, or unset it")
    return Mine(spelled[1], int(spelled[2] or 1))


class Mine:
    """Dies at the `times`-th time that a point is reached. Safe for threads.

    Args:
        point: One of `POINTS`, or `ANY`.
        times: From 1.
        die: Ends the process.
    """

    def __init__(self, point: str, times: int, die: Callable[[], None] | None = None) -> None:
        self._point, self._times = point, times
        self._die = die or _die
        self._reached: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, point: str) -> None:
        """Say that a point is reached."""
        with self._lock:
            self._reached[point] += 1
            if not point.startswith(_OFTEN):
                self._reached[ANY] += 1
            if self._point in {point, ANY} and self._reached[self._point] == self._times:
                self._die()


def mined(port: T, part: str, reach: Reach | None) -> T:
    """Wrap a port so that each of its acts tells the points before and after it; without `reach`, give it as it is."""
    if reach is None:
        return port
    for name in STEPS.get(part, ()):
        setattr(port, name, _told(getattr(port, name), f"{part}.{name.removeprefix('_')}", reach))
    return cast("T", _Mined(port, part, reach))


def _told(do: Callable[..., Any], act: str, reach: Reach) -> Callable[..., Any]:
    """Have a call tell the points before and after it."""

    def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever it takes and gives
        reach(f"{act}:before")
        result = do(*args, **kwargs)
        if isinstance(result, Iterator):
            return _to_its_end(result, act, reach)
        reach(f"{act}:after")
        return result

    return call


def _to_its_end(results: Iterator[object], act: str, reach: Reach) -> Iterator[object]:
    yield from results
    reach(f"{act}:after")


class _Mined:
    """Hands everything on."""

    def __init__(self, port: object, part: str, reach: Reach) -> None:
        self._port, self._part, self._reach = port, part, reach

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the port has
        found = getattr(self._port, name)
        if name not in ACTS[self._part]:
            return found
        return _told(found, f"{self._part}.{name}", self._reach)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
