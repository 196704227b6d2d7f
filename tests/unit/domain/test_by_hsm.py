"""Exports from a file system whose site says export_by = "hsm"."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from slurm_amlfs.domain.errand import ArchiveFiles, Free, ProveOut, Start
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.report import Archived, Fault, Trouble
from slurm_amlfs.domain.slot import wants_look
from slurm_amlfs.domain.view import ImportState, ImportView
from slurm_amlfs.domain.world import ExportBy, Rules
from slurm_amlfs.wire import Answer, RequestKind
from tests.unit.domain.desk import ALICE, BUSY, RULES, Desk, proved, unproved

OUT = "stage_out prefix=/jobs/7/"
FAILED = Archived(3, 2, failed=1, reasons=(("/jobs/7/a", "has no copy after 3 requests"),))


def by(way: ExportBy) -> Rules:
    """Make rules of a site that exports one way."""
    [(name, fs)] = RULES.file_systems.items()
    return replace(RULES, file_systems={name: replace(fs, export_by=way)})


HSM = by(ExportBy.HSM)


def ended(desk: Desk | None = None) -> Desk:
    """Bring a job to where its data_out hook waits."""
    desk = desk or Desk(HSM)
    desk.submit(OUT)
    desk.run()
    desk.end(OUT)
    return desk


def asked() -> Desk:
    """Bring a job to where its files have to be archived."""
    desk = ended()
    desk.prove_out(unproved("/jobs/7/"))
    return desk


def archive(desk: Desk, archived: Archived) -> None:
    """Answer the wish for archives."""
    desk.report(desk.wish(ArchiveFiles), archived)


def test_an_export_goes_from_the_end_of_the_job_to_done() -> None:
    """Archived, proved and released; only then is Slurm told that the job may go, and Azure was asked for nothing."""
    desk = asked()
    phases = [desk.out().phase]
    archive(desk, Archived(3, 1, under_way=2, settled=False))
    phases.append(desk.out().phase)
    said = desk.board().message
    archive(desk, Archived(3, 3))
    phases.append(desk.out().phase)
    early = desk.answers()[1]
    desk.prove_out(proved())
    desk.free()

    assert phases == [Phase.EXPORTING, Phase.EXPORTING, Phase.WAITING]
    assert said == "Lustre has archived 1 of 3 files"
    assert (early, desk.answers()[1]) == (Answer.BUSY, Answer.DONE)
    assert desk.words()[-4:] == ["ended", "export started", "exported", "released"]
    assert desk.records.transfers == {}


def test_the_slot_is_not_waited_for() -> None:
    """Somebody else's import, an ill file system, nobody who answers: files are archived all the same."""
    desk = Desk(HSM)
    desk.imports["portal"] = ImportView("portal", ImportState.IN_PROGRESS)
    desk.health = "Degraded"
    ended(desk).prove_out(unproved("/jobs/7/"))

    assert desk.wish(ArchiveFiles).prefixes == ("/jobs/7/",)
    assert desk.wished(Start) == []
    assert "slot" not in desk.board().message
    assert not wants_look(desk.records, "amlfs")


def test_by_arm_nothing_is_asked_of_the_hsm() -> None:
    """The default waits for the slot."""
    desk = Desk()
    ended(desk).prove_out(unproved("/jobs/7/"))

    assert desk.wished(ArchiveFiles) == []
    assert desk.wish(Start)


def test_what_lustre_archived_proves_nothing() -> None:
    """Without evidence for every file the export is not done: another round takes what is left."""
    desk = asked()
    archive(desk, Archived(3, 3))
    desk.prove_out(unproved("/jobs/7/", done=2))

    assert desk.answers()[1] is Answer.BUSY
    assert desk.wished(Free) == []
    assert desk.wish(ArchiveFiles).prefixes == ("/jobs/7/",)


def test_only_prefixes_with_something_left_are_archived() -> None:
    """As the proof tells."""
    desk = Desk(HSM)
    line = "stage_out prefix=/jobs/7/a/,/jobs/7/b/"
    desk.submit(line)
    desk.run()
    desk.end(line)
    desk.prove_out(unproved("/jobs/7/b/"))

    assert desk.wish(ArchiveFiles).prefixes == ("/jobs/7/b/",)


def test_a_round_that_waits_is_looked_at_now_and_then() -> None:
    """Nothing ended: a third of a second's rest. Something did: on at once."""
    desk = asked()
    desk.report(desk.wish(ArchiveFiles), Archived(3, 0, under_way=3, idle=True, settled=False), after=0)
    rests = desk.wished(ArchiveFiles), desk.decision.wake - desk.now if desk.decision and desk.decision.wake else None
    desk.go(after=0.3)
    desk.report(desk.wish(ArchiveFiles), Archived(3, 1, under_way=2, settled=False), after=0)

    assert rests == ([], timedelta(milliseconds=300))
    assert desk.wish(ArchiveFiles)


