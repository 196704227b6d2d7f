"""Slurm's burst buffers of single jobs, and a race of slurmctld's own that leaves one behind."""

from __future__ import annotations

from sandbox.site import Site
from tests.integration import seeing

KILLED = "teardown for JobId={job} terminated by slurmctld"
"""slurmctld's word for it: a cancel of a pending job tells slurmscriptd to kill what runs for the job, and queues the
teardown at once; one that has begun before that was heard is killed too, and not tried again (job_mgr.c: job_signal,
burst_buffer_lua.c: _start_teardown; 22.05 to 26.05)."""


def has_buffer(site: Site, job: int) -> bool:
    """Say whether Slurm has a burst buffer of a job."""
    return f" JobID={job} " in site.run(None, ["scontrol", "show", "burst"])


def wait_until_freed(site: Site, job: int) -> None:
    """Wait until Slurm keeps no burst buffer of a job.

    Where slurmctld says that it has killed the teardown, it is started anew, as an admin would have to:
    then the buffer has to go all the same.
    """

    def freed() -> bool:
        if KILLED.format(job=job) in site.slurmctld.said():
            site.slurmctld.restart()
        return not has_buffer(site, job)

    site.wait(freed, seeing.LONG, f"Slurm keeps no buffer of job {job}")
