"""What Slurm asks a second time: after its own restart, after a requeue, after a release, after the end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from slurm_amlfs.domain.ask import ExportOn
from slurm_amlfs.domain.cutting import Cut
from slurm_amlfs.domain.errand import Count, DropReceipt, ProveIn, ProveOut, WriteReceipt
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.records import Life
from slurm_amlfs.wire import Answer, RequestKind
from tests.unit.domain.desk import Desk, looked_at, proved

IN = "stage_in prefix=/genomes/"
OUT = "stage_out prefix=/jobs/7/"


def test_a_restart_of_slurmctld_loses_nothing() -> None:
    """It tears a waiting job down with hurry, and asks anew: what is there is proved again, not imported again."""
    desk = Desk()
    desk.stage_in(IN, OUT)
    desk.settle(desk.request(RequestKind.TEARDOWN, hurry=True))
    torn = (desk.stage().phase, desk.out().phase)
    ask = desk.submit(IN, OUT)
    board = desk.board()
    desk.drop_receipts()
    desk.prove()
    desk.receipt()

    assert torn == (Phase.STAGED_IN, Phase.DECLARED)
    assert (board.token_in, board.answer_in) == (ask.token, Answer.BUSY)
    assert desk.answers()[0] is Answer.DONE
    assert desk.words().count("import started") == 1
    assert "proving again" in desk.words()


def test_a_restart_of_slurmctld_amid_an_import_goes_on_with_it() -> None:
    """The import under way serves the new ask."""
    desk = Desk()
    desk.submit(IN)
    desk.count()
    before = desk.start().transfer_id
    desk.settle(desk.request(RequestKind.TEARDOWN, hurry=True))
    ask = desk.submit(IN)

    assert desk.transfer().transfer_id == before
    assert not desk.transfer().unwanted
    assert desk.board().token_in == ask.token
    assert desk.answers()[0] is Answer.BUSY


def test_a_restart_of_slurmctld_amid_a_proof_doubts_what_was_proved_before() -> None:
    """Between the two asks the job was nobody's: an admin may have given back files of the prefix that was proved."""
    desk = Desk()
    lines = (f"{IN} prefix=/other/",)
    desk.submit(*lines)
    desk.drop_receipts()
    desk.count()
    desk.start()
    desk.land()
    first, second = desk.wished(ProveIn)
    desk.report(first, looked_at())
    desk.settle(desk.request(RequestKind.TEARDOWN, hurry=True))
    desk.submit(*lines)
    desk.report(second, looked_at())
    desk.settle()

    assert desk.stage().phase is Phase.RESTORING
    assert {it.lease.prefix for it in desk.wished(ProveIn)} == {"/genomes/", "/other/"}


def test_while_it_is_proved_again_the_old_receipt_goes() -> None:
    """A node must not see the receipt of an earlier ask."""
    desk = Desk()
    desk.stage_in(IN)
    desk.submit(IN)
    dropped = desk.wish(DropReceipt)
    desk.prove()

    assert dropped.job_id == 7
    assert desk.wished(WriteReceipt) == []


def test_a_requeued_job_starts_over() -> None:
    """It ran: its next stage-in is a fresh one, whose files are proved again, and its next end exports again."""
    desk = Desk()
    desk.stage_in(IN, OUT)
    desk.run()
    desk.end(IN, OUT)
    desk.prove_out(proved())
    desk.free()
    first = desk.answers()[1]
    desk.settle(desk.request(RequestKind.TEARDOWN))
    desk.submit(IN, OUT)

    assert first is Answer.DONE
    assert (desk.stage().phase, desk.out().phase) == (Phase.RESTORING, Phase.DECLARED)
    assert desk.job().life is Life.PENDING
    assert desk.answers()[0] is Answer.BUSY
    assert desk.wish(ProveIn)
    assert desk.wished(Count) == []


@pytest.mark.parametrize("on", [it for it in ExportOn if it is not ExportOn.EACH_RUN])
@pytest.mark.parametrize("code", [-1, 0, 15])
def test_a_requeued_jobs_partial_output_is_not_exported(on: ExportOn, code: int) -> None:
    """Slurm shows it PENDING while data_out waits: that is answered, so that the job can be staged again."""
    desk = Desk()
    line = f"{OUT} on={on.value}"
    desk.submit(line)
    desk.run()
    desk.show("PENDING")
    desk.go(desk.request(RequestKind.POST_RUN, code=code), desk.request(RequestKind.DATA_OUT, line))
    early = desk.wished(ProveOut)
    desk.settle()

    assert early == desk.wished(ProveOut) == []
    assert desk.out().phase is Phase.SETTLED
    assert desk.answers()[1] is Answer.DONE
    assert desk.events[-1].detail.startswith("the job was requeued; on=each-run would")