def test_a_file_that_fails_for_ever_fails_the_export_and_is_named() -> None:
    """Three rounds without any coming forward: ERROR with the file and why; it is tried again later."""
    desk = asked()
    for _ in range(3):
        archive(desk, FAILED)
        desk.prove_out(unproved("/jobs/7/", done=2))
    # The first round brought two files, so that one does not count.
    archive(desk, FAILED)
    desk.prove_out(unproved("/jobs/7/", done=2))
    answer, message = desk.answers()[1], desk.board().message
    desk.go(after=901)
    desk.settle()

    assert answer is Answer.ERROR
    assert message == (
        "1 of 3 files under /jobs/7/ are not proved to be in Blob after 3 exports, and stay on Lustre: '/jobs/7/a'; "
        "not archived: '/jobs/7/a' has no copy after 3 requests"
    )
    assert desk.out().phase is Phase.WAITING
    assert desk.wish(ProveOut)


def test_a_retry_archives_what_is_left() -> None:
    """`slurm-amlfs retry` after the fault is mended: proved, archived, proved."""
    desk = asked()
    for _ in range(3):
        archive(desk, FAILED)
        desk.prove_out(unproved(under_way=1))
    failed = desk.out().phase
    desk.settle(replace(desk.request(RequestKind.RETRY), sender_uid=ALICE))
    desk.prove_out(unproved(under_way=1))
    archive(desk, Archived(1, 1))
    desk.prove_out(proved())
    desk.free()

    assert failed is Phase.FAILED
    assert desk.out().phase is Phase.SETTLED


def test_a_failed_archive_leaves_its_file_looking_as_if_under_way() -> None:
    """Nothing is waited for that is known to have failed: the next round comes at once."""
    desk = asked()
    archive(desk, FAILED)
    desk.prove_out(unproved(under_way=1))

    assert desk.wish(ArchiveFiles).prefixes == ("/jobs/7/",)


def test_files_that_change_are_archived_again() -> None:
    """And it is said that they did."""
    desk = asked()
    archive(desk, Archived(3, 2, changed=1))
    said = desk.board().message
    desk.prove_out(unproved("/jobs/7/", done=2))
    archive(desk, Archived(1, 1))
    desk.prove_out(proved())

    assert said == "written while it was archived: 1 of 3 files"
    assert desk.out().phase is Phase.RELEASING


def test_a_stall_is_told_and_waited_out() -> None:
    """As long as Lustre has the requests, giving up would mend nothing; the board says what to look at."""
    desk = asked()
    quiet = timedelta(minutes=25)
    for _ in range(5):
        archive(desk, Archived(3, 1, under_way=2, idle=True, quiet=quiet, settled=False))
        desk.go(after=600)

    assert desk.board().message == ("no archive has ended for 25 minutes, and 2 are under way; see the HSM of amlfs")
    assert desk.out().phase is Phase.EXPORTING


def test_trouble_is_waited_out_and_no_right_is_told() -> None:
    """A mount that flaps fails no export; a squashed root does, in Lustre's words."""
    desk = asked()
    desk.report(desk.wish(ArchiveFiles), BUSY, after=0)
    early = desk.wished(ArchiveFiles), desk.board().message
    desk.go(after=2)
    desk.report(desk.wish(ArchiveFiles), Trouble(Fault.PERMANENT, "Lustre refuses to archive"))

    assert early == ([], BUSY.message)
    assert desk.answers()[1] is Answer.ERROR
    assert desk.board().message == "Lustre refuses to archive"


def test_a_restart_begins_the_round_again() -> None:
    """What is stored says enough: the same wish, for the same prefixes."""
    desk = asked()
    before = desk.wish(ArchiveFiles)
    archive(desk, Archived(3, 1, under_way=2, settled=False))
    later = Desk(HSM)
    later.records, later.now, later.jobs = desk.records, desk.now, desk.jobs
    later.go()

    assert later.wish(ArchiveFiles) == before


def test_a_cancelled_export_asks_for_nothing_more() -> None:
    """What is under way may finish; the job may go, and its files stay."""
    desk = asked()
    wish = desk.wish(ArchiveFiles)
    desk.settle(replace(desk.request(RequestKind.CANCEL), sender_uid=ALICE))
    desk.report(wish, Archived(3, 3))

    assert desk.answers()[1] is Answer.DONE
    assert desk.out().phase is Phase.CANCELLED
    assert desk.wished(ArchiveFiles) == []
    assert desk.wished(Free) == []


def test_a_site_that_changes_its_way_loses_nothing() -> None:
    """From arm to hsm: the archive under way is waited for. From hsm to arm: the next proof asks for the slot."""
    desk = Desk()
    ended(desk).prove_out(unproved("/jobs/7/"))
    desk.start()
    desk.rules = HSM
    desk.go()
    meanwhile = desk.wished(ArchiveFiles)
    desk.archived()
    desk.prove_out(proved())
    other = asked()
    other.rules = by(ExportBy.ARM)
    other.settle()
    other.prove_out(unproved("/jobs/7/"))
    waiting = Desk()
    waiting.imports["portal"] = ImportView("portal", ImportState.IN_PROGRESS)
    ended(waiting).prove_out(unproved("/jobs/7/"))
    waiting.rules = HSM
    waiting.go()

    assert meanwhile == []
    assert desk.out().phase is Phase.RELEASING
    assert other.wish(Start)
    assert waiting.wish(ArchiveFiles)
