"""Hooks of Slurm that hang, files beside slurm.conf that differ for a while, and a late word of slurmctld's."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.site import Site
from tests.integration import seeing

END = "\nreturn slurm.SUCCESS\n"
"""How burst_buffer.lua ends."""

HANGS = """
local before_{hook} = slurm_bb_{hook}
function slurm_bb_{hook}(...)
  io.open("{mark}", "w"):close()
  os.execute("exec sleep 600 >/dev/null 2>&1 </dev/null")
  return before_{hook}(...)
end
"""

_FLUSH_JOB = 11002
"""slurmctld's word to slurmscriptd: kill what runs for this job (SLURMSCRIPTD_REQUEST_FLUSH_JOB, 22.05 to 26.05)."""


@contextmanager
def changed(site: Site, file: str, before: str, after: str) -> Iterator[None]:
    """Let a file beside slurm.conf say something else; each is replaced as a whole."""
    path = site.slurm_conf.parent / file
    draft = path.with_suffix(".new")
    text = path.read_text(encoding="utf-8")
    assert text.count(before) == 1, before
    try:
        draft.write_text(text.replace(before, after), encoding="utf-8")
        draft.replace(path)
        yield
    finally:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)


@contextmanager
def hanging(site: Site, hook: str) -> Iterator[Path]:
    """Let a hook hang before it has done anything, as on a disk that does not answer.

    Gives the file that it makes when it begins to.
    """
    mark = site.slurm_conf.parent.parent / "slurmctld" / f"{hook}-{seeing.new_name()}"
    with changed(site, "burst_buffer.lua", END, HANGS.format(hook=hook, mark=mark) + END):
        yield mark


def tell_slurmscriptd_late(site: Site, job: int) -> None:
    """Let slurmscriptd hear only now that what runs for a job is to be killed, as slurmctld told it at a cancel.

    The words go through the pipe of slurmctld's own: its length, an empty key, and the job (slurmscriptd.c:
    _write_msg, slurmscriptd_protocol_pack.c: _pack_flush_job).
    """
    body = struct.pack("!II", 0, job)
    with _pipe_to_slurmscriptd(site.slurmctld.pid).open("wb", buffering=0) as pipe:
        pipe.write(struct.pack("=ii", _FLUSH_JOB, len(body)) + body)


def _pipe_to_slurmscriptd(slurmctld: int) -> Path:
    """Find the end of slurmctld's of the pipe that slurmscriptd, its child, reads."""
    children = Path(f"/proc/{slurmctld}/task/{slurmctld}/children").read_text(encoding="ascii").split()
    [child] = [it for it in children if "slurmscriptd" in Path(f"/proc/{it}/comm").read_text(encoding="utf-8")]
    read = set(_pipes(child, os.O_RDONLY).values())
    [pipe] = [path for path, name in _pipes(str(slurmctld), os.O_WRONLY).items() if name in read]
    return pipe


def _pipes(pid: str, mode: int) -> dict[Path, str]:
    """Name a process's ends of pipes that are open in this mode, and their pipes."""
    found: dict[Path, str] = {}
    for path in Path(f"/proc/{pid}/fd").iterdir():
        flags = Path(f"/proc/{pid}/fdinfo/{path.name}").read_text(encoding="ascii").split("flags:")[1].split()[0]
        name = str(path.readlink())
        if name.startswith("pipe:") and int(flags, 8) & os.O_ACCMODE == mode:
            found[path] = name
    return found
