"""What the loop lets wait for a thread: the urgent goes first, and what nobody wishes any more is not done."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from slurm_amlfs.domain.view import BlobView, QueuedJob
from slurm_amlfs.domain.world import Ahead
from tests.fakes.blobs import FakeBlobs
from tests.unit.application.loop_site import ALICE, RULES, Site

FORESEEN = 50


class GatedBlobs(FakeBlobs):
    """A container whose listings of what is foreseen wait at a gate. `listed` are the prefixes in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.lock = threading.Lock()
        self.listed: list[str] = []
        self.begun = threading.Semaphore(0)

    def pages(self, prefix: str) -> Iterator[Sequence[BlobView]]:
        """List, when the gate is open."""
        with self.lock:
            self.listed.append(prefix)
        self.begun.release()
        assert prefix == "/a/" or self.gate.wait(60)
        yield from super().pages(prefix)


class Foreseeing(Site):
    """A site of two threads where fifty pending jobs are foreseen, each with a prefix of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, replace(RULES, ahead=Ahead.SUBMIT))

    def begin(self) -> None:
        """Start the daemon on gated blobs."""
        gated = GatedBlobs()
        gated.by_name = self.blobs.by_name
        self.gated = self.blobs = self.arm.blobs = gated
        for number in range(FORESEEN):
            self.blobs.put(f"ahead/{number}/x", 10)
            line = f"stage_in prefix=/ahead/{number}/"
            self.slurm.queued[100 + number] = QueuedJob(100 + number, ALICE, (line,), priority=9000)
        super().begin()

    def foresee(self) -> None:
        """Let the queue be read, and the first listing begin."""
        self.loop.turn(self.now)
        self.turn(0)
        assert self.gated.begun.acquire(timeout=20)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Foreseeing]:
    """Make a site, and stop it."""
    made = Foreseeing(tmp_path)
    yield made
    made.gated.gate.set()
    made.end()


def test_a_staged_job_is_counted_while_all_that_is_foreseen_waits(site: Foreseeing) -> None:
    """Its thread is kept free, so it waits for none of the listings before it."""
    site.foresee()
    site.submit()
    site.loop.turn(site.now)
    assert site.gated.begun.acquire(timeout=20)

    assert [it.split("/")[1] for it in site.gated.listed] == ["ahead", "a"]


def test_what_nobody_will_need_any_more_is_not_counted(site: Foreseeing) -> None:
    """The jobs were cancelled while their counts waited for a thread; the one that had begun is finished."""
    site.foresee()
    site.slurm.queued.clear()
    for _ in range(3):
        # The one at the gate is under way all the time, so the turn must not wait for it.
        look = site.loop._running.futures.get("look queue")  # noqa: SLF001 - nothing else tells when a look is over
        if look is not None:
            look.result(timeout=20)
        site.now = site.now.replace(minute=site.now.minute + 1)
        site.loop.turn(site.now)
    site.gated.gate.set()
    for _ in range(3):
        site.turn()

    assert len(site.gated.listed) == 1
