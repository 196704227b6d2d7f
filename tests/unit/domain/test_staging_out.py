from __future__ import annotations

from dataclasses import replace

import pytest

from slurm_amlfs.domain.errand import Free, ProveOut, Start
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.report import Exported, Fault, Freed, Trouble
from slurm_amlfs.domain.view import ArchiveState
from slurm_amlfs.wire import Answer, RequestKind
from tests.unit.domain.desk import ALICE, BUSY, Desk, proved, unproved

OUT = "stage_out prefix=/jobs/7/"


def ended(line: str = OUT, code: int = 0) -> Desk:
    """Bring a job to where its data_out hook waits."""
    desk = Desk()
    desk.submit(line)
    desk.run()
    desk.end(line, code=code)
    return desk


def archived(state: ArchiveState = ArchiveState.COMPLETED, error: str = "") -> Desk:
    """Bring a job to where its first archive is over."""
    desk = ended()
    desk.prove_out(unproved("/jobs/7/"))
    desk.start()
    desk.archived(state, error)
    return desk


def test_an_export_goes_from_the_end_of_the_job_to_done() -> None:
    """Files are archived, proved and released; only then is Slurm told that the job may go."""
    desk = ended()
    seen = [desk.answers()[1]]
    desk.prove_out(unproved("/jobs/7/"))
    seen.append(desk.answers()[1])
    desk.start()
    desk.archived()
    seen.append(desk.answers()[1])
    desk.prove_out(proved())
    seen.append(desk.answers()[1])
    desk.free()

    assert seen == [Answer.BUSY] * 4
    assert desk.answers()[1] is Answer.DONE
    assert desk.words()[-4:] == ["ended", "export started", "exported", "released"]


def test_an_archive_that_azure_calls_completed_proves_nothing() -> None:
    """Without evidence for every file the export is not done."""
    desk = archived()
    desk.prove_out(unproved("/jobs/7/", done=2))

    assert desk.answers()[1] is Answer.BUSY
    assert desk.wished(Free) == []


def test_what_is_in_blob_already_needs_no_archive() -> None:
    """Evidence alone counts: all files proved at the first look, no slot is used."""
    desk = ended()
    desk.prove_out(proved())

    assert desk.wished(Start) == []
    assert desk.wish(Free).prefixes == ("/jobs/7/",)


def test_an_empty_export_is_settled_and_says_so() -> None:
    """No files under the prefix: done, with a line in the timeline."""
    desk = ended()
    desk.prove_out(Exported(0, 0, 0, 0))

    assert desk.answers()[1] is Answer.DONE
    assert "nothing to export" in desk.words()
    assert desk.wished(Free) == []


def test_a_proof_that_goes_on_decides_nothing() -> None:
    """A slice of a long proof, or of a long release, is progress: the next is wanted, and no archive."""
    desk = ended()
    desk.prove_out(replace(unproved("/jobs/7/"), settled=False))
    again = desk.wished(ProveOut), desk.wished(Start)
    desk.prove_out(proved())
    desk.report(desk.wish(Free), Freed(1, 10, settled=False))

    assert (len(again[0]), again[1]) == (1, [])
    assert len(desk.wished(Free)) == 1
    assert desk.out().phase is Phase.RELEASING


def test_release_no_keeps_the_files() -> None:
    """release=no: proved is the end."""
    desk = ended(f"{OUT} release=no")
    desk.prove_out(proved())

    assert desk.answers()[1] is Answer.DONE
    assert desk.out().phase is Phase.SETTLED
    assert desk.wished(Free) == []


@pytest.mark.parametrize(
    ("on", "code", "exports"),
    [
        ("always", 0, True),
        ("always", 1, True),
        ("success", 0, True),
        ("success", 1, False),
        ("failure", 0, False),
        ("failure", 1, True),
    ],
)
def test_after_which_ends_outputs_go_out(on: str, code: int, exports: bool) -> None:  # noqa: FBT001 - a column of the table
    """on= against the job's end, as Slurm's record tells it."""
    desk = ended(f"{OUT} on={on}", code=code)

    assert bool(desk.wished(ProveOut)) is exports
    assert (desk.answers()[1] is Answer.DONE) is not exports
    assert ("not exported" in desk.words()) is not exports


