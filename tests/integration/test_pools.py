"""Slurm's own pools on a real slurmctld: its figures are the daemon's, jobs are charged, nothing depends on them."""

from __future__ import annotations

import grp
import re
from collections.abc import Iterator, Sequence

import pytest

from sandbox.options import Options
from sandbox.site import Site
from sandbox.slurm import SubmitRefused
from slurm_amlfs.adapters.pools import FILE_NAME, PoolsFile
from slurm_amlfs.domain.capacity import Pool
from tests.integration import seeing
from tests.integration.conftest import FAST

pytestmark = pytest.mark.integration

GIB = 1 << 30
TOTAL = 95
"""Of 100 GiB, less the reserve."""
SCRIPT = '#!/bin/sh\n#AMLFS stage_in prefix=/{name}/ capacity={size} pool=lustre\ncat "$AMLFS_IMPORT_DIR"/in\n'
FEW_STAGED = "SchedulerParameters=batch_sched_delay=1,nohold_on_prolog_fail,bb_array_stage_cnt=2"
"""Slurm's last word for the key: two tasks of an array are split off to be staged at a time."""
UNITS = {"": 1, "KiB": 1 << 10, "KB": 1000, "MiB": 1 << 20, "MB": 10**6, "GiB": 1 << 30, "GB": 10**9}


@pytest.fixture(scope="module")
def pooled(_in_a_cell: None) -> Iterator[Site]:
    """A site with pools, and a file system of 100 GiB."""
    emulator = (*FAST, f"--capacity-bytes={100 * GIB}")
    options = Options(emulator=emulator, slot=("pools = true",), slurm_conf=(FEW_STAGED,))
    with Site.temporary(options) as site:
        site.wait(lambda: bool(posted(site)), seeing.LONG, "the daemon posts its figures")
        site.slurmctld.restart()  # Slurm asks at its start, and every 30 s
        yield site


def posted(site: Site) -> tuple[Pool, ...]:
    """Read what the daemon posted."""
    return PoolsFile(site.state_dir, -1).posted()


def post(site: Site, pools: Sequence[Pool]) -> None:
    """Post figures in the daemon's place, readable for SlurmUser as its own are."""
    PoolsFile(site.state_dir, grp.getgrnam("slurm").gr_gid).post(pools)


def shown(site: Site) -> dict[str, float]:
    """Read the pool's space in GiB from `scontrol show burst`; empty while Slurm knows no pool."""
    text = site.run(None, ["scontrol", "show", "burst"])
    pool = re.search(r"PoolName\[\d+\]=lustre (.*)", text)
    found = re.findall(r"(\w+)=(\d+)(\w*)", pool[1] if pool else "")
    return {name: int(number) * UNITS[unit] / GIB for name, number, unit in found}


def used(site: Site) -> float:
    """Read how many GiB of the pool Slurm has charged."""
    return shown(site)["UsedSpace"]


def test_slurm_shows_the_daemons_figures(pooled: Site) -> None:
    """Total is the file system less its reserve, free is what admission would let in."""
    assert posted(pooled) == (Pool("lustre", TOTAL, TOTAL),)
    assert shown(pooled) == {"Granularity": 1, "TotalSpace": TOTAL, "FreeSpace": TOTAL, "UsedSpace": 0}


def test_a_job_is_charged_from_its_stage_in_to_its_end(pooled: Site, name: str) -> None:
    """Within the pool it stages in and runs; its capacity, rounded up, is used meanwhile and given back after."""
    seeing.put_blob(pooled, f"{name}/in", b"x")
    with seeing.held(pooled, "import"):
        job = pooled.submit("alice", SCRIPT.format(name=name, size="10241MiB"))
        seeing.wait_for_reason(pooled, job, "BurstBufferStageIn")
        assert used(pooled) == 11
    seeing.wait_for_state(pooled, job, "COMPLETED")
    seeing.wait_until_closed(pooled, job)
    pooled.wait(lambda: used(pooled) == 0, seeing.LONG, "the pool has its space back")


