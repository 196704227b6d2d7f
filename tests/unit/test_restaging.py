"""How a job that Slurm has left behind is staged anew: what is cancelled can be requeued, and what runs is let run."""

from __future__ import annotations

from pathlib import Path

import pytest

from slurm_amlfs.adapters.slurm_cli import SlurmCommands
from slurm_amlfs.errors import PermanentError, TemporaryError

UPDATE, CANCEL, REQUEUE = "scontrol update JobId=7 Requeue=1", "scancel --state=PENDING 7", "scontrol requeue 7"


class Cluster:
    """One job, number 7, in programs that are Slurm's to the adapter.

    `scancel` and `scontrol WORD` bring it to the state that they are given here, or fail; GONE ends its record.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.slurm = SlurmCommands(folder)
        self.show("PENDING")
        self.does("scancel", "CANCELLED")
        self.does("update", "")
        self.does("requeue", "PENDING")
        self._program(
            "squeue",
            "for a; do case $a in --Format=*) m=${a#*:0}; m=${m%%,*};; esac; done\n"
            'state=$(cat state); [ "$state" != GONE ] || exit 0\n'
            "for f in 7 1 $state $(cat bb) 0 0 $(cat priority) 1 1795 $(cat task) none alice None; do\n"
            'printf %s%s "$f" "$m"; done; echo',
        )
        does = '. "./$1.does"'
        self._program("scancel", f'echo "scancel $*" >> said\nset -- scancel\n{does}')
        self._program("scontrol", f'echo "scontrol $*" >> said\n{does}')

    def show(self, state: str, task: str = "7 N/A", bb: str = "staging-in", priority: int = 1) -> None:
        """Have squeue show this state of the job and of its buffer, this array and task, and this priority."""
        for name, text in (("state", state), ("task", task), ("bb", bb or '""'), ("priority", str(priority))):
            (self._folder / name).write_text(text)

    def does(self, command: str, state: str, bb: str = "", priority: int | None = None) -> None:
        """Let a command bring the job to this state, and its buffer and priority to these; "" or None leaves them."""
        changes = (("state", state), ("bb", bb), ("priority", "" if priority is None else str(priority)))
        lines = [f"printf {text} > {name}\n" for name, text in changes if text]
        (self._folder / f"{command}.does").write_text("".join(lines) or "true\n")

    def refuses(self, command: str, state: str = "") -> None:
        """Let a command fail, while the job comes to this state."""
        self.does(command, state)
        with (self._folder / f"{command}.does").open("a") as file:
            file.write("echo 'slurm_x error: no' >&2; exit 1\n")

    @property
    def state(self) -> str:
        """What the job is in."""
        return (self._folder / "state").read_text()

    @property
    def said(self) -> list[str]:
        """What the commands were told, in turn."""
        path = self._folder / "said"
        return path.read_text().splitlines() if path.exists() else []

    def _program(self, name: str, text: str) -> None:
        path = self._folder / name
        path.write_text(f"#!/bin/sh\ncd {self._folder}\n{text}\n")
        path.chmod(0o755)


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    """Make one whose job is pending."""
    return Cluster(tmp_path)


def test_a_job_is_made_requeueable_before_it_is_cancelled(cluster: Cluster) -> None:
    """One of `--no-requeue` would be cancelled for good."""
    cluster.slurm.restage(7)
    assert cluster.said == [UPDATE, CANCEL, REQUEUE]
    assert cluster.state == "PENDING"


def test_one_that_cannot_be_requeued_is_not_cancelled(cluster: Cluster) -> None:
    """The error says why; nothing else was done."""
    cluster.refuses("update")
    with pytest.raises(PermanentError, match=r"refuses to let job 7 be requeued \(.* no\), so it is not cancelled"):
        cluster.slurm.restage(7)
    assert cluster.said == [UPDATE]
    assert cluster.state == "PENDING"


@pytest.mark.parametrize("state", ["RUNNING", "COMPLETING", "GONE"])
def test_what_has_begun_or_is_gone_by_the_update_is_left_alone(cluster: Cluster, state: str) -> None:
    """That it was refused says nothing then."""
    cluster.refuses("update", state)
    cluster.slurm.restage(7)
    assert cluster.state == state
    assert cluster.said == [UPDATE]


@pytest.mark.parametrize("state", ["RUNNING", "CONFIGURING", "COMPLETED", "GONE"])
def test_what_begins_before_the_cancel_is_not_requeued(cluster: Cluster, state: str) -> None:
    """Scancel passes over what is not pending, and a requeue would end what runs."""
    cluster.does("scancel", state)
    cluster.slurm.restage(7)
    assert cluster.said == [UPDATE, CANCEL]
    assert cluster.state == state


def test_what_is_not_cancelled_is_not_requeued(cluster: Cluster) -> None:
    """The cancel is tried again."""
    cluster.refuses("scancel")
    with pytest.raises(TemporaryError, match="does not cancel job 7"):
        cluster.slurm.restage(7)
    assert cluster.said == [UPDATE, CANCEL]


def test_a_death_after_the_cancel_leaves_the_requeue(cluster: Cluster) -> None:
    """The next daemon finds the job cancelled, and Slurm takes no update of such a one."""
    cluster.refuses("requeue")
    with pytest.raises(TemporaryError, match="does not requeue job 7"):
        cluster.slurm.restage(7)
    assert cluster.state == "CANCELLED"
    cluster.refuses("update")
    cluster.does("requeue", "PENDING")
    cluster.slurm.restage(7)
    assert cluster.said == [UPDATE, CANCEL, REQUEUE, REQUEUE]
    assert cluster.state == "PENDING"


def test_of_an_array_one_task_is_meant(cluster: Cluster) -> None:
    """Its last task has the array's id, by which Slurm would requeue all of them, those that run too."""
    cluster.show("PENDING", "7 3")
    cluster.slurm.restage(7)
    assert cluster.said == [it.replace("7", "7_3") for it in (UPDATE, CANCEL, REQUEUE)]


