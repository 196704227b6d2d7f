"""How many cases a property is tried on: each test says it for `make test`; `make check` tries a quarter of them."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import settings

THOROUGH = 100
"""Hypothesis' own default, which is what the profile of `make test` has."""
FEWEST = 10
"""Less than this says little."""


def examples(most: int, **more: Any) -> settings:  # noqa: ANN401 - whatever Hypothesis may be told
    """Try a property on `most` cases in `make test`, and on its share in a profile with fewer.

    `settings(max_examples=...)` would be the same number under every profile.
    """
    return settings(max_examples=min(most, max(FEWEST, round(most * share()))), **more)


def seeds(most: int) -> range:
    """Give the seeds of walks that draw by themselves, in `make test` so many."""
    return range(math.ceil(most * share()))


def share() -> float:
    """Say which share of all cases is tried under the profile that is loaded."""
    return settings().max_examples / THOROUGH
