"""A program that speaks like b2_15's `lfs`, for the adapter's contract in the fast gate.

It keeps each file's state in an extended attribute of the file itself, and ends requests at once. Exit codes, output
and order of work are lustre/utils/lfs.c's; the rules of refusal are mdt_hsm_is_action_compat's. The emulator's lfs is
the better copy; this one needs no FUSE and no root.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from pathlib import Path

ATTRIBUTE = "user.test_hsm"
EXISTS, DIRTY, RELEASED, ARCHIVED, LOST = 1, 2, 4, 8, 64
WORDS = {RELEASED: "released", EXISTS: "exists", DIRTY: "dirty", ARCHIVED: "archived", LOST: "lost_from_hsm"}
MOST_FILES = 52


def read(path: str) -> int:
    """Read a file's state."""
    try:
        return int(os.getxattr(path, ATTRIBUTE))
    except OSError as error:
        if error.errno == errno.ENODATA:
            return 0
        raise


def show(paths: list[str]) -> int:
    """Print states until a path cannot be read (lfs_hsm_state)."""
    for path in paths:
        try:
            state = read(path)
        except OSError as error:
            sys.stderr.write(f"can't get hsm state for {path}: {error.strerror}\n")
            return error.errno or 1
        words = "".join(f" {word}" for bit, word in WORDS.items() if state & bit)
        archive = ", archive_id:1" if state else ""
        sys.stdout.buffer.write(os.fsencode(path) + f": (0x{state:08x}){words}{archive}\n".encode())
    return 0


def request(action: str, paths: list[str]) -> int:
    """Check every path before any is touched (lfs_hsm_prepare_file), then stop at the first that is refused."""
    for path in paths:
        try:
            facts = os.lstat(path)
        except OSError as error:
            sys.stderr.write(f"Cannot stat {path}: {error.strerror}\n")
            return error.errno or 1
        if not stat.S_ISREG(facts.st_mode):
            return 4
    if len(paths) > MOST_FILES:
        sys.stderr.write("Cannot send HSM request: Argument list too long\n")
        return errno.E2BIG
    for path in paths:
        state = read(path)
        if action == "hsm_restore" and not state & RELEASED and state & ARCHIVED:
            continue
        if action == "hsm_restore" and (not state & ARCHIVED or state & LOST):
            return errno.EPERM
        if action == "hsm_release" and (not state & ARCHIVED or state & DIRTY):
            return errno.EPERM
        new = state | RELEASED if action == "hsm_release" else state & ~RELEASED
        os.setxattr(path, ATTRIBUTE, str(new).encode())
    return 0


def main() -> int:
    """Do one command."""
    command, *rest = sys.argv[1:]
    if command == "hsm_state":
        return show(rest)
    if rest[0] == "--filelist":
        names = Path(rest[1]).read_bytes().removesuffix(b"\n").split(b"\n")
        return request(command, [os.fsdecode(name) for name in names])
    return request(command, rest)


if __name__ == "__main__":
    sys.exit(main())
