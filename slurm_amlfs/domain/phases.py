"""The one table of phases and transitions.

Rules of this file: nothing outside it knows a transition; a stage moves only through `move`, which refuses what the
table does not hold and changes nothing then; the diagram in the documentation is drawn from the table.
A re-ask (Slurm stages a waiting job again after its own restart) proves again what is there: STAGED_IN -> RESTORING.
Only what is over can be asked anew, as a fresh stage in DECLARED.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from slurm_amlfs.domain.ask import Direction
from slurm_amlfs.errors import InvariantError


class Phase(StrEnum):
    """Where a stage is on its way."""

    DECLARED = "declared"
    WAITING = "waiting"
    IMPORTING = "importing"
    RESTORING = "restoring"
    STAGED_IN = "staged_in"
    RUNNING = "running"
    EXPORTING = "exporting"
    COPYING = "copying"
    RELEASING = "releasing"
    SETTLED = "settled"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def over(self) -> bool:
        """Say whether nothing more is done for the stage by itself."""
        return self in _OVER


_OVER = frozenset({Phase.SETTLED, Phase.FAILED, Phase.CANCELLED})
_P = Phase
Table = Mapping[Phase, frozenset[Phase]]

STAGE_IN: Table = MappingProxyType(
    {
        _P.DECLARED: frozenset({_P.WAITING, _P.CANCELLED, _P.FAILED}),
        _P.WAITING: frozenset({_P.IMPORTING, _P.RESTORING, _P.CANCELLED, _P.FAILED}),
        _P.IMPORTING: frozenset({_P.RESTORING, _P.WAITING, _P.CANCELLED, _P.FAILED}),
        _P.RESTORING: frozenset({_P.STAGED_IN, _P.WAITING, _P.CANCELLED, _P.FAILED}),
        _P.STAGED_IN: frozenset({_P.RUNNING, _P.RESTORING, _P.CANCELLED}),
        _P.RUNNING: frozenset({_P.RELEASING, _P.SETTLED}),
        _P.RELEASING: frozenset({_P.SETTLED}),
        _P.SETTLED: frozenset(),
        _P.FAILED: frozenset({_P.WAITING, _P.CANCELLED}),
        _P.CANCELLED: frozenset(),
    }
)

STAGE_OUT: Table = MappingProxyType(
    {
        _P.DECLARED: frozenset({_P.WAITING, _P.SETTLED, _P.CANCELLED, _P.FAILED}),
        _P.WAITING: frozenset({_P.EXPORTING, _P.RELEASING, _P.SETTLED, _P.CANCELLED, _P.FAILED}),
        _P.EXPORTING: frozenset({_P.WAITING, _P.COPYING, _P.RELEASING, _P.SETTLED, _P.CANCELLED, _P.FAILED}),
        _P.COPYING: frozenset({_P.RELEASING, _P.SETTLED, _P.CANCELLED, _P.FAILED}),
        _P.RELEASING: frozenset({_P.SETTLED, _P.CANCELLED}),
        _P.SETTLED: frozenset(),
        _P.FAILED: frozenset({_P.WAITING, _P.CANCELLED}),
        _P.CANCELLED: frozenset(),
    }
)

TABLES: Mapping[Direction, Table] = MappingProxyType({Direction.IN: STAGE_IN, Direction.OUT: STAGE_OUT})


def check_move(direction: Direction, before: Phase, after: Phase) -> None:
    """Refuse a move that the table does not hold.

    Raises:
        InvariantError: the table has no such move.
    """
    if after not in TABLES[direction].get(before, frozenset()):
        raise InvariantError(f"a {direction.value} cannot go from {before.value} to {after.value}")
