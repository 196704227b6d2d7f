"""For how long a proof serves later jobs: by the general rule, or by what the site says of a prefix. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from slurm_amlfs.domain.prefix import Namespace, covers

EVERY = "*"
"""Stands for every file system."""


@dataclass(frozen=True, slots=True)
class AgeLimit:
    """Under `prefix`, which ends with "/", a proof serves later jobs up to this age; zero: it serves none."""

    file_system: str
    prefix: str
    age: timedelta


@dataclass(frozen=True, slots=True)
class Belief:
    """How long a proof may be believed.

    `usual` is the bound of the general rule, by which a proof is believed for some times what it cost; None where the
    site's limits stand in for it. `age` is the strictest of those limits, None without any.
    """

    usual: timedelta | None
    age: timedelta | None = None


def belief(limits: Sequence[AgeLimit], namespace: Namespace, fs: str, prefix: str, usual: timedelta) -> Belief:
    """Say how long a proof of a prefix is believed: the longest limit's prefix that takes it in decides.

    A limit on something below the prefix holds for it as well, since it is proved along with the rest.
    """
    mine = [it for it in limits if it.file_system in {EVERY, fs}]
    if not mine:
        return Belief(usual)
    above = [it for it in mine if covers(namespace, it.prefix, prefix)]
    # Of two that are equal, the one that names its file system decides.
    nearest = max(above, key=lambda it: (len(it.prefix), it.file_system != EVERY), default=None)
    ages = [_age_below(mine, it.prefix) for it in mine if it not in above and covers(namespace, prefix, it.prefix)]
    if nearest is not None:
        ages.append(nearest.age)
    return Belief(usual if nearest is None else None, min(ages, default=None))


def _age_below(limits: Sequence[AgeLimit], prefix: str) -> timedelta:
    same = [it for it in limits if it.prefix == prefix]
    return max(same, key=lambda it: it.file_system != EVERY).age
