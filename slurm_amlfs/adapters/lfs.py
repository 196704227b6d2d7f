"""Lustre's `lfs` command, for HSM states and requests (formats and limits: lustre-release b2_15, lustre/utils/lfs.c).

A file is named to it as /proc/self/fd/N/NAME, where N is its directory, opened by the caller without following links:
whoever renames directories meanwhile cannot lead a command of root's to another file. `lfs` itself follows no link in
the last part for requests (lfs_hsm_prepare_file: lstat).
"""

from __future__ import annotations

import errno
import os
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from slurm_amlfs.adapters.commands import Outcome, run
from slurm_amlfs.domain.view import HsmState
from slurm_amlfs.errors import PermanentError, TemporaryError

STATE_FILES = 1000
"""Files in one hsm_state: their names stay far below the kernel's ARG_MAX of 2 MiB."""
REQUEST_FILES = 50
"""Files in one request. A request of 1,706 bytes or more is refused with E2BIG (llite/dir.c, LL_IOC_HSM_REQUEST:
MDS_MAXREQSIZE / 3); 24 bytes and 32 a file (struct hsm_user_request) make 52 files the most that fit."""
_AT_ONCE = 2
"""Requests that are under way at once: each is a trip to the metadata server, most of which is waiting."""
TIMEOUT_SECONDS = 120
"""hsm_release flushes each file's data first; the others only talk to the metadata server."""

_FLAGS = re.compile(rb": \(0x([0-9a-f]{8,16})\)[^\n]*\n")
_ACTION = re.compile(rb": ([A-Z]+)(?: [^\n]*)?\n")
_HELP = 4
"""Parser_execarg's CMD_HELP: a path is not a regular file."""
_ONE_FILES_FAULT = {errno.EPERM, errno.ENOENT, errno.EACCES, errno.EBUSY, errno.ENODATA, errno.ESTALE, _HELP}
"""What one file can be refused for. `lfs` exits with the errno, and then none or only the first were taken."""
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESTALE}
_NOT_LUSTRE = {errno.ENOTTY, errno.EOPNOTSUPP}


_TELLING = {"hsm_state", "hsm_action"}
"""Commands that take paths only as arguments."""

T = TypeVar("T")


class Action(StrEnum):
    """What is requested of Lustre's HSM."""

    ARCHIVE = "hsm_archive"
    RESTORE = "hsm_restore"
    RELEASE = "hsm_release"


class OpenName(NamedTuple):
    """A file by its directory's descriptor and its own name in there."""

    directory: int
    name: str

    @property
    def path(self) -> bytes:
        """The path that `lfs` is given."""
        return b"/proc/self/fd/%d/%s" % (self.directory, os.fsencode(self.name))


