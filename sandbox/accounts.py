"""Who there is in a cell: the machine's own users, and alice and bob, ordinary users who own nothing elsewhere."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

HOMES = Path("/run/home")
"""In the cell's own /run, so that homes end with it."""

HOST_NAME = "amlfs-cell"


@dataclass(frozen=True, slots=True)
class Account:
    """A test user; its group has the same name and number."""

    name: str
    uid: int

    @property
    def home(self) -> Path:
        """Where it lives."""
        return HOMES / self.name


ALICE = Account("alice", 61001)
BOB = Account("bob", 61002)
ACCOUNTS = {account.name: account for account in (ALICE, BOB)}


def furnish(etc: Path) -> None:
    """Write the test users and the host's name into a copy of /etc, and make the users' homes.

    Lines of the machine's that have one of our names or numbers give way.
    """
    users = ACCOUNTS.values()
    _add(etc / "passwd", [f"{it.name}:x:{it.uid}:{it.uid}::{it.home}:/bin/sh" for it in users])
    _add(etc / "group", [f"{it.name}:x:{it.uid}:" for it in users])
    _add(etc / "shadow", [f"{it.name}:*:19000::::::" for it in users])
    (etc / "hosts").write_text(f"127.0.0.1 localhost {HOST_NAME}\n", encoding="ascii")
    (etc / "hostname").write_text(f"{HOST_NAME}\n", encoding="ascii")
    for user in users:
        user.home.mkdir(parents=True)
        os.chown(user.home, user.uid, user.uid)


def _add(path: Path, lines: list[str]) -> None:
    ours = {key for account in ACCOUNTS.values() for key in (account.name, str(account.uid))}
    old = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    kept = [line for line in old if ours.isdisjoint({line.split(":")[0], *line.split(":")[2:3]})]
    path.write_text("\n".join([*kept, *lines, ""]), encoding="utf-8", errors="surrogateescape")
