"""Which scene comes past which crash point, and a scene played, with a death or without."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from tests.faults import scenes
from tests.faults.endings import Ending, check, ending, settle
from tests.faults.ground import Ground, Shared
from tests.faults.hold_slurm import HoldSlurm
from tests.faults.model_slurm import ModelSlurm
from tests.faults.scenes import FAST, INPUTS, Scene
from tests.faults.settings import USUAL, Settings
from tests.faults.until import NotInTimeError, until


@dataclass(frozen=True)
class Staged:
    """A scene, and what it needs. Where a daemon stands `by`, that is the one that dies."""

    act: Scene
    settings: Settings = USUAL
    by: bool = False


_SOON_MENDED = Settings(behind_seconds=1.0)

SCENES = {
    "plain": Staged(scenes.plain),
    "by hsm": Staged(scenes.plain, Settings(export_by="hsm")),
    "failing": Staged(scenes.failing),
    "import dropped": Staged(scenes.import_dropped),
    "archive dropped": Staged(scenes.archive_dropped),
    "taken over": Staged(scenes.taken_over, by=True),
    "handed on": Staged(scenes.handed_on),
    "left in": Staged(scenes.left_in, _SOON_MENDED),
    "left out": Staged(scenes.left_out, _SOON_MENDED),
    "left torn": Staged(scenes.left_torn, _SOON_MENDED),
    "held": Staged(scenes.held, Settings(mode="hold")),
}

_ELSEWHERE = {
    "slurm.notify": "failing",
    "slurm.turn_gate": "held",
    "slurm.restage": "left in",
    "slurm.let_requeue": "left in",
    "slurm.cancel_pending": "left in",
    "slurm.requeue": "left in",
    "slurm.end_stage_out": "left out",
    "slurm.tear_down_again": "left torn",
    "arm.cancel_import": "import dropped",
    "arm.cancel_archive": "archive dropped",
    "lustre.archive": "by hsm",
    "board.remove": "failing",
    "terms.take": "taken over",
    "terms.link": "taken over",
    "terms.take_over": "taken over",
    "term.give_back": "handed on",
}


def scene_of(point: str) -> str:
    """Say which scene comes past a crash point."""
    return _ELSEWHERE.get(point.partition(":")[0], "plain")


def play(shared: Shared, name: str, scene: str, die_at: str = "") -> tuple[Ending, int]:
    """Play a scene with a daemon that dies at a point; give its end, and how often the daemon died."""
    staged = SCENES[scene]
    ground = Ground(shared, name, settings=staged.settings, emulator_options=FAST)
    with ground.running():
        for path, data in INPUTS.items():
            ground.put(path, data)
        if staged.by:
            ground.daemons.restart()
            ground.daemons.start_standby(die_at)
        else:
            ground.daemons.restart(die_at)
        step = ground.daemons.restart
        slurm = (HoldSlurm if ground.holds else ModelSlurm)(ground, INPUTS)
        staged.act(slurm, step)
        if die_at:
            # The last act of a scene may be where it dies.
            with suppress(NotInTimeError):
                until(lambda: ground.daemons.deaths or not ground.daemons.alive, "the daemon dies", 30.0)
            settle(slurm, step)
        ended, deaths = ending(slurm), ground.daemons.deaths
        # What it reads comes back from Blob, so the end is taken before.
        check(slurm)
    ground.remove()
    return ended, deaths
