"""Faults by name: what can go wrong with the service, on request.

A fault is set over the control endpoint and stays until it has happened `times` times or is cleared ("let go").
The names say what the asker sees; each names in `Name` where the real thing was seen.
"""

from __future__ import annotations

import fnmatch
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum


class Name(StrEnum):
    """What can go wrong.

    REFUSE         the request is answered as if somebody else held the slot (blob-integration.md: "returns an error")
    THROTTLE       429, with Retry-After when `retry_after` is given (ARM's request-limits-and-throttling page); it is a
                   date if `message` says "date" (RFC 9110, 10.2.3)
    ERROR          the HTTP status `status` (500, 503, 401 ...), as any Azure front end may answer
    DROP_BEFORE    the connection is cut and nothing was done
    DROP_AFTER     the request was taken, and then the connection is cut
    SLOW           the answer comes after `seconds`
    ENDLESS        the ARM operation never ends, whatever becomes of the job
    FAIL_OPERATION the ARM operation ends Failed; the job is Failed too (azure-core raises it with status 200)
    STALL          the action moves no further until let go, or for `seconds`
    FAIL           the action ends Failed after `after` blobs or files
    PARTIAL        the blobs whose names match `blobs` fail (network interruptions, blob-integration.md)
    SLOW_RELEASE   the slot stays taken `seconds` after its action has ended (the 15 s sleeps of microsoft/mcp's tests)
    EARLY          an archive says Completed before its files are exported (known-issues-amlfs-preview.md)
    MAINTENANCE    health says Maintenance (create-file-system-portal.md); requests are answered as usual
    BROKEN         to stat or open the files whose names match `blobs` fails with EIO, as when their OST is gone
    HANGING        to stat or open them is not answered until let go, as when their OST is being failed over
    """

    REFUSE = "refuse"
    THROTTLE = "throttle"
    ERROR = "error"
    DROP_BEFORE = "drop-before"
    DROP_AFTER = "drop-after"
    SLOW = "slow"
    ENDLESS = "endless-operation"
    FAIL_OPERATION = "fail-operation"
    STALL = "stall"
    FAIL = "fail"
    PARTIAL = "partial"
    SLOW_RELEASE = "slow-release"
    EARLY = "archive-early"
    MAINTENANCE = "maintenance"
    ALTER = "alter"
    CLOCK = "clock"
    BROKEN = "broken"
    HANGING = "hanging"


FOR_EVER = -1


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    `operation` is a pattern (fnmatch) over the names of requests ("importJobs.put", "archive.post") or
    actions ("import", "archive", "restore", "autoImport", "autoExport"). `seconds` of zero: until let go. `times` of
    -1: always. `blobs` are patterns over blob names. `hits` counts how often it has happened.
    """

    name: Name
    operation: str = "*"
    times: int = FOR_EVER
    seconds: float = 0.0
    status: int = 500
    retry_after: int | None = None
    after: int = 0
    blobs: tuple[str, ...] = ()
    message: str = ""
    hits: int = 0


class Faults:
    """The faults that are set, one per name. Safe for threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._set: dict[Name, Fault] = {}

    def set(self, fault: Fault) -> None:
        """Set a fault, in place of one of the same name."""
        with self._changed:
            self._set[fault.name] = replace(fault, hits=0)
            self._changed.notify_all()

    def clear(self, names: Iterable[Name] = ()) -> None:
        """Let go of these faults, or of all."""
        with self._changed:
            for name in tuple(names) or tuple(Name):
                self._set.pop(name, None)
            self._changed.notify_all()

    def all(self) -> tuple[Fault, ...]:
        """List the faults that have been set and not cleared, used-up ones included."""
        with self._changed:
            return tuple(self._set.values())

    @property
    def any(self) -> bool:
        """Say whether a fault has been set and not cleared."""
        return bool(self._set)

    def take(self, name: Name, operation: str) -> Fault | None:
        """Let a fault happen once, if it is set for this operation and not used up."""
        if name not in self._set:
            return None
        with self._changed:
            return self._take(name, operation)

    def peek(self, name: Name, operation: str) -> Fault | None:
        """See whether a fault is set for this operation, without using it up."""
        if name not in self._set:
            return None
        with self._changed:
            fault = self._set.get(name)
            return fault if fault and _due(fault, operation) else None

    @property
    def breaks_files(self) -> bool:
        """Say whether BROKEN or HANGING is set: each call of the mount asks this."""
        return Name.BROKEN in self._set or Name.HANGING in self._set

    def broken(self, path: str) -> bool:
        """Say whether BROKEN is set for a file; wait while HANGING is."""
        with self._changed:
            while self._names(Name.HANGING, path):
                self._changed.wait()
            return self._names(Name.BROKEN, path)

    def _names(self, name: Name, path: str) -> bool:
        fault = self._set.get(name)
        return fault is not None and any(fnmatch.fnmatchcase(path, pattern) for pattern in fault.blobs)

    def strikes(self, operation: str, blob: str) -> Fault | None:
        """Say whether PARTIAL makes this blob fail."""
        if Name.PARTIAL not in self._set:
            return None
        with self._changed:
            fault = self._set.get(Name.PARTIAL)
            if fault is None or not any(fnmatch.fnmatchcase(blob, pattern) for pattern in fault.blobs):
                return None
            return self._take(Name.PARTIAL, operation)

    def hold(self, operation: str, stop: threading.Event) -> float:
        """Wait while STALL is set for this operation; return the seconds waited. `stop` ends the wait within 0.1 s.

        A stall of N seconds begins with the first that it holds, and happens once.
        """
        if Name.STALL not in self._set:
            return 0.0
        started = time.monotonic()
        with self._changed:
            fault = self._take(Name.STALL, operation)
            if fault is None:
                return 0.0
            until = started + fault.seconds if fault.seconds > 0 else float("inf")
            while self._holds(fault) and not stop.is_set() and time.monotonic() < until:
                self._changed.wait(min(0.1, until - time.monotonic()))
            if time.monotonic() >= until and self._holds(fault):
                self._set[Name.STALL] = replace(self._set[Name.STALL], times=0)
                self._changed.notify_all()
        return time.monotonic() - started

    def _holds(self, fault: Fault) -> bool:
        now = self._set.get(Name.STALL)
        return now is not None and replace(now, hits=0) == replace(fault, hits=0)

    def _take(self, name: Name, operation: str) -> Fault | None:
        fault = self._set.get(name)
        if fault is None or not _due(fault, operation):
            return None
        self._set[name] = replace(fault, hits=fault.hits + 1)
        return self._set[name]


def _due(fault: Fault, operation: str) -> bool:
    left = fault.times < 0 or fault.hits < fault.times
    return left and fnmatch.fnmatchcase(operation, fault.operation)
