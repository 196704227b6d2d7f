"""Who gets the room on a file system: no restore begins for whose bytes there is none (docs/decisions/0013-room.md).

Jobs stand in one line and are let in whole, or two of them could each wait with half of what they need. Whoever fits
passes those that do not. Who has waited too long keeps what it will need: then only those pass that fit beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta

from slurm_amlfs.domain import capacity, riding, yielding
from slurm_amlfs.domain.ask import Conflict
from slurm_amlfs.domain.claims import Claim, line_up
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.lease import LeaseKey
from slurm_amlfs.domain.ledger import Ledger

_MEASURE_AGAIN = timedelta(minutes=1)
"""How long what was counted is not counted anew only because room is short."""


def admit(draft: Draft) -> None:
    """Let in whose bytes fit; let all others say why they wait, and have room made for the first of them."""
    line = line_up(draft)
    if not line:
        return
    ledgers = {fs: Ledger(draft, fs) for fs in draft.rules.file_systems}
    left: list[tuple[Claim, str]] = []
    short: list[yielding.Short] = []
    for claim in line:
        lacks = {fs: ledgers[fs].lacks_bytes(claim.lacking) for fs in claim.file_systems}
        full = [fs for fs, some in lacks.items() if not ledgers[fs].fits(some)]
        if full:
            short += [
                yielding.Short(len(left), fs, ledgers[fs].short_bytes(lacks[fs]))
                for fs in full
                if ledgers[fs].can_make_room
            ]
            left.append((claim, ledgers[full[0]].why(lacks[full[0]])))
            for fs in lacks if claim.overdue is not None else ():
                ledgers[fs].keep(claim)
            continue
        _let_in(draft, claim)
        for fs, some in lacks.items():
            ledgers[fs].take(claim.lacking, some)
    making = yielding.make_room(draft, [claim for claim, _ in left], short)
    _measure(draft, [claim for at, (claim, _) in enumerate(left) if at not in making], ledgers)
    _tell(draft, [(claim, f"{why}, making room" if at in making else why) for at, (claim, why) in enumerate(left)])


def _let_in(draft: Draft, claim: Claim) -> None:
    for key in claim.lacking:
        held = draft.find_lease(key)
        if held is not None:
            # What an earlier proof found done may have been names only, or given back since.
            draft.change([replace(held, let_in=True, admitted=draft.now, bytes_done=held.held_bytes)])
            if held.message.startswith((capacity.WAITING, capacity.UNSEEN)):
                riding.say(draft, draft.leases[key], "")


def _measure(draft: Draft, line: Iterable[Claim], ledgers: Mapping[str, Ledger]) -> None:
    """Count anew what the first of the line lacks, where no room can be made, and more may be there than is known."""
    vague = (
        held
        for claim in line
        for key in claim.lacking
        if key.conflict is Conflict.SKIP and (held := draft.leases.get(key)) is not None and held.counted is not None
        if draft.now - held.counted >= _MEASURE_AGAIN and draft.ready(held) and ledgers[key.fs].is_vague(held)
    )
    if (held := next(vague, None)) is not None:
        draft.put_lease(held.begun_anew(draft.now))
        draft.wake_at(draft.now)


def _tell(draft: Draft, left: list[tuple[Claim, str]]) -> None:
    """Let leases say why they wait; where several jobs need one, what the first of them waits for."""
    told: set[LeaseKey] = set()
    for claim, why in left:
        for key in claim.lacking:
            if key not in told and key in draft.leases and draft.leases[key].landed:
                told.add(key)
                riding.say(draft, draft.leases[key], why)
    if left:
        draft.wake_at(draft.now + draft.rules.look_at_space)
