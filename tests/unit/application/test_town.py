"""Whatever happens in the town, the invariants of architecture.md hold, and in a kind world all settles."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from slurm_amlfs.domain.world import ExportBy
from tests.examples import examples
from tests.unit.application.town import Town
from tests.unit.application.town_job import BAD, TownJob

LINES = [
    ("stage_in prefix=/in/a/ release=yes", "stage_out prefix=OWN"),
    ("stage_in prefix=/in/a/ release=yes",),
    ("stage_in prefix=/in/b/ conflict=overwrite-always", "stage_out prefix=OWN on=success"),
    ("stage_in prefix=/in/a/ prefix=/in/b/", "stage_out prefix=OWN release=no"),
    (f"stage_in prefix={BAD} max_errors=0", "stage_out prefix=OWN"),
    ("stage_in prefix=/in/b/ max_errors=0",),
    ("stage_in prefix=/in/b/ refresh=yes", "stage_out prefix=OWN"),
    ("stage_in prefix=/in/b/ refresh=yes",),
    ("stage_in prefix=/in/a/ refresh=yes conflict=skip",),
    ("stage_out prefix=OWN",),
    ("stage_out prefix=OWN on=failure",),
]
PICK = st.integers(0, 99)


class TownMachine(RuleBasedStateMachine):
    """Steps in any order."""

    export_by = ExportBy.ARM

    def __init__(self) -> None:
        super().__init__()
        self.town = Town(self.export_by)

    def _job(self, number: int, *places: str) -> TownJob | None:
        there = [job for job in self.town.jobs.values() if job.place in places]
        return there[number % len(there)] if there else None

    @precondition(lambda self: len(self.town.jobs) < 6)
    @rule(lines=st.sampled_from(LINES))
    def submit(self, lines: tuple[str, ...]) -> None:
        """A user submits, and Slurm begins to stage."""
        self.town.stage(self.town.submit(*lines))

    @rule(number=PICK)
    def slurm_goes_on(self, number: int) -> None:
        """Slurm takes its next step with some job."""
        places = ("pending", "staging", "staged", "running", "out", "over")
        if job := self._job(number, *places):
            self.town.go_on(job)

    @rule(slow=st.booleans(), jobs_go_on=st.booleans())
    def all_goes_well(self, slow: bool, jobs_go_on: bool) -> None:  # noqa: FBT001 - drawn
        """Everything comes forward by a step."""
        self.town.go_well(slow=slow, jobs_go_on=jobs_go_on)

    @rule(number=PICK, code=st.sampled_from([0, 1]), again=st.booleans())
    def job_ends(self, number: int, code: int, again: bool) -> None:  # noqa: FBT001 - drawn
        """A job ends, or is requeued."""
        if job := self._job(number, "running"):
            self.town.end(job, code, again=again)

    @rule(number=PICK, hurry=st.booleans())
    def scancel(self, number: int, hurry: bool) -> None:  # noqa: FBT001 - drawn
        """A user cancels."""
        if job := self._job(number, "pending", "staging", "staged", "held", "running", "out"):
            self.town.cancel(job, hurry=hurry)

    @rule(number=PICK)
    def release_a_held_job(self, number: int) -> None:
        """An operator releases a job whose stage-in failed."""
        if job := self._job(number, "held", "staging"):
            self.town.release(job)

    @rule(number=PICK)
    def slurm_stages_a_held_job(self, number: int) -> None:
        """Slurm asks again for a held job, as it does when others wait (bb_p_job_try_stage_in)."""
        if job := self._job(number, "held"):
            self.town.stage(job)

    @rule()
    def restart_slurmctld(self) -> None:
        """Slurm's controller restarts."""
        self.town.restart_slurmctld()

    @rule(seconds=st.sampled_from([0.1, 1, 7, 70, 1000]))
    def time_goes_by(self, seconds: float) -> None:
        """Nothing happens."""
        self.town.now += timedelta(seconds=seconds)

    @rule()
    def daemon_turns(self) -> None:
        """The daemon makes a pass."""
        self.town.turn()

    @rule(slow=st.booleans())
    def daemon_keeps_up(self, slow: bool) -> None:  # noqa: FBT001 - drawn
        """The daemon looks around, does what it wants, and passes."""
        self.town.keep_up(slow=slow)

    @rule()
    def database_is_deleted(self) -> None:
        """An admin moves the database away and starts the daemon again."""
        self.town.lose_database()

    @rule()
    def space_is_cleared(self) -> None:
        """An admin releases what nobody uses."""
        self.town.clear_space()

    @rule(number=PICK)
    def errand_ends(self, number: int) -> None:
        """An errand that is under way happens."""
        if errands := list(self.town.running.values()):
            self.town.work(errands[number % len(errands)])

    @rule(number=PICK)
    def daemon_dies_after_an_errand(self, number: int) -> None:
        """Kill -9 between an errand and its report."""
        if errands := list(self.town.running.values()):
            self.town.work_unreported(errands[number % len(errands)])

    @rule()
    def daemon_dies(self) -> None:
        """Kill -9 at rest."""
        self.town.begin()

    @rule()
    def daemon_dies_in_a_pass(self) -> None:
        """Kill -9 after the records are stored, before a request is forgotten or an errand begun."""
        self.town.turn(dies_after_save=True)

    @rule()
    def look_at_slurm_begins(self) -> None:
        """Slurm is read."""
        self.town.look_begin()

    @rule()
    def look_at_slurm_ends(self) -> None:
        """What was read arrives."""
        self.town.look_end()

    @rule()
    def slurm_does_not_answer(self) -> None:
        """The latest look at Slurm failed."""
        self.town.shown = None

    @rule()
    def look_at_slot(self) -> None:
        """ARM is read."""
        self.town.look_at_slot()

    @rule(well=st.booleans())
    def transfer_ends(self, well: bool) -> None:  # noqa: FBT001 - drawn
        """What holds the slot ends."""
        self.town.end_transfer(well=well)

    @rule(number=PICK)
    def blob_changes(self, number: int) -> None:
        """Somebody writes an input again."""
        self.town.change_blob(number)

    @rule()
    def restores_end(self) -> None:
        """Lustre restores what was asked for."""
        self.town.lustre.finish_restores()

    @rule(most=st.sampled_from([1, 99]))
    def archives_end(self, most: int) -> None:
        """Lustre archives what was asked for, or some of it."""
        self.town.lustre.finish_archives(most)

    @rule()
    def somebody_takes_the_slot(self) -> None:
        """An admin imports something by the portal."""
        self.town.hold_slot()

    @rule(after_taking=st.booleans())
    def azure_refuses(self, after_taking: bool) -> None:  # noqa: FBT001 - drawn
        """A call to Azure fails, or its answer is lost."""
        self.town.refuse(after_taking=after_taking)

    @rule()
    def mount_flaps(self) -> None:
        """The mount goes, or comes back."""
        self.town.lustre.is_mounted = not self.town.lustre.is_mounted

    @invariant()
    def holds(self) -> None:
        """What holds after every step."""
        self.town.check()

    def teardown(self) -> None:
        """In a kind world every duty settles."""
        self.town.be_kind()


class TownByHsmMachine(TownMachine):
    """The same in a town whose exports do not use the slot."""

    export_by = ExportBy.HSM


TestTown = TownMachine.TestCase
TestTown.settings = examples(60, stateful_step_count=50, suppress_health_check=list(HealthCheck))
TestTownByHsm = TownByHsmMachine.TestCase
TestTownByHsm.settings = examples(30, stateful_step_count=50, suppress_health_check=list(HealthCheck))
