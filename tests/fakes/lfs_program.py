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

ATTRIBUTE = "user.test_hsm"
EXISTS, DIRTY, RELEASED, ARCHIVED, NOARCHIVE, LOST = 1, 2, 4, 8, 32, 64
WORDS = {
    RELEASED: "released",
    EXISTS: "exists",
    DIRTY: "dirty",
    ARCHIVED: "archived",
    NOARCHIVE: "never_archive",
    LOST: "lost_from_hsm",
}
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


def act(paths: list[str]) -> int:
    """Print what is under way until a path cannot be read (lfs_hsm_action): here nothing ever is."""
    for path in paths:
        try:
            read(path)
        except OSError as error:
            sys.stderr.write(f"can't get hsm action for {path}: {error.strerror}\n")
            return error.errno or 1
        sys.stdout.buffer.write(os.fsencode(path) + b": NOOP\n")
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
        if not is_needed(action, state):
            continue
        if not is_allowed(action, state):
            return errno.EPERM
        new = {
            "hsm_archive": (state | EXISTS | ARCHIVED) & ~(DIRTY | LOST),
            "hsm_release": state | RELEASED,
            "hsm_restore": state & ~RELEASED,
        }[action]
        os.setxattr(path, ATTRIBUTE, str(new).encode())
    return 0


def is_needed(action: str, state: int) -> bool:
    """Say whether there is anything to do (hsm_action_is_needed)."""
    if action == "hsm_restore":
        return bool(state & RELEASED or not state & ARCHIVED)
    return action != "hsm_archive" or bool(state & DIRTY or not state & ARCHIVED)


def is_allowed(action: str, state: int) -> bool:
    """Say whether the state allows it (mdt_hsm_is_action_compat, mdt_hsm_release_allow)."""
    if action == "hsm_archive":
        return not state & NOARCHIVE
    return bool(state & ARCHIVED) and not state & (LOST if action == "hsm_restore" else DIRTY)


def main() -> int:
    """Do one command."""
    command, *rest = sys.argv[1:]
    if command == "hsm_state":
        return show(rest)
    if command == "hsm_action":
        return act(rest)
    if rest[0] == "--filelist":
        with open(rest[1], "rb") as file:  # noqa: PTH123 - to import pathlib would be most of a call's time
            names = file.read().removesuffix(b"\n").split(b"\n")
        return request(command, [os.fsdecode(name) for name in names])
    return request(command, rest)


if __name__ == "__main__":
    sys.exit(main())
