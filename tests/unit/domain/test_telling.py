"""Who waits at a terminal is told of a failed stage-in, once for each failure."""

from __future__ import annotations

from dataclasses import replace

from slurm_amlfs.domain.errand import Count, Notify
from slurm_amlfs.domain.report import Counted, Done, Fault, Trouble
from slurm_amlfs.wire import RequestKind
from tests.unit.domain.desk import ALICE, Desk

LINE = "stage_in prefix=/genmoes/"
WHY = "amlfs: job 7 is held: no blobs under /genmoes/; check its spelling, scancel this job and submit again"


def failed(*, interactive: bool = True) -> Desk:
    """Bring a job to where its stage-in has just failed."""
    desk = Desk()
    desk.submit(LINE)
    desk.show("PENDING", interactive=interactive)
    empty(desk)
    return desk


def empty(desk: Desk) -> None:
    """Let the count find nothing."""
    desk.go()
    desk.report(desk.wish(Count), Counted(0, 0, ("/genmoes/",)))


def test_an_interactive_job_hears_why_it_is_held() -> None:
    """The terminal of srun says nothing by itself; a batch job has none."""
    assert failed().wish(Notify).text == WHY
    assert failed(interactive=False).wished(Notify) == []


def test_once_for_each_failure() -> None:
    """Said, or not to be said: forgotten either way, until it fails anew."""
    for result in (Done(), Trouble(Fault.TEMPORARY, "nobody there")):
        desk = failed()
        desk.report(desk.wish(Notify), result)
        desk.go(after=100)
        quiet = desk.wished(Notify)
        desk.go(replace(desk.request(RequestKind.RETRY), sender_uid=ALICE))
        empty(desk)

        assert quiet == []
        assert desk.wish(Notify).text == WHY


def test_slurm_has_to_say_first_who_waits() -> None:
    """While slurmctld does not answer nothing is sent; then it is."""
    desk = failed()
    desk.jobs, shown = None, desk.jobs
    desk.go()
    early = desk.wished(Notify)
    desk.jobs = shown
    desk.go()

    assert early == []
    assert desk.wish(Notify).text == WHY


def test_a_refusal_is_told_too() -> None:
    """The daemon has the last word on grants, after Slurm has taken the job."""
    desk = Desk()
    desk.submit("stage_out prefix=/genomes/")
    desk.show("PENDING", interactive=True)
    desk.go()

    assert desk.wish(Notify).text.startswith("amlfs: job 7 is held: uid 61001 may not export")


def test_a_refusal_waits_for_the_users_name() -> None:
    """The hook tells a uid; Slurm is asked for the name before anybody reads the line."""
    desk = Desk()
    jobs, desk.jobs = desk.jobs, None
    ask = desk.request(RequestKind.DATA_IN, "stage_out prefix=/genomes/")
    early = desk.go(ask).unheard
    desk.jobs = jobs
    desk.show("PENDING", user="alice")
    desk.go(ask)

    assert early == (ask,)
    assert desk.job().refusal.startswith('amlfs: alice may not export "/genomes/"')


def test_many_failures_go_out_a_few_at_a_time() -> None:
    """Announcements of starts share the pool."""
    desk = Desk()
    for job_id in (7, 8, 9):
        desk.submit("stage_out prefix=/x/", job_id=job_id)
        desk.show("PENDING", job_id, interactive=True)
    desk.go()
    first = [notice.job_id for notice in desk.wished(Notify)]
    desk.running = {"notify 7", "notify 8"}
    desk.go()
    full = desk.wished(Notify)
    desk.running.clear()
    for notice in (7, 8):
        desk.report(Notify(notice, "x", desk.job(notice).submitted), Done())

    assert first == [7, 8]
    assert full == []
    assert [notice.job_id for notice in desk.wished(Notify)] == [9]


def test_an_interactive_job_hears_why_it_waits() -> None:
    """Once, and not in the first moments; how far it is the board says. A failure is told after it."""
    desk = Desk()
    desk.submit(LINE)
    desk.show("PENDING", interactive=True)
    desk.count(files=3000)
    silent = desk.wished(Notify)
    desk.go(after=3)
    first = desk.wish(Notify)
    desk.report(first, Done())
    desk.go(after=100)
    again = desk.wished(Notify)
    desk.go(replace(desk.request(RequestKind.RETRY), sender_uid=ALICE))

    assert silent == again == []
    assert first.text.startswith("amlfs: job 7 waits for its data: ")
    assert first.text.endswith(", 3,000 files; slurm-amlfs status 7 says how far it is")
