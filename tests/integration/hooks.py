"""Hooks and scripts of Slurm that hang, and files beside slurm.conf that differ for a while."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.site import Site
from tests.integration import seeing

END = "\nreturn slurm.SUCCESS\n"
"""How burst_buffer.lua ends."""

PATH = "PATH=/usr/bin:/bin\n"
"""How the scripts of prolog/ and epilog/ begin."""

HANGS = """
local before_{hook} = slurm_bb_{hook}
function slurm_bb_{hook}(...)
  io.open("{mark}", "w"):close()
  os.execute("exec sleep 600 >/dev/null 2>&1 </dev/null")
  return before_{hook}(...)
end
"""


@contextmanager
def changed(site: Site, file: str, before: str, after: str) -> Iterator[None]:
    """Let a file beside slurm.conf say something else; each is replaced as a whole."""
    path = site.slurm_conf.parent / file
    draft = path.with_suffix(".new")
    text = path.read_text(encoding="utf-8")
    assert text.count(before) == 1, before
    try:
        draft.write_text(text.replace(before, after), encoding="utf-8")
        shutil.copymode(path, draft)
        draft.replace(path)
        yield
    finally:
        draft.write_text(text, encoding="utf-8")
        shutil.copymode(path, draft)
        draft.replace(path)


@contextmanager
def hanging(site: Site, hook: str) -> Iterator[Path]:
    """Let a hook hang before it has done anything, as on a disk that does not answer.

    Gives the file that it makes when it begins to.
    """
    mark = _mark(site)
    with changed(site, "burst_buffer.lua", END, HANGS.format(hook=hook, mark=mark) + END):
        yield mark


@contextmanager
def hanging_script(site: Site, script: str) -> Iterator[Path]:
    """Let a Prolog or Epilog ("prolog/amlfs-slurmctld", ...) hang before it has done anything.

    Gives the file that it makes when it begins to.
    """
    mark = _mark(site)
    with changed(site, script, PATH, f"{PATH}: >{mark}\nsleep 600\n"):
        yield mark


def _mark(site: Site) -> Path:
    """Name a file where slurmctld may make one."""
    return site.slurm_conf.parent.parent / "slurmctld" / seeing.new_name()
