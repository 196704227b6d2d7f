"""A job that waits: in the queue, without a node, told how far it is; and cancelled without a trace."""

from __future__ import annotations

import json

import pytest

from sandbox.site import Site
from slurm_amlfs.wire import Request, RequestKind
from tests.integration import buffers, seeing

pytestmark = pytest.mark.integration

TRUE = "#!/bin/sh\ntrue\n"


def test_a_waiting_job_holds_no_node_and_others_run(site: Site, name: str) -> None:
    """Reason BurstBufferStageIn, no node, bbstat and status speak, a job without directives runs meanwhile."""
    seeing.put_blob(site, f"{name}/in", b"x")
    with seeing.held(site, "import"):
        job = site.submit("alice", TRUE, f"--amlfs-import=/{name}/")
        seeing.wait_for_reason(site, job, "BurstBufferStageIn")
        site.wait(lambda: seeing.phase(site, job) == "importing", seeing.LONG, "the import runs")
        other = site.submit("bob", TRUE)
        seeing.wait_for_state(site, other, "COMPLETED")

        record = site.job(job)
        assert record["JobState"] == "PENDING"
        assert record["NodeList"] in {"", "(null)"}
        assert "BurstBufferStageIn" in site.run("alice", ["squeue", "-h", "-j", str(job), "-o", "%r"])
        assert "StageIn=importing" in site.run("alice", ["scontrol", "show", "bbstat", str(job)])
        told = json.loads(site.run("alice", [*site.cli, "status", str(job), "--json"]))
        assert (told["phase_in"], told["files_total"]) == ("importing", 1)
        site.wait(lambda: "importing" in site.job(job).get("AdminComment", ""), seeing.LONG, "AdminComment tells")
    seeing.wait_until_closed(site, job)


def test_others_may_not_read_a_board(site: Site, name: str) -> None:
    """A job's board is its owner's."""
    seeing.put_blob(site, f"{name}/in", b"x")
    job = site.submit("alice", TRUE, f"--amlfs-import=/{name}/")
    seeing.wait_until_closed(site, job)
    for command in ("status", "retry", "cancel"):
        with pytest.raises(RuntimeError, match="another user"):
            site.run("bob", [*site.cli, command, str(job)])
    with pytest.raises(RuntimeError, match=f"exited with 1: slurm-amlfs: job {job} is closed: nothing to retry"):
        site.run("alice", [*site.cli, "retry", str(job)])


def test_scancel_during_stage_in_leaves_nothing(site: Site, name: str) -> None:
    """The import is cancelled, the job is gone, nothing is left on the board, in the inbox or in Slurm."""
    seeing.put_blob(site, f"{name}/in", b"x")
    with seeing.held(site, "import"):
        job = site.submit("alice", TRUE, f"--amlfs-import=/{name}/")
        site.wait(lambda: bool(seeing.imports_of(site, name)), seeing.LONG, "the import runs")
        site.run("alice", ["scancel", str(job)])
        seeing.wait_for_state(site, job, "CANCELLED")
        site.wait(lambda: seeing.imports_of(site, name)[0].ended is not None, seeing.LONG, "the import ends")
    assert seeing.imports_of(site, name)[0].outcome == "Canceled"
    state = site.state_dir
    buffers.wait_until_freed(site, job)
    site.wait(lambda: not (state / "board" / str(job)).exists(), seeing.LONG, "the board goes")
    site.wait(lambda: not list((state / "asks").glob(f"{job}.*")), seeing.LONG, "the asks go")
    folders = [state / "inbox" / it for it in ("new", "cur", "tmp")]
    site.wait(lambda: not [it for folder in folders for it in folder.iterdir()], seeing.LONG, "the inbox is empty")


def test_an_import_that_another_job_needs_survives_the_cancel(site: Site, name: str) -> None:
    """Two jobs share one import; one is cancelled while it runs; it goes on, and the other gets its data."""
    seeing.put_blob(site, f"{name}/in", b"x")
    seeing.put_blob(site, f"{name}-first/in", b"x")
    overhead = site.faults.rates().import_overhead_seconds
    try:
        with seeing.held(site, "import"):
            first = site.submit("alice", TRUE, f"--amlfs-import=/{name}-first/")
            site.wait(lambda: bool(seeing.imports_of(site, f"/{name}-first/")), seeing.LONG, "the slot is taken")
            site.faults.set_rates(import_overhead_seconds=6)
            pair = [site.submit(user, TRUE, f"--amlfs-import=/{name}/") for user in ("alice", "bob")]
            for job in pair:
                site.wait(lambda job=job: seeing.phase(site, job) == "waiting", seeing.LONG, "both wait")
        site.wait(lambda: bool(seeing.imports_of(site, f"/{name}/")), seeing.LONG, "their import runs")
        for job in pair:
            seeing.wait_for_phase(site, job, "importing")
        site.run("alice", ["scancel", str(pair[0])])
        seeing.wait_for_state(site, pair[0], "CANCELLED")
        for job in (first, pair[1]):
            seeing.wait_until_closed(site, job)
    finally:
        site.faults.set_rates(import_overhead_seconds=overhead)
    (action,) = seeing.imports_of(site, f"/{name}/")
    assert action.outcome == "Completed"


