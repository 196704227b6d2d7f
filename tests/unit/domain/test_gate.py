"""What is done to a held job's hold, by itself and over whole lives that hypothesis draws."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_amlfs.domain.gate import Gate, Turn, turn
from slurm_amlfs.domain.view import Hold

TURNS = 200


def look(gate: Gate, seen: Hold, *, proved: bool = True, owner: bool = False, long: bool = False) -> Turn:
    """Decide."""
    return turn(gate, seen, proved=proved, owner_holds=owner, long_open=long)


@pytest.mark.parametrize("seen", [Hold.NONE, Hold.OWNER])
@pytest.mark.parametrize("gate", list(Gate))
def test_before_its_proof_a_job_is_held_for_operators_alone(gate: Gate, seen: Hold) -> None:
    """Whoever could release it, or has, is shut out, whatever was known of the gate."""
    assert look(gate, seen, proved=False) == Turn(Gate.LOOSE, Hold.ADMIN)
    assert look(gate, Hold.ADMIN, proved=False) == Turn(Gate.SHUT)


def test_a_proved_job_is_let_go() -> None:
    """Or handed to its owner, who wanted it held."""
    for gate in (Gate.LOOSE, Gate.SHUT):
        assert look(gate, Hold.ADMIN).hold is Hold.NONE
        assert look(gate, Hold.OWNER).hold is Hold.NONE
        assert look(gate, Hold.ADMIN, owner=True).hold is Hold.OWNER
        assert look(gate, Hold.OWNER, owner=True) == Turn(Gate.OPENED)
        assert look(gate, Hold.NONE, owner=True) == Turn(Gate.OPENED)


def test_a_hold_after_the_opening_stays() -> None:
    """An owner's at once; an admin's once what was opened has been saved by Slurm."""
    assert look(Gate.OPENED, Hold.OWNER) == Turn(Gate.LEFT)
    assert look(Gate.OPENED, Hold.NONE) == Turn(Gate.OPENED)
    assert look(Gate.OPENED, Hold.NONE, long=True) == Turn(Gate.LEFT)
    for seen in Hold:
        assert look(Gate.LEFT, seen) == Turn(Gate.LEFT)


def test_what_a_crash_of_slurmctld_took_back_is_opened_again() -> None:
    """However long it was down: it had not been seen open for long enough."""
    for long in (False, True):
        assert look(Gate.OPENED, Hold.ADMIN, long=long) == Turn(Gate.OPENED, Hold.NONE)
        assert look(Gate.OPENED, Hold.ADMIN, owner=True, long=long) == Turn(Gate.OPENED, Hold.OWNER)


class Life:
    """A pending job, its hold as Slurm has it, and a daemon that looks and acts one step at a time."""

    def __init__(self, *, owner: bool) -> None:
        self.owner, self.hold, self.gate = owner, Hold.OWNER, Gate.LOOSE
        self.proved = False
        self.asked: Hold | None = None
        self.wishes: list[tuple[Hold, bool]] = []
        self.held_by_somebody = False

    def step(self, event: str) -> None:
        """Let something happen."""
        match event:
            case "look":
                self.look()
            case "act":
                self.act()
            case "prove":
                self.proved = True
            case "owner releases" if self.hold is Hold.OWNER:
                self.hold, self.owner, self.held_by_somebody = Hold.NONE, False, False
            case "owner holds" if self.hold is Hold.NONE and self.gate is not Gate.LOOSE:
                self.hold, self.held_by_somebody = Hold.OWNER, self.gate in {Gate.OPENED, Gate.LEFT}
            case "slurmctld loses it" if self.gate is Gate.OPENED and not self.held_by_somebody:
                self.hold = Hold.ADMIN

    def look(self) -> None:
        """Look, unless an act is on its way: then no look is younger than it."""
        if self.asked is None:
            decided = turn(self.gate, self.hold, proved=self.proved, owner_holds=self.owner, long_open=False)
            self.gate, self.asked = decided.gate, decided.hold
            if decided.hold is not None:
                self.wishes.append((decided.hold, self.proved))

    def act(self) -> None:
        """Do what was wished for."""
        if self.asked is not None:
            self.hold = self.asked
            if self.asked is not Hold.ADMIN:
                self.gate = Gate.OPENED
            self.asked = None


EVENTS = st.lists(
    st.sampled_from(["look", "act", "prove", "owner releases", "owner holds", "slurmctld loses it"]), max_size=40
)


@given(events=EVENTS, owner=st.booleans())
def test_no_order_of_events_opens_a_gate_unproved_or_leaves_a_proved_one_shut(events: list[str], owner: bool) -> None:  # noqa: FBT001 - drawn
    """The daemon lets nobody go before the proof, and in the end nobody waits but whom somebody holds."""
    life = Life(owner=owner)
    for event in events:
        life.step(event)
        if not life.proved and event == "act":
            assert life.gate is not Gate.OPENED
    assert all(proved for hold, proved in life.wishes if hold is not Hold.ADMIN)
    life.proved = True
    for _ in range(TURNS):
        before = (life.gate, life.hold)
        life.look()
        life.act()
        if before == (life.gate, life.hold):
            break
    else:
        raise AssertionError("the gate is turned without end")
    assert life.hold is not Hold.ADMIN
    if life.hold is Hold.OWNER:
        assert life.owner or life.held_by_somebody