def test_exit_code_0_of_a_job_over_its_time_limit_is_no_success() -> None:
    """The hook's 0 decides nothing: Slurm's record has the reason."""
    desk = Desk()
    desk.submit(f"{OUT} on=success")
    desk.run()
    desk.go(
        desk.request(RequestKind.ENDED, code=0),
        desk.request(RequestKind.POST_RUN, code=0),
        desk.request(RequestKind.DATA_OUT, f"{OUT} on=success", code=0),
    )
    before = desk.out().phase
    desk.show("STAGE_OUT", reason="TimeLimit")
    desk.settle()

    assert before is Phase.DECLARED
    assert desk.out().phase is Phase.SETTLED
    assert "not exported" in desk.words()


def test_the_noted_exit_code_counts_when_slurm_forgot_the_job() -> None:
    """After a day without the daemon Slurm may have purged the record; the note is all there is."""
    desk = Desk()
    desk.submit(f"{OUT} on=success")
    desk.go(desk.request(RequestKind.ENDED, code=0), desk.request(RequestKind.DATA_OUT, f"{OUT} on=success"))
    assert desk.jobs is not None
    desk.jobs.clear()
    desk.settle()

    assert desk.wish(ProveOut)


def test_files_under_way_are_waited_for() -> None:
    """Completed can come before the files are archived: no second archive while the copytool is at it."""
    desk = archived()
    for _ in range(5):
        desk.prove_out(unproved(under_way=3))
        desk.go(after=100)
    waited = desk.wished(Start)
    desk.prove_out(proved())

    assert waited == []
    assert desk.out().phase is Phase.RELEASING


def test_files_not_even_begun_get_a_moment() -> None:
    """A request may still be in Lustre's queue when Azure says Completed: ten seconds, then another archive."""
    desk = archived()
    desk.prove_out(unproved("/jobs/7/"))
    desk.go(after=5)
    early = desk.out().todo
    desk.go(after=6)
    desk.prove_out(unproved("/jobs/7/"))

    assert early == ()
    assert desk.wish(Start).transfer.prefixes == ("/jobs/7/",)


def test_a_failed_archive_is_tried_again_at_once() -> None:
    """Files that changed meanwhile make it fail; the next one takes what is left."""
    desk = archived(ArchiveState.FAILED, "files changed")
    desk.prove_out(unproved("/jobs/7/", done=2))

    assert desk.wish(Start)
    assert desk.answers()[1] is Answer.BUSY


def test_files_that_keep_changing_end_in_an_alert() -> None:
    """Three archives without any coming forward: ERROR with their names, the data stays, and it is tried again."""
    desk = ended()
    for _ in range(3):
        desk.prove_out(unproved("/jobs/7/"))
        desk.start()
        desk.archived(ArchiveState.FAILED, "files changed")
    desk.prove_out(unproved("/jobs/7/"))
    answer, message = desk.answers()[1], desk.board().message
    desk.go(after=901)

    assert answer is Answer.ERROR
    assert "3 of 3 files under /jobs/7/ are not proved to be in Blob after 3 exports, and stay on Lustre" in message
    assert "'/jobs/7/a'" in message
    assert message.endswith("Azure said: files changed")
    assert desk.out().phase is Phase.WAITING
    assert desk.wished(Free) == []


def test_a_count_that_goes_up_and_down_is_no_progress() -> None:
    """Nine, eight, nine of ten: without a new best the tries are used up."""
    desk = ended()
    for done in (1, 0, 1):
        desk.prove_out(unproved("/jobs/7/", done=done))
        desk.start()
        desk.archived(ArchiveState.FAILED)
    desk.prove_out(unproved("/jobs/7/", done=1))

    assert desk.answers()[1] is Answer.ERROR


def test_a_long_export_is_not_given_up_while_it_comes_forward() -> None:
    """Each archive brings a file: however many it takes."""
    desk = ended()
    for done in range(8):
        desk.prove_out(unproved("/jobs/7/", files=9, done=done))
        desk.start()
        desk.archived(ArchiveState.FAILED)
    desk.prove_out(unproved("/jobs/7/", files=9, done=8))

    assert desk.answers()[1] is Answer.BUSY
    assert desk.wish(Start)