def test_an_export_that_waits_for_its_slot_is_left_when_the_job_is_requeued() -> None:
    """An operator may requeue it while it is in STAGE_OUT."""
    desk = Desk()
    desk.submit(OUT)
    desk.run()
    desk.end(OUT)
    began = desk.out().phase
    desk.show("PENDING")
    desk.settle()

    assert began is Phase.WAITING
    assert desk.answers()[1] is Answer.DONE


def test_a_look_from_before_a_requeue_says_nothing_of_the_new_run() -> None:
    """Slurm showed STAGE_OUT a moment ago; the setup that came since is younger."""
    desk = Desk()
    desk.stage_in(IN)
    desk.run()
    desk.show("STAGE_OUT")
    desk.go()
    desk.go(
        desk.request(RequestKind.TEARDOWN),
        desk.request(RequestKind.SETUP, IN),
        desk.request(RequestKind.DATA_IN, IN),
    )

    assert desk.stage().phase is Phase.RESTORING
    assert desk.answers()[0] is Answer.BUSY


def test_a_requeued_job_without_stage_in_exports_again() -> None:
    """Slurm asks nothing before such a job starts; its second end must not be answered from the first."""
    desk = Desk()
    for _ in range(2):
        desk.show("PENDING")
        desk.go(desk.request(RequestKind.SETUP, OUT))
        assert (desk.job().life, desk.out().phase) == (Life.PENDING, Phase.DECLARED)
        desk.run()
        desk.end(OUT)
        asked = desk.answers()[1]
        desk.prove_out(proved())
        desk.free()
        assert (asked, desk.answers()[1]) == (Answer.BUSY, Answer.DONE)
        desk.settle(desk.request(RequestKind.TEARDOWN))


def test_a_new_ask_for_an_export_is_proved_anew_even_if_the_setup_was_lost() -> None:
    """Hooks that only tell may not get through; the ask that waits for an answer always does."""
    desk = Desk()
    desk.submit(OUT)
    desk.run()
    desk.end(OUT)
    desk.prove_out(proved())
    desk.free()
    desk.end(OUT)

    assert desk.answers()[1] is Answer.BUSY
    assert desk.wish(ProveOut)


def test_how_an_earlier_run_ended_does_not_decide_on_this_one() -> None:
    """The first run was well and on=failure exported nothing; the second, whose setup was lost, failed."""
    line = f"{OUT} on=failure"
    desk = Desk()
    desk.submit(line)
    desk.run()
    desk.end(line)
    first = desk.out().phase
    desk.show("RUNNING")
    desk.go()
    desk.end(line, code=1)

    assert first is Phase.SETTLED
    assert desk.wish(ProveOut)


def test_a_restart_of_slurmctld_amid_an_export_goes_on_with_it() -> None:
    """Only the token changes; the archive under way serves the new ask."""
    desk = Desk()
    desk.submit(OUT)
    desk.run()
    desk.end(OUT)
    desk.prove_out(replace(proved(), files_done=0, todo=(Cut("/jobs/7/", 3, 300),)))
    before = desk.start().transfer_id
    ask = desk.end(OUT)

    assert desk.transfer().transfer_id == before
    assert desk.out().phase is Phase.EXPORTING
    assert desk.board().token_out == ask.token


def test_a_failed_job_that_is_released_starts_over() -> None:
    """An operator's release makes Slurm ask anew, with the job no longer held: blobs are counted again."""
    desk = Desk()
    desk.submit(IN)
    desk.count(files=0)
    failed = desk.answers()[0]
    desk.show("PENDING", held=True)
    held = desk.request(RequestKind.DATA_IN, IN)
    desk.go(*desk.go(held).unheard)
    still = (desk.answers()[0], desk.board().token_in)
    desk.show("PENDING", held=False)
    again = desk.request(RequestKind.DATA_IN, IN)
    desk.settle(*desk.go(again).unheard)

    assert failed is Answer.ERROR
    assert still == (Answer.ERROR, held.token)
    assert (desk.answers()[0], desk.board().token_in) == (Answer.BUSY, again.token)
    assert desk.wish(Count)


def test_requests_of_a_closed_job_change_nothing() -> None:
    """What comes again after the end, under the token it ended with, neither imports nor exports again."""
    desk = Desk()
    ask_in = desk.stage_in(IN, OUT)
    desk.run()
    ask_out = desk.end(IN, OUT)
    desk.prove_out(proved())
    desk.free()
    desk.leave()
    closed = desk.job()
    desk.settle(ask_in, ask_out, desk.request(RequestKind.TEARDOWN, hurry=True), desk.request(RequestKind.PRE_RUN))

    assert closed.closed is not None
    assert replace(desk.job(), stale_receipt=closed.stale_receipt) == closed
    assert (desk.stage().phase, desk.out().phase) == (Phase.SETTLED, Phase.SETTLED)
