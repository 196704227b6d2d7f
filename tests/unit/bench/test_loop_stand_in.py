"""What `make bench BENCH=loop` puts in the place of Slurm, held to what the product asks of Slurm by now."""

from __future__ import annotations

import threading
from pathlib import Path

from bench import loop
from sandbox.watch import until
from slurm_amlfs.adapters.slurm_cli import SlurmCommands

SECONDS = 30.0


def test_every_field_that_squeue_is_asked_for_is_printed(tmp_path: Path) -> None:
    """And read as a waiting job with its directive."""
    loop.stand_in(tmp_path, 12)
    slurm = SlurmCommands(tmp_path)
    jobs = slurm.jobs(range(1, 13))
    assert sorted(jobs) == list(range(1, 13))
    assert {it.job_state for it in jobs.values()} == {"PENDING"}
    assert all(it.submitted for it in jobs.values())
    directives = [(f"stage_in prefix=/data/{number // loop.SHARED}/",) for number in range(1, 13)]
    assert [it.directives for it in slurm.queue()] == directives
    assert [it.job_id for it in slurm.living()] == list(range(1, 13))


def test_the_daemon_of_the_benchmark_hears_its_jobs(tmp_path: Path) -> None:
    """Each gets a board, so the benchmark measures stages and not an idle loop."""
    loop.stand_in(tmp_path, 12)
    inbox, board = tmp_path / "state" / "inbox", tmp_path / "state" / "board"
    stop = threading.Event()
    daemon = threading.Thread(target=loop.serve, args=(tmp_path, stop))
    daemon.start()
    try:
        until((inbox / "new").is_dir, SECONDS, "the daemon is up")
        for number in range(1, 13):
            loop.submit(inbox, number)
        until(lambda: len(list(board.iterdir())) >= 12, SECONDS, "all have a board")
    finally:
        stop.set()
        daemon.join(SECONDS)
    assert not daemon.is_alive()
