"""How much the files of a tree hold: noted at a clean stop, counted after any other."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from slurm_amlfs.emulator.hsm_rules import RELEASED
from slurm_amlfs.emulator.tree import Tree

NOTE = "used_bytes"


def save_used_bytes(folder: Path, used_bytes: int) -> None:
    """Note what is used."""
    (folder / NOTE).write_text(f"{used_bytes}\n", encoding="ascii")


def load_used_bytes(folder: Path, tree: Tree) -> int:
    """Read the note and take it away, so that a crash is noticed; without one, count.

    Counting takes about ten seconds for a million files.
    """
    note = folder / NOTE
    try:
        used_bytes = int(note.read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return _count(tree)
    note.unlink()
    return used_bytes


def _count(tree: Tree) -> int:
    used_bytes = 0
    several_names: set[int] = set()
    for path, entry in tree.files(""):
        seen = entry.stat(follow_symlinks=False)
        if not stat.S_ISREG(seen.st_mode) or not seen.st_size or seen.st_ino in several_names:
            continue
        if seen.st_nlink > 1:
            several_names.add(seen.st_ino)
        if not tree.record(path).flags & RELEASED:
            used_bytes += seen.st_size
    return used_bytes


def free_inodes(tree: Tree) -> tuple[int, int]:
    """Read how many files the machine's file system can hold, and how many more."""
    seen = os.statvfs(tree.root)
    return seen.f_files, seen.f_ffree
