from __future__ import annotations

from dataclasses import replace

import pytest

from slurm_amlfs.domain.ask import Direction
from slurm_amlfs.domain.cutting import Cut
from slurm_amlfs.domain.errand import Count, ProveIn, ProveOut, Start
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.policy import Grant
from slurm_amlfs.domain.records import Life
from slurm_amlfs.wire import Answer, Request, RequestKind
from tests.unit.domain.desk import ALICE, BOB, RULES, Desk, proved

IN = "stage_in prefix=/genomes/"
OUT = "stage_out prefix=/jobs/7/"


def anonymous(request: Request) -> Request:
    """Make a request of a hook that does not know whose job it is, as most of 22.05's."""
    return replace(request, uid=-1, gid=-1)


def test_a_request_heard_twice_changes_nothing() -> None:
    """After a crash the inbox gives the last requests again: same records, same answers."""
    desk = Desk()
    setup, ask = desk.request(RequestKind.SETUP, IN, OUT), desk.request(RequestKind.DATA_IN, IN, OUT)
    desk.show("PENDING")
    desk.go(setup, ask)
    once = desk.records
    desk.go(setup, ask, after=0)

    assert desk.records == once
    assert desk.words() == ["submitted"]


def test_an_end_heard_twice_changes_nothing() -> None:
    """The same for the requests of a job that ends."""
    desk = Desk()
    desk.submit(OUT)
    desk.run()
    post, ask = desk.request(RequestKind.POST_RUN), desk.request(RequestKind.DATA_OUT, OUT)
    desk.show("STAGE_OUT")
    desk.settle(post, ask)
    once = desk.records
    desk.settle(post, ask)

    assert desk.records == once


@pytest.mark.parametrize("kind", list(RequestKind))
def test_a_request_for_a_job_that_nobody_knows_is_success(kind: RequestKind) -> None:
    """Slurm does not know the job, neither do we: nothing happens, and nothing is heard again."""
    desk = Desk()
    decision = desk.go(anonymous(desk.request(kind)))

    assert decision.unheard == ()
    assert decision.errands == ()
    assert desk.records.jobs == {}


def test_whose_job_it_is_is_for_slurm_to_say() -> None:
    """Before Slurm can be reached a request without a uid waits, and all later ones of its job behind it, in order."""
    desk = Desk()
    desk.jobs = None
    ask = anonymous(desk.request(RequestKind.DATA_IN, IN))
    setup = desk.request(RequestKind.SETUP, IN)
    waiting = desk.go(ask, setup).unheard
    desk.jobs = {}
    desk.show("PENDING")
    heard = desk.go(*waiting).unheard

    assert waiting == (ask, setup)
    assert heard == ()
    assert desk.job().uid == ALICE
    assert desk.stage().phase is Phase.WAITING


def test_a_request_that_waits_holds_up_nobody_else() -> None:
    """Other jobs' requests are heard meanwhile, and what cannot make a job waits for nothing."""
    desk = Desk()
    desk.jobs = None
    ask = anonymous(desk.request(RequestKind.DATA_IN, IN))
    decision = desk.go(
        ask,
        desk.request(RequestKind.DATA_IN, IN, job_id=8),
        anonymous(desk.request(RequestKind.TEARDOWN, job_id=9)),
    )

    assert decision.unheard == (ask,)
    assert list(desk.records.jobs) == [8]


