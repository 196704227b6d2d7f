"""What a program does to the emulated Lustre, for tests without a mount."""

from __future__ import annotations

import os

from slurm_amlfs.emulator.hsm import Hsm
from slurm_amlfs.emulator.hsm_rules import ARCHIVED, EXISTS

CAPACITY_BYTES = 10_000_000
MTIME_NS = 1_600_000_000_123_456_789
UID, GID = os.getuid(), os.getgid()
CLEAN = EXISTS | ARCHIVED


def flags(hsm: Hsm, path: str) -> int:
    info = hsm.look(path)
    assert info is not None
    return info.flags


def read(hsm: Hsm, path: str, size: int = 1 << 20) -> bytes:
    fd = hsm.files.open(path, os.O_RDONLY)
    try:
        return hsm.files.read(fd, size, 0)
    finally:
        hsm.files.release(fd)


def write(hsm: Hsm, path: str, data: bytes, flags: int = os.O_WRONLY) -> None:
    fd = hsm.files.open(path, flags)
    try:
        hsm.files.write(fd, data, 0)
    finally:
        hsm.files.release(fd)


def create(hsm: Hsm, path: str, data: bytes = b"new") -> None:
    fd = hsm.files.create(path, os.O_WRONLY, 0o644, UID, GID)
    hsm.files.write(fd, data, 0)
    hsm.files.release(fd)


def blocks(hsm: Hsm, path: str) -> int:
    return os.lstat(hsm.tree.at(path)).st_blocks