def test_a_prefix_with_nothing_under_it_holds_the_job(site: Site, name: str) -> None:
    """Held, with the reason in the job record, and no import was spent."""
    job = site.submit("alice", TRUE, f"--amlfs-import=/{name}/")
    site.wait(lambda: f"no blobs under /{name}/" in site.job(job).get("SystemComment", ""), seeing.LONG, "the message")
    record = site.job(job)
    assert record["JobState"] == "PENDING"
    assert record["Priority"] == "0"
    assert not seeing.imports_of(site, name)
    site.run("alice", ["scancel", str(job)])
    site.wait(lambda: not (site.state_dir / "board" / str(job)).exists(), seeing.LONG, "the board goes")


def test_a_job_held_for_its_prefix_runs_once_it_is_mended_and_released(site: Site, name: str) -> None:
    """After an operator's release the stage-in begins anew, and the job runs."""
    job = site.submit("alice", TRUE, f"--amlfs-import=/{name}/")
    site.wait(lambda: "no blobs under" in site.job(job).get("SystemComment", ""), seeing.LONG, "the message")
    seeing.put_blob(site, f"{name}/in", b"x")
    site.run(None, ["scontrol", "release", str(job)])
    seeing.wait_for_state(site, job, "COMPLETED")


def test_blobs_that_fail_within_the_limit_are_named_in_the_receipt_and_counted(site: Site, name: str) -> None:
    """Two of ten blobs fail: the job starts, its receipt names them, AdminComment counts them."""
    for number in range(10):
        seeing.put_blob(site, f"{name}/f{number}", b"x")
    site.faults.set(seeing.Fault(seeing.Name.PARTIAL, "import", blobs=(f"{name}/f3", f"{name}/f7")))
    try:
        script = '#!/bin/sh\ncat "$AMLFS_MOUNT/.amlfs/receipts/$SLURM_JOB_ID"\n'
        job = site.submit("alice", script, f"--amlfs-import=/{name}/", f"--output={site.home('alice')}/{name}.out")
        seeing.wait_for_state(site, job, "COMPLETED")
    finally:
        site.faults.clear([seeing.Name.PARTIAL])
    receipt = (site.home("alice") / f"{name}.out").read_text(encoding="utf-8")
    assert f"missing {name}/f3\n" in receipt
    assert f"missing {name}/f7\n" in receipt
    assert "2 blobs are missing" in site.job(job)["AdminComment"]


def test_blobs_that_fail_beyond_the_limit_hold_the_job(site: Site, name: str) -> None:
    """max_errors=1 and two failures: held, with the count."""
    for number in range(4):
        seeing.put_blob(site, f"{name}/f{number}", b"x")
    site.faults.set(seeing.Fault(seeing.Name.PARTIAL, "import", blobs=(f"{name}/f1", f"{name}/f2")))
    try:
        job = site.submit("alice", TRUE, f"--amlfs-import=/{name}/", "--amlfs-max-errors=1")
        site.wait(lambda: "max_errors=1" in site.job(job).get("SystemComment", ""), seeing.LONG, "the message")
    finally:
        site.faults.clear([seeing.Name.PARTIAL])
    assert site.job(job)["JobState"] == "PENDING"
    site.run("alice", ["scancel", str(job)])


def test_a_held_job_that_slurm_asks_for_again_costs_no_import(site: Site, name: str) -> None:
    """Slurm may stage held jobs again when others wait (bb_p_job_try_stage_in); the old answer stands."""
    for number in range(4):
        seeing.put_blob(site, f"{name}/f{number}", b"x")
    site.faults.set(seeing.Fault(seeing.Name.PARTIAL, "import", blobs=(f"{name}/f1", f"{name}/f2")))
    try:
        job = site.submit("alice", TRUE, f"--amlfs-import=/{name}/", "--amlfs-max-errors=1")
        site.wait(lambda: "max_errors=1" in site.job(job).get("SystemComment", ""), seeing.LONG, "the message")
        site.wait(lambda: site.job(job)["Priority"] == "0", seeing.LONG, "the job is held")
        spent = len(seeing.imports_of(site, name))
        again = Request(RequestKind.DATA_IN, job, "1-1", directives=(f"stage_in prefix=/{name}/ max_errors=1",))
        seeing.ask_again(site, again)
        site.wait(lambda: site.status(job)["token_in"] == again.token, seeing.LONG, "the new ask is answered")
        assert site.status(job)["answer_in"] == "error"
        assert len(seeing.imports_of(site, name)) == spent
    finally:
        site.faults.clear([seeing.Name.PARTIAL])
    site.run("alice", ["scancel", str(job)])