def test_slurms_word_on_the_owner_beats_the_hooks() -> None:
    """The uid that counts for grants is the one in Slurm's record."""
    desk = Desk(replace(RULES, grants=(Grant("*", frozenset({BOB}), ("/",)),)))
    desk.show("PENDING")
    desk.go(replace(desk.request(RequestKind.DATA_IN, IN), uid=BOB))

    assert desk.job().uid == ALICE
    assert desk.answers()[0] is Answer.ERROR


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("stage_in prefix=genomes/", 'does not begin with "/"'),
        ("stage_in prefix=/a/../b", '".." part'),
        ("stage_in prefix=/genomes/ fs=scratch", 'unknown file system "scratch"'),
        ("stage_out prefix=/genomes/", "may not export"),
        ("stage_in prefix=/genomes/ speed=9", "does not know"),
        ("stage_in prefix=/\udcff", "more than a directive can carry"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(line: str, said: str) -> None:
    """A bad line that got past the submission: an error with what is wrong, and nothing is moved."""
    desk = Desk()
    desk.submit(line)

    assert desk.answers()[0] is Answer.ERROR
    assert said in desk.board().message
    assert "\n" not in desk.board().message
    assert desk.records.stages == {}
    assert desk.decision is not None
    assert desk.decision.errands == ()
    assert desk.board().message.encode()


def test_more_prefixes_than_azure_takes_are_refused() -> None:
    """One line's prefixes have to fit one import."""
    desk = Desk(replace(RULES, prefixes_per_import=2))
    desk.submit("stage_in prefix=/a/ prefix=/b/ prefix=/c/")

    assert "3 prefixes in one stage_in" in desk.board().message
    assert desk.answers()[0] is Answer.ERROR


def test_a_job_may_not_overwrite_what_it_brought_itself() -> None:
    """Two lines that overlap, one of which overwrites, could never both be proved."""
    desk = Desk()
    desk.submit("stage_in prefix=/a/", "stage_in prefix=/a/b/ conflict=overwrite-always")

    assert "overlap in two stage_in lines" in desk.board().message
    assert desk.answers()[0] is Answer.ERROR


def test_a_refused_job_that_is_asked_for_again_is_checked_again() -> None:
    """When an admin has granted the prefix and released the job, it goes on."""
    desk = Desk(replace(RULES, grants=()))
    desk.submit(IN)
    refused = desk.answers()[0]
    desk.rules = RULES
    desk.submit(IN)

    assert refused is Answer.ERROR
    assert desk.answers()[0] is Answer.BUSY
    assert desk.wish(Count)


def test_other_directives_make_another_job() -> None:
    """Slurm's job numbers come round; a job with other lines is not the one we knew."""
    desk = Desk()
    desk.submit(IN)
    desk.submit("stage_in prefix=/other/")

    assert desk.stage().ask.prefixes == ("/other/",)
    assert desk.job().generation == 1


def test_hurry_drops_the_export_of_a_job_that_ran() -> None:
    """Scancel --hurry is the user's word that the outputs are not wanted; they stay on Lustre."""
    desk = Desk()
    desk.submit(OUT)
    desk.run()
    desk.settle(desk.request(RequestKind.TEARDOWN, hurry=True))

    assert desk.out().phase is Phase.CANCELLED
    assert "export dropped" in desk.words()
    assert desk.wished(ProveOut) == []


def test_hurry_ends_an_export_under_way() -> None:
    """The archive that nobody needs any more is cancelled."""
    desk = Desk()
    desk.submit(OUT)
    desk.run()
    desk.end(OUT)
    desk.prove_out(replace(proved(), files_done=0, todo=(Cut("/jobs/7/", 3, 300),)))
    desk.start()
    desk.settle(desk.request(RequestKind.TEARDOWN, hurry=True))

    assert desk.transfer().unwanted
    assert "export dropped" in desk.words()


@pytest.mark.parametrize(("sender", "works"), [(ALICE, True), (0, True), (BOB, False)])
def test_who_may_retry_and_cancel(sender: int, works: bool) -> None:  # noqa: FBT001 - a column of the table
    """The job's owner and root may; anybody else's request changes nothing."""
    retried, cancelled = Desk(), Desk()
    retried.submit(IN)
    retried.count(files=0)
    retried.settle(replace(retried.request(RequestKind.RETRY), sender_uid=sender))
    cancelled.submit(OUT)
    cancelled.settle(replace(cancelled.request(RequestKind.CANCEL), sender_uid=sender))

    assert (retried.stage().phase is Phase.WAITING) is works
    assert (cancelled.out().phase is Phase.CANCELLED) is works


def test_a_retry_looks_at_everything_again() -> None:
    """What was missing may be there now."""
    desk = Desk()
    desk.submit(IN)
    desk.count(files=0)
    desk.settle(replace(desk.request(RequestKind.RETRY), sender_uid=ALICE))
    desk.count()

    assert desk.wish(Start).transfer.prefixes == ("/genomes/",)


def test_a_late_start_does_not_bring_an_ended_job_back() -> None:
    """Pre_run heard after post_run, as after an outage: the job stays ended."""
    desk = Desk()
    desk.stage_in(IN)
    desk.settle(desk.request(RequestKind.POST_RUN))
    desk.settle(desk.request(RequestKind.PRE_RUN))

    assert desk.job().life is Life.ENDED


def test_with_a_new_database_a_waiting_hook_is_enough() -> None:
    """Only the data_in ask comes again, under its old token: the job is known again and goes on."""
    desk = Desk()
    desk.show("PENDING")
    desk.settle(anonymous(desk.request(RequestKind.DATA_IN, IN, OUT)))

    assert desk.stage().phase is Phase.WAITING
    assert desk.stage(direction=Direction.OUT).phase is Phase.DECLARED


def test_with_a_new_database_an_ended_jobs_export_is_enough() -> None:
    """Only the data_out ask comes again: its export goes on, its import is nobody's any more."""
    desk = Desk()
    desk.show("STAGE_OUT")
    desk.settle(anonymous(desk.request(RequestKind.DATA_OUT, IN, OUT)))

    assert desk.out().phase is Phase.WAITING
    assert desk.stage().phase is Phase.CANCELLED
    assert desk.wish(ProveOut)
    assert desk.wished(ProveIn) == []
