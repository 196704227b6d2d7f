"""slurmscriptd, which runs slurmctld's scripts, and hears one of slurmctld's words later than the others.

The words come through a pipe, each as its kind, its length and its body (slurmscriptd.c: _write_msg, _msg_accept; the
same from 22.05 to 26.05). While both processes are stopped, one can be taken out of there, to be put back later.
"""

from __future__ import annotations

import os
import signal
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sandbox import watch
from sandbox.site import Site
from tests.integration import seeing

_FLUSH_JOB = 11002
"""Kill what runs for this job (slurmscriptd_protocol_defs.h: SLURMSCRIPTD_REQUEST_FLUSH_JOB)."""
_KINDS = range(11000, 11100)
_HEAD = struct.Struct("=ii")


class Slurmscriptd:
    """The one that a site's slurmctld has now."""

    def __init__(self, site: Site) -> None:
        self._site = site
        [(self._pid, self._slurmctld)] = _children(site.slurmctld.pid, "slurmscriptd")
        ends = _pipes(self._slurmctld, os.O_WRONLY)
        [(self._read, pipe)] = [
            (end, pipe) for end, pipe in _pipes(self._pid, os.O_RDONLY).items() if pipe in ends.values()
        ]
        [self._write] = [end for end, it in ends.items() if it == pipe]

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Have it hear nothing meanwhile; the words wait in the pipe."""
        with _stopped(self._pid):
            yield

    def take_kill(self, job: int) -> bytes:
        """Wait, while it is stopped, for the word to kill what runs for a job, and take that one out of the pipe."""
        taken: list[bytes] = []
        heard = bytearray()

        def look() -> bool:
            with _stopped(self._slurmctld):
                heard.extend(_drain(self._read))
                words = _split(bytes(heard))
                if sum(map(len, words)) < len(heard):
                    return False  # slurmctld was stopped amid a word
                heard.clear()
                for word in words:
                    if not taken and _kills(word, job):
                        taken.append(word)
                    else:
                        self._put(word)
            return bool(taken)

        self._site.wait(look, seeing.LONG, f"slurmctld has what runs for job {job} killed")
        return taken[0]

    def put(self, word: bytes) -> None:
        """Let it hear a word now."""
        with _stopped(self._slurmctld):
            self._put(word)

    def _put(self, word: bytes) -> None:
        with self._write.open("wb", buffering=0) as pipe:
            pipe.write(word)


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    """Have a process do nothing meanwhile, in any of its threads."""
    os.kill(pid, signal.SIGSTOP)
    try:
        watch.until(lambda: all(it == "T" for it in _thread_states(pid)), seeing.LONG, f"process {pid} stops")
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _thread_states(pid: int) -> Iterator[str]:
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # it has just ended
            yield (thread / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]


def _children(pid: int, name: str) -> Iterator[tuple[int, int]]:
    """Find children of a name, and their parents: from 23.11 on a reconfigure lets a child of slurmctld take over."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split():
        with suppress(OSError):
            if name in Path(f"/proc/{child}/comm").read_text(encoding="utf-8"):
                yield int(child), pid
            else:
                yield from _children(int(child), name)


def _pipes(pid: int, mode: int) -> dict[Path, str]:
    """Name a process's ends of pipes that are open in this mode, and their pipes."""
    found: dict[Path, str] = {}
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it closes others meanwhile
            flags = Path(f"/proc/{pid}/fdinfo/{path.name}").read_text(encoding="ascii").split("flags:")[1].split()[0]
            name = str(path.readlink())
            if name.startswith("pipe:") and int(flags, 8) & os.O_ACCMODE == mode:
                found[path] = name
    return found


def _drain(end: Path) -> bytes:
    """Read all that is in a pipe, by an open file of our own: the other's stays as it is."""
    found = bytearray()
    pipe = os.open(end, os.O_RDONLY | os.O_NONBLOCK)
    try:
        while more := os.read(pipe, 1 << 16):
            found += more
    except BlockingIOError:
        pass
    finally:
        os.close(pipe)
    return bytes(found)


def _split(heard: bytes) -> list[bytes]:
    """Part what was in the pipe into whole words."""
    words: list[bytes] = []
    at = 0
    while at + _HEAD.size <= len(heard):
        kind, length = _HEAD.unpack_from(heard, at)
        assert kind in _KINDS, f"slurmscriptd was stopped amid a word: {heard[at : at + 16]!r}"
        end = at + _HEAD.size + length
        if end > len(heard):
            break
        words.append(heard[at:end])
        at = end
    return words


def _kills(word: bytes, job: int) -> bool:
    kind, _ = _HEAD.unpack_from(word)
    return kind == _FLUSH_JOB and struct.unpack("!I", word[-4:]) == (job,)