def test_an_export_that_failed_is_tried_again_until_it_works() -> None:
    """The job has left Slurm; its data is on Lustre only, so the duty stays until it settles."""
    desk = ended()
    desk.report(desk.wish(ProveOut), Trouble(Fault.PERMANENT, "no right", correlation_id="c1"))
    told = desk.answers()[1]
    desk.leave()
    kept = desk.job().closed
    desk.go(after=901)
    desk.settle()
    desk.prove_out(proved())
    desk.free()
    desk.settle()

    assert told is Answer.ERROR
    assert kept is None
    assert desk.out().phase is Phase.SETTLED
    assert desk.job().closed is not None


def test_an_export_that_can_never_work_is_tried_ever_less_often() -> None:
    """After 15 min, 1 h, 6 h, then daily; when a file was proved, soon again."""
    desk = ended()
    pauses = []
    for done in (0, 0, 0, 0, 0, 1):
        if done:
            desk.prove_out(unproved("/jobs/7/", done=done))
            desk.start()
            desk.archived(ArchiveState.FAILED)
        desk.report(desk.wish(ProveOut), Trouble(Fault.PERMANENT, "no right"))
        desk.settle()
        assert desk.out().phase is Phase.FAILED
        decision = desk.decision
        assert decision is not None
        assert decision.wake is not None
        pauses.append((decision.wake - desk.out().since).total_seconds() / 60)
        desk.now = decision.wake
        desk.settle()

    assert pauses == [15, 60, 360, 1440, 1440, 15]


def test_slurm_hears_of_a_failure_when_all_lines_are_over() -> None:
    """The answer ends the job in Slurm, so the other lines come first."""
    lines = ("stage_out prefix=/jobs/7/a/", "stage_out prefix=/jobs/7/b/")
    desk = Desk()
    desk.submit(*lines)
    desk.run()
    desk.end(*lines)
    bad, good = desk.wished(ProveOut)
    desk.report(bad, Trouble(Fault.PERMANENT, "no right"))
    early = desk.answers()[1]
    desk.report(good, Exported(0, 0, 0, 0))

    assert early is Answer.BUSY
    assert desk.answers()[1] is Answer.ERROR
    assert desk.board().message == "no right"


def test_trouble_while_proving_is_waited_out() -> None:
    """A mount that flaps fails no export."""
    desk = ended()
    desk.report(desk.wish(ProveOut), BUSY, after=0)
    said = desk.board().message
    early = desk.wished(ProveOut)
    desk.go(after=2)

    assert said == BUSY.message
    assert early == []
    assert desk.wish(ProveOut)


def test_a_cancelled_export_answers_and_leaves_the_files() -> None:
    """`slurm-amlfs cancel`: Slurm may finish the job, nothing is released."""
    desk = ended()
    desk.settle(replace(desk.request(RequestKind.CANCEL), sender_uid=ALICE))

    assert desk.answers()[1] is Answer.DONE
    assert desk.wished(Free) == []
    assert "export dropped" in desk.words()


def test_a_large_export_is_archived_part_by_part() -> None:
    """Each part has its own turn; the files are looked at again when all parts are through, and not before."""
    desk = ended()
    desk.prove_out(unproved("/jobs/7/a/", "/jobs/7/b/"))
    carried = []
    for _ in range(2):
        carried += desk.wish(Start).transfer.prefixes
        desk.start()
        desk.archived()
        looks = desk.wished(ProveOut)
        if len(carried) == 1:
            assert looks == []
    desk.prove_out(proved())

    assert sorted(carried) == ["/jobs/7/a/", "/jobs/7/b/"]
    assert desk.out().phase is Phase.RELEASING


def test_after_a_part_that_failed_all_is_looked_at() -> None:
    """What the failed archive left, and what has not had its turn, is found by the look."""
    desk = ended()
    desk.prove_out(unproved("/jobs/7/a/", "/jobs/7/b/"))
    desk.start()
    desk.archived(ArchiveState.FAILED, "files changed")

    assert desk.wish(ProveOut)
    assert desk.out().todo == ()