def test_a_stage_out_of_one_task_is_ended(cluster: Cluster) -> None:
    """In a hurry the others would be killed."""
    cluster.show("STAGE_OUT", "7 3")
    cluster.does("scancel", "COMPLETED")
    cluster.slurm.end_stage_out(7)
    assert cluster.said == ["scancel --hurry 7_3"]


def lost(cluster: Cluster) -> None:
    """Have the job cancelled, and its teardown lost."""
    cluster.show("CANCELLED", bb="teardown")
    cluster.does("requeuehold", "PENDING", bb="complete", priority=0)
    cluster.does("scancel", "CANCELLED", bb="complete")


def test_a_teardown_that_was_lost_is_made_by_a_requeue_and_another_cancel(cluster: Cluster) -> None:
    """Each in a call of its own: the cancel would kill the teardown that the requeue has begun."""
    lost(cluster)
    with pytest.raises(TemporaryError, match="job 7 is requeued and held"):
        cluster.slurm.tear_down_again(7)
    assert cluster.said == ["scontrol requeuehold 7"]
    cluster.slurm.tear_down_again(7)
    cluster.slurm.tear_down_again(7)
    assert cluster.said == ["scontrol requeuehold 7", "scancel --state=PENDING 7"]


def test_a_job_that_slurm_does_not_requeue_is_left_to_a_restart(cluster: Cluster) -> None:
    """One of `--no-requeue`."""
    lost(cluster)
    cluster.refuses("requeuehold")
    with pytest.raises(PermanentError, match=r"refuses to requeue job 7 \(.* no\); restart slurmctld"):
        cluster.slurm.tear_down_again(7)


def test_what_is_torn_down_gone_or_let_go_is_not_torn_down_again(cluster: Cluster) -> None:
    """Whoever released it wants it to run."""
    for state, bb, priority in (("CANCELLED", "complete", 1), ("PENDING", "staging-in", 1), ("GONE", "", 1)):
        cluster.show(state, bb=bb, priority=priority)
        cluster.slurm.tear_down_again(7)
    assert cluster.said == []