def test_a_job_that_does_not_fit_beside_others_waits_in_slurm(pooled: Site, name: str) -> None:
    """It is not staged in while others are charged, and is when they are gone."""
    for part in ("first", "second"):
        seeing.put_blob(pooled, f"{name}-{part}/in", b"x")
    with seeing.held(pooled, "import"):
        first = pooled.submit("alice", SCRIPT.format(name=f"{name}-first", size="60GiB"))
        seeing.wait_for_reason(pooled, first, "BurstBufferStageIn")
        second = pooled.submit("bob", SCRIPT.format(name=f"{name}-second", size="60GiB"))
        seeing.wait_for_reason(pooled, second, "BurstBufferResources")
        other = pooled.submit("bob", "#!/bin/sh\ntrue\n")
        seeing.wait_for_state(pooled, other, "COMPLETED")
        assert used(pooled) == 60
    for job in (first, second):
        seeing.wait_until_closed(pooled, job)
    pooled.wait(lambda: used(pooled) == 0, seeing.LONG, "the pool has its space back")


def test_more_than_the_pool_is_refused_with_one_line(pooled: Site, name: str) -> None:
    """Slurm would let it wait for ever."""
    with pytest.raises(SubmitRefused) as refused:
        pooled.submit("alice", SCRIPT.format(name=name, size="96GiB"))
    line, slurms = str(refused.value).strip().splitlines()
    assert line.endswith(
        'amlfs: capacity= of 96 GiB in all is more than the pool "lustre" ever has, 95 GiB; ask for less'
    )
    assert "Burst Buffer request invalid" in slurms


def test_what_is_measured_beyond_the_capacity_is_charged_and_said(pooled: Site, name: str) -> None:
    """Slurm charges what was found where that is more, and the board names both figures."""
    seeing.put_blob(pooled, f"{name}/in", b"x")
    seeing.put_sparse(pooled, f"{name}/large", GIB + 4096)
    script = (
        SCRIPT.format(name=name, size="1GiB") + f'while ! [ -e "{pooled.home("alice")}/{name}" ]; do sleep 0.2; done\n'
    )
    job = pooled.submit("alice", script)
    seeing.wait_for_state(pooled, job, "RUNNING")
    assert used(pooled) == pytest.approx(1 + 4097 / GIB, rel=1e-9)
    assert "1.0 GiB are measured, more than the capacity= of 1.0 GiB" in pooled.status(job)["message"]
    (pooled.home("alice") / name).touch()
    seeing.wait_until_closed(pooled, job)
    pooled.wait(lambda: used(pooled) == 0, seeing.LONG, "the pool has its space back")


def test_a_task_that_is_split_off_while_the_pool_is_too_small_is_not_lost(pooled: Site, name: str) -> None:
    """Slurm asks job_process about each task long after the submission, and a refusal would leave it hanging."""
    seeing.put_blob(pooled, f"{name}/in", b"x")
    pooled.daemon.stop()
    figures = posted(pooled)
    try:
        array = pooled.submit("alice", SCRIPT.format(name=name, size="40GiB"), "--array=0-5")
        pooled.wait(lambda: len(records(pooled, array)) == 3, seeing.LONG, "two tasks and the others")
        post(pooled, [Pool("lustre", 5, 5)])
        pooled.run(None, ["scontrol", "update", f"JobId={array}_3,{array}_4", "Nice=1"])  # splits both off
        pooled.wait(lambda: len(records(pooled, array)) == 5, seeing.LONG, "two tasks more")
    finally:
        post(pooled, figures)
        pooled.daemon.start()
    pooled.wait(lambda: not records(pooled, array), 3 * seeing.LONG, "the end of all tasks")
    for task in range(6):
        assert (pooled.home("alice") / f"slurm-{array}_{task}.out").read_text() == "x"


