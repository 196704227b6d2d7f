"""What is wrong with the whole, when each key is right by itself."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from uuid import UUID

from slurm_amlfs.config.parts import ANY, Config
from slurm_amlfs.domain.endpoint import on_loopback
from slurm_amlfs.domain.quote import quote
from slurm_amlfs.domain.world import Mode

_NOBODYS = str(UUID(int=0))
"""The sample's subscription. The emulator may have it: there it names nothing."""

_BLANKS = frozenset({"ACCOUNT", "CONTAINER", "PORT"})
"""The sample's words for what an admin fills in. No account or container is named so: theirs are lower case."""


_RENEWALS = 5
"""A holder acts for half of takeover_seconds after it was renewed, and one late or lost renewal must not stop it."""


def contradictions(config: Config) -> Iterator[str]:
    """Yield what is wrong between keys that are each right."""
    systems = config.file_systems
    if not systems:
        yield "file_system: there is none; add a [[file_system]] block"
    yield from _twice("name", [system.name for system in systems], "give each its own")
    yield from _twice("mount", [str(system.mount) for system in systems], "one mount is one file system")
    resources = [f"{one.subscription}/{one.resource_group}/{one.amlfs}".lower() for one in systems]
    yield from _twice("amlfs", resources, "name each Azure resource once, it has one slot only")
    least = config.standby.renew_seconds * _RENEWALS
    if config.standby.takeover_seconds < least:
        yield (
            f"standby.takeover_seconds: {config.standby.takeover_seconds:g} is too little for renew_seconds = "
            f"{config.standby.renew_seconds:g}; write {least:g} or more, or renew more often"
        )
    if config.slurm.mode is Mode.HOLD and config.slot.pools:
        yield "slot.pools: Slurm counts pools only with its burst buffer plugin; remove it, or slurm.mode"
    known = {ANY, *(system.name for system in systems)}
    named = [(f"grant[{number}]", it.file_system) for number, it in enumerate(config.grants, 1)]
    named += [(f"age_limit[{number}]", it.file_system) for number, it in enumerate(config.age_limits, 1)]
    for block, name in named:
        if name not in known:
            yield (
                f"{block}.file_system: {name!r} is no configured file system; write one of {', '.join(sorted(known))}"
            )
    places = Counter((it.file_system, it.prefix) for it in config.age_limits)
    for (name, prefix), count in places.items():
        if count > 1:
            yield f"age_limit.prefix: {quote(prefix)} of file system {name} is there {count} times; leave one of them"


def _twice(key: str, values: Sequence[str], mend: str) -> Iterator[str]:
    for value, count in Counter(values).items():
        if count > 1:
            yield f"file_system.{key}: {value!r} is there {count} times; {mend}"


def left_as_they_were(config: Config) -> Iterator[str]:
    """Yield where the sample's placeholders still stand."""
    emulated = on_loopback(config.azure.arm_url)
    for number, system in enumerate(config.file_systems, 1):
        if system.subscription == _NOBODYS and not emulated:
            yield (
                f"file_system[{number}].subscription: {quote(_NOBODYS)} is the sample's; "
                f"write yours, as `az account show --query id` tells it"
            )
        words = re.split("[/.:]+", system.container_url)
        if blanks := [word for word in words if word in _BLANKS]:
            yield (
                f"file_system[{number}].container_url: {quote(system.container_url)} is the sample's; "
                f"write the site's own name for {' and '.join(blanks)}"
            )


def idle(config: Config, is_user: Callable[[str], bool]) -> Iterator[str]:
    """Yield what lets nobody move anything, and names that this host does not know."""
    if not is_user(config.slurm.user):
        yield f"slurm.user: there is no user {quote(config.slurm.user)} on this host; write slurm.conf's SlurmUser"
    if not config.grants:
        yield "grant: there is none, so nobody may move anything; add a [[grant]] block, as in etc/amlfs.toml"
    for number, grant in enumerate(config.grants, 1):
        if not grant.imports and not grant.exports:
            yield f'grant[{number}]: grants nothing; add import = ["/data/"] or export = ["/jobs/"], or remove it'
        for place, user in enumerate(grant.users, 1):
            if user != ANY and not is_user(user):
                yield (
                    f"grant[{number}].users[{place}]: there is no user {quote(user)} on this host; "
                    f"correct the name or create the user"
                )
