"""What the daemon and the processes that touch Lustre say to each other: plain values, each in a frame of its own.

marshal is the fastest that Python has for lists of tuples, and tells every string as it is, names that are no UTF-8
too. Both ends are this program under one interpreter, so its format may be any; nobody else holds either end.
"""

from __future__ import annotations

import marshal
import socket
import struct
from collections.abc import Iterable, Mapping
from typing import Any

from slurm_amlfs.domain.view import FileKind, FileView, HsmState

_LENGTH = struct.Struct("!I")
_CODES = {kind: number for number, kind in enumerate(FileKind)}
_KINDS = tuple(FileKind)
_STATES = tuple(HsmState(number) for number in range(sum(state.value for state in HsmState) + 1))
"""All that there can be: to make one costs more than to read it from Lustre."""

Row = tuple[Any, ...]
"""A FileView as marshal takes it."""


class Channel:
    """One end of a socket pair."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end

    def send(self, value: Any, seconds: float | None = None) -> None:  # noqa: ANN401 - whatever marshal takes
        """Send a value; waits while the other end does not read.

        Raises:
            TimeoutError: the other end did not read all of it in so many seconds.
            OSError: the other end is gone.
        """
        self._socket.settimeout(seconds)
        data = marshal.dumps(value)
        self._socket.sendall(_LENGTH.pack(len(data)) + data)

    def receive(self, seconds: float | None = None) -> Any:  # noqa: ANN401 - whatever was sent
        """Receive a value.

        Raises:
            TimeoutError: nothing came for so many seconds.
            EOFError, OSError: the other end is gone.
        """
        self._socket.settimeout(seconds)
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size))
        return marshal.loads(self._read(length))  # noqa: S302 - it comes from this program itself

    def close(self) -> None:
        """Close this end."""
        self._socket.close()

    def _read(self, length: int) -> bytearray:
        data = bytearray(length)
        left = memoryview(data)
        while left:
            number = self._socket.recv_into(left)
            if not number:
                raise EOFError
            left = left[number:]
        return data


def rows_of(views: Iterable[FileView]) -> list[Row]:
    """Turn what was seen into plain tuples."""
    return [(view[0], _CODES[view[1]], *view[2:]) for view in views]


def view_of_row(row: Row) -> FileView:
    """Turn a plain tuple back."""
    return FileView(row[0], _KINDS[row[1]], *row[2:])


def numbers_of(states: Mapping[str, HsmState]) -> dict[str, int]:
    """Turn HSM states into plain numbers."""
    return {path: state.value for path, state in states.items()}


def states_of(numbers: Mapping[str, int]) -> dict[str, HsmState]:
    """Turn plain numbers back."""
    return {path: _STATES[number] for path, number in numbers.items()}