def test_a_task_whose_grant_went_while_it_was_in_its_array_is_held_with_a_line(pooled: Site, name: str) -> None:
    """What came to be wrong after the submission is the daemon's to say, whenever the task is split off."""
    seeing.put_blob(pooled, f"{name}/in", b"x")
    config = pooled.config.read_text(encoding="utf-8")
    pooled.daemon.stop()
    array = pooled.submit("alice", SCRIPT.format(name=name, size="1GiB"), "--array=0-3")
    pooled.wait(lambda: len(records(pooled, array)) == 3, seeing.LONG, "two tasks and the others")
    pooled.run(None, ["scontrol", "update", f"JobId={array}_2", "Nice=1"])  # splits it off
    try:
        pooled.config.write_text(config.replace('import = ["/"]', 'import = ["/other/"]'), encoding="utf-8")
        pooled.daemon.start()
        pooled.wait(
            lambda: told(pooled, array, "may not import") == 3,
            3 * seeing.LONG,
            "three lines",
        )
    finally:
        pooled.config.write_text(config, encoding="utf-8")
        pooled.daemon.restart()
        pooled.run("alice", ["scancel", str(array)])
    pooled.wait(lambda: used(pooled) == 0, seeing.LONG, "the pool has its space back")


def records(site: Site, array: int) -> list[str]:
    """List an array's records that have not ended: its tasks that were split off, and what is left of it."""
    shown = site.run(None, ["squeue", "--noheader", "--array", f"--jobs={array}", "--Format=JobID"])
    return list(dict.fromkeys(shown.split()))  # what is left of the array is shown once for each of its tasks


def told(site: Site, array: int, words: str) -> int:
    """Count the tasks of an array that are held with these words."""
    return sum(words in site.job(int(job)).get("SystemComment", "") for job in records(site, array))


def test_jobs_without_capacity_need_no_pools(pooled: Site, name: str) -> None:
    """With the file gone, the daemon down, and Slurm started anew, they are taken, staged and run."""
    seeing.put_blob(pooled, f"{name}/in", b"x")
    pooled.daemon.stop()
    (pooled.state_dir / FILE_NAME).unlink()
    pooled.slurmctld.restart()
    script = "#!/bin/sh\ntrue\n"
    plain = pooled.submit("bob", script)
    job = pooled.submit("alice", script, f"--amlfs-import=/{name}/")
    seeing.wait_for_state(pooled, plain, "COMPLETED")
    with pytest.raises(SubmitRefused, match="amlfs: this site has no pools; leave capacity= and pool= out"):
        pooled.submit("alice", SCRIPT.format(name=name, size="1GiB"))
    assert not shown(pooled)
    pooled.daemon.start()
    seeing.wait_until_closed(pooled, job)
    pooled.wait(lambda: shown(pooled).get("TotalSpace") == TOTAL, seeing.LONG, "Slurm knows its pool again")


def test_a_slurm_that_starts_without_its_pool_lets_jobs_go_on(pooled: Site, name: str) -> None:
    """Pools turned off while a job holds capacity: after a restart of Slurm too, it is staged in, runs and ends."""
    seeing.put_blob(pooled, f"{name}/in", b"x")
    config = pooled.config.read_text(encoding="utf-8")
    try:
        with seeing.held(pooled, "import"):
            job = pooled.submit("alice", SCRIPT.format(name=name, size="10GiB"))
            seeing.wait_for_reason(pooled, job, "BurstBufferStageIn")
            pooled.config.write_text(config.replace("pools = true", "pools = false"), encoding="utf-8")
            pooled.daemon.restart()
            assert not (pooled.state_dir / FILE_NAME).exists()
            assert shown(pooled)["TotalSpace"] == TOTAL
            pooled.slurmctld.restart()
            assert not shown(pooled)
        pooled.wait(lambda: seeing.has_word(pooled, job, "closed"), 3 * seeing.LONG, "the job is closed")
        assert pooled.job(job)["JobState"] == "COMPLETED"
    finally:
        pooled.config.write_text(config, encoding="utf-8")
        pooled.daemon.restart()
