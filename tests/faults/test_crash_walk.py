"""The daemon dies at every named point, by SIGKILL, starts again, and all ends as it does without a death."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from slurm_amlfs.adapters.crash_points import POINTS
from tests.faults.endings import Ending
from tests.faults.ground import Shared
from tests.faults.playing import play, scene_of

_SAVES = tuple(f"store.save:{side}#{times}" for side in ("before", "after") for times in range(2, 30, 4))
"""Between its first and its last, the memory is written at every step of a job's life."""

ALL = (*POINTS, *_SAVES)

_QUICK = 9
"""One of so many is tried where the whole walk would take too long."""

WALK = ALL if os.environ.get("AMLFS_WHOLE_WALK") else ALL[::_QUICK]

_AT_ONCE = 6
"""Most of a scene is waiting."""

Play = Future[tuple[Ending, int]]


@pytest.fixture(scope="module")
def plays(shared: Shared) -> Iterator[dict[str, Play]]:
    """Each point's scene with a death there, and each scene's without, all under way."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        calm = {
            scene: pool.submit(play, shared, _name("calm", scene), scene) for scene in {scene_of(it) for it in WALK}
        }
        dying = {point: pool.submit(play, shared, _name("dies", point), scene_of(point), point) for point in WALK}
        yield {**calm, **dying}
        pool.shutdown(cancel_futures=True)


def _name(word: str, text: str) -> str:
    return f"{word}-" + re.sub("[^a-z0-9]+", "-", text)


@pytest.mark.parametrize("point", WALK)
def test_a_death_changes_nothing(point: str, plays: dict[str, Play]) -> None:
    """The same phases, blobs, HSM states, imports and leases; each duty settles once, and no data is lost."""
    calm, no_deaths = plays[scene_of(point)].result()
    ended, deaths = plays[point].result()
    assert (no_deaths, deaths) == (0, 1), f"the scene {scene_of(point)!r} never came past {point}"
    assert ended == calm