class Lfs:
    """One `lfs` program.

    Args:
        program: Its absolute path.
        request_files: Files in one request.
        timeout_seconds: After which one run of it is ended that tells nothing.
        alive: Is called whenever one run of it has ended, and while one tells more and more.
    """

    def __init__(
        self,
        program: Path,
        request_files: int = REQUEST_FILES,
        timeout_seconds: float = TIMEOUT_SECONDS,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self._program = str(program)
        self._request_files = request_files
        self._timeout_seconds = timeout_seconds
        self._alive = alive

    def hsm_states(self, files: Sequence[OpenName]) -> list[HsmState | None]:
        """Read states, in the order asked; None for a file that is gone.

        Raises:
            PermanentError: not a Lustre file system.
            TemporaryError: any other failure, no such program too.
        """
        return self._tell("hsm_state", files, parse_states)

    def hsm_busy(self, files: Sequence[OpenName]) -> list[bool | None]:
        """Say for which files a request waits or runs, in the order asked; None for a file that is gone.

        Lustre goes through its list of requests for each (mdt_hsm_get_action), so ask about few.

        Raises:
            PermanentError: not a Lustre file system.
            TemporaryError: any other failure, no such program too.
        """
        return self._tell("hsm_action", files, parse_actions)

    def request(self, action: Action, files: Sequence[OpenName]) -> list[tuple[OpenName, int]]:
        """Request an action, about in the order given; return the files that were refused, each with its errno.

        A request that one file spoils is taken apart until that file stands alone, so that the others are taken; from
        one of restores what is whole, gone or lost is left out first.

        Raises:
            PermanentError: not a Lustre file system.
            TemporaryError: the whole request failed for no file's fault.
        """
        batches = [files[at : at + self._request_files] for at in range(0, len(files), self._request_files)]
        if len(batches) <= 1:
            return [it for batch in batches for it in self._request(action, batch)]
        with ThreadPoolExecutor(min(_AT_ONCE, len(batches)), thread_name_prefix="lfs") as pool:
            told = list(pool.map(partial(self._request, action), batches))
        return [it for refused in told for it in refused]

    def _request(self, action: Action, files: Sequence[OpenName]) -> list[tuple[OpenName, int]]:
        refused: list[tuple[OpenName, int]] = []
        batches = deque([files])
        sifted = action is not Action.RESTORE
        while batches:
            batch = batches.popleft()
            outcome = self._run(action, batch, [file.path for file in batch])
            if outcome.code == 0:
                continue
            if outcome.code not in _ONE_FILES_FAULT:
                raise _failure(action, outcome)
            if len(batch) == 1:
                refused.append((batch[0], outcome.code))
            elif not sifted:
                sifted = True
                wanted, lost = self._sift(batch)
                refused += [(file, errno.EPERM) for file in lost]
                batches.extend([wanted] if wanted else [])
            else:
                batches.extendleft((batch[len(batch) // 2 :], batch[: len(batch) // 2]))
        return refused

    def _sift(self, files: Sequence[OpenName]) -> tuple[list[OpenName], list[OpenName]]:
        """Find which files can be restored, and which never; the others are whole or gone.

        One run tells that, and to take a request apart until a spoiling file stands alone takes ten for each.
        """
        released = [
            (file, state)
            for file, state in zip(files, self.hsm_states(files), strict=True)
            if state is not None and state & HsmState.RELEASED
        ]
        wanted = [file for file, state in released if not state & HsmState.LOST]
        return wanted, [file for file, state in released if state & HsmState.LOST]

    def _tell(
        self, command: str, files: Sequence[OpenName], parse: Callable[[bytes, Sequence[bytes]], list[T]]
    ) -> list[T | None]:
        """Have a line told of each file."""
        lines: list[T | None] = []
        while len(lines) < len(files):
            asked = files[len(lines) : len(lines) + STATE_FILES]
            paths = [file.path for file in asked]
            outcome = self._run(command, asked, paths)
            told = parse(outcome.stdout, paths)
            lines += told
            if len(told) < len(asked):
                # It stops at the first file that it cannot read (lfs_hsm_state), so the next one is to blame.
                if outcome.code not in _GONE:
                    raise _failure(command, outcome)
                lines.append(None)
        return lines

    def _run(self, command: str, files: Sequence[OpenName], paths: Sequence[bytes]) -> Outcome:
        argv = [self._program, command]
        stdin = b""
        if command in _TELLING or any(b"\n" in path for path in paths):
            argv += map(os.fsdecode, paths)
        else:
            argv += ["--filelist", "/dev/stdin"]
            stdin = b"".join(path + b"\n" for path in paths)
        outcome = run(
            argv,
            timeout_seconds=self._timeout_seconds,
            keep_open=sorted({file.directory for file in files}),
            stdin=stdin,
            alive=self._alive,
        )
        self._alive()
        return outcome


def parse_states(output: bytes, asked: Sequence[bytes]) -> list[HsmState]:
    """Read hsm_state's lines, "PATH: (0x0000000d) released exists archived, archive_id:1", as far as they go."""
    return [_STATES[int(flags, 16) & _KNOWN] for flags in _lines(_FLAGS, output, asked)]


def parse_actions(output: bytes, asked: Sequence[bytes]) -> list[bool]:
    """Read hsm_action's lines, "PATH: NOOP" or "PATH: ARCHIVE running (12 bytes moved)", as far as they go."""
    return [action != b"NOOP" for action in _lines(_ACTION, output, asked)]


def _lines(pattern: re.Pattern[bytes], output: bytes, asked: Sequence[bytes]) -> Iterator[bytes]:
    """Yield what lines tell after their paths, in the order asked, until a path is not told.

    The asked paths say where each line begins, so a name may hold newlines and text that looks like another line.
    """
    at = 0
    for path in asked:
        told = pattern.match(output, at + len(path)) if output.startswith(path, at) else None
        if not told:
            return
        yield told[1]
        at = told.end()


_KNOWN = sum(state.value for state in HsmState)
_STATES = tuple(HsmState(number) for number in range(_KNOWN + 1))
"""All that there can be: to make one costs more than to read it from Lustre."""


def _failure(command: str, outcome: Outcome) -> PermanentError | TemporaryError:
    if outcome.code in _NOT_LUSTRE:
        return PermanentError(f"lfs {command}: {outcome.complaint}; the mount has to be Lustre with HSM")
    return TemporaryError(f"lfs {command} failed: {outcome.complaint}; wait, it is run again")
