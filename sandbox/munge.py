"""munged with a key and a socket of its own."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from sandbox.service import Service

KEY_BYTES = 1024


def munge_socket(folder: Path) -> Path:
    """Name munged's socket."""
    return folder / "munge" / "socket"


def munged(folder: Path, logs: Path) -> Service:
    """Make munged's folder and key under `folder`, and munged."""
    user = pwd.getpwnam("munge")
    home = folder / "munge"
    home.mkdir()
    key = home / "key"
    key.touch(0o400)
    key.write_bytes(os.urandom(KEY_BYTES))
    for path in (home, key):
        os.chown(path, user.pw_uid, user.pw_gid)
    argv = [
        "/usr/sbin/munged",
        "--foreground",
        f"--key-file={key}",
        f"--socket={munge_socket(folder)}",
        f"--pid-file={home / 'pid'}",
        f"--seed-file={home / 'seed'}",
        f"--log-file={home / 'log'}",
    ]
    return Service("munged", argv, logs, lambda _: munge_socket(folder).is_socket(), {}, user="munge")
