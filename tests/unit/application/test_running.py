"""Threads are shared by file system: one that hangs keeps its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import wait

import pytest

from slurm_amlfs.application.running import Running
from slurm_amlfs.domain.ask import Conflict
from slurm_amlfs.domain.errand import DropReceipt, Probe, WriteReceipt
from slurm_amlfs.domain.lease import LeaseKey

LONG = 30.0
WORKERS = 2


def probe(fs: str, number: int) -> Probe:
    """Make a walk on a file system."""
    return Probe(LeaseKey(fs, f"/{number}/", Conflict.SKIP, 0), 0)


def well() -> Callable[[], bool]:
    """Do nothing."""
    return lambda: True


@pytest.fixture
def gate() -> threading.Event:
    return threading.Event()


@pytest.fixture
def running(gate: threading.Event) -> Iterator[Running]:
    made = Running(WORKERS, threading.Event())
    yield made
    gate.set()
    assert made.close(LONG)


def test_a_file_system_that_hangs_keeps_only_its_own_threads(running: Running, gate: threading.Event) -> None:
    """Walks, receipts and looks of another go on, and so does what touches none."""

    def hang() -> Callable[[], bool]:
        assert gate.wait(LONG)
        return lambda: True

    for number in range(20):
        running.begin(probe("a", number), hang)
        running.begin(DropReceipt(number, ("a",)), hang)
        running.begin(WriteReceipt(100 + number, 0, 0, 0, ("b", "a"), ""), hang)
        running.look(f"look space a {number}", hang, "a")
    hung = set(running.futures)
    running.begin(probe("b", 0), well)
    running.begin(DropReceipt(200, ("b",)), well)
    running.look("look space b", well, "b")
    running.look("look slurm", well)
    others = [future for key, future in running.futures.items() if key not in hung]
    assert len(others) == 4
    assert not wait(others, LONG).not_done
    assert not any(running.futures[key].done() for key in hung)


def test_the_end_waits_so_long_and_no_longer(running: Running, gate: threading.Event) -> None:
    """What hangs is told; what only waited never begins."""
    begun: list[int] = []

    def hang(number: int) -> Callable[[], bool]:
        begun.append(number)
        gate.wait(LONG)
        return lambda: True

    for number in range(10):
        running.begin(probe("a", number), lambda number=number: hang(number))
    assert not running.close(0.1)
    gate.set()
    assert running.close(LONG)
    assert len(begun) <= WORKERS


def test_walks_of_all_file_systems_are_dropped_when_nobody_wants_them(running: Running, gate: threading.Event) -> None:
    """What has begun goes on."""

    def hang() -> Callable[[], bool]:
        assert gate.wait(LONG)
        return lambda: True

    for number in range(5):
        for fs in ("a", "b"):
            running.begin(probe(fs, number), hang)
    assert running.keep_walks(set())
    assert len(running.futures) == 2 * WORKERS
