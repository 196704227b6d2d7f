"""Who may move what: a first form, by user id, file system and prefix.

etc/amlfs_options.lua makes the same check from the `site` file, early and with the same words; the daemon makes this
one with the uid that Slurm gives, and has the last word. Names of users are resolved before they come here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from slurm_amlfs.domain.ask import Ask, Direction
from slurm_amlfs.domain.quote import quote, quote_list
from slurm_amlfs.errors import UserError

EVERYTHING = "*"


@dataclass(frozen=True, slots=True)
class Grant:
    """Leave for some users to move some prefixes.

    `file_system` is a configured name, or "*" for each. `uids` is None for everybody. Prefixes end with "/", so that
    "/jobs/" never takes "/jobs2" along.
    """

    file_system: str
    uids: frozenset[int] | None
    import_prefixes: tuple[str, ...] = ()
    export_prefixes: tuple[str, ...] = ()

    def prefixes(self, direction: Direction) -> tuple[str, ...]:
        """Name what this grant opens in one direction."""
        return self.import_prefixes if direction is Direction.IN else self.export_prefixes


def choose_file_system(asked: str, names: Sequence[str]) -> str:
    """Return the file system that `fs=` means; "" means the site's first.

    Raises:
        UserError: the site has no file system of that name.
    """
    if not names:
        raise UserError("amlfs: this site has no file system; ask its admins to configure one")
    name = asked or names[0]
    if name not in names:
        raise UserError(f"amlfs: unknown file system {quote(name)}; this site has {quote_list(names)}")
    return name


def check(ask: Ask, fs_name: str, uid: int, grants: Sequence[Grant], user: str = "") -> None:
    """Let the ask pass if each of its prefixes begins with a prefix granted to this user on this file system.

    `user` is the name that goes with `uid`, "" if it is not known; only the refusal says it.

    Raises:
        UserError: one of them does not.
    """
    granted = tuple(
        dict.fromkeys(
            prefix
            for grant in grants
            if grant.file_system in {EVERYTHING, fs_name} and (grant.uids is None or uid in grant.uids)
            for prefix in grant.prefixes(ask.direction)
        )
    )
    verb = "import" if ask.direction is Direction.IN else "export"
    for prefix in ask.prefixes:
        if not prefix.startswith(granted):
            raise UserError(
                f"amlfs: {user or f'uid {uid}'} may not {verb} {quote(prefix)} on file system {quote(fs_name)}; "
                + _mend(verb, prefix, granted)
            )


def check_pool(ask: Ask, fs_name: str) -> None:
    """Let the ask pass if the pool that Slurm is to charge, if there is one, is its file system's.

    Raises:
        UserError: it is another's.
    """
    if ask.pool and ask.pool != fs_name:
        raise UserError(
            f"amlfs: pool {quote(ask.pool)} is not the line's file system {quote(fs_name)}; name the same with both"
        )


def site_lines(grants: Sequence[Grant], direction: Direction) -> tuple[str, ...]:
    """Write the grants as the `site` file's "FS UID PREFIX" lines (see wire.Site), one per user and prefix."""
    return tuple(
        dict.fromkeys(
            f"{grant.file_system} {uid} {prefix}"
            for grant in grants
            for prefix in grant.prefixes(direction)
            for uid in ([EVERYTHING] if grant.uids is None else sorted(grant.uids))
        )
    )


def _mend(verb: str, prefix: str, granted: tuple[str, ...]) -> str:
    if prefix + "/" in granted:
        return f'write it with a "/" at its end: {quote(prefix + "/")}'
    if granted:
        return f"granted are {quote_list(granted)}"
    return f"no {verb} is granted there: ask the site's admins"
