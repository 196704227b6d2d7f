"""The points at which the daemon can be made to die: every act has two, and dying there is a death."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from slurm_amlfs.adapters.crash_points import ACTS, ANY, POINTS, STEPS, VARIABLE, Mine, from_environment, mined
from slurm_amlfs.adapters.slurm_cli import SlurmCommands
from slurm_amlfs.adapters.term_files import Term, TermFiles
from slurm_amlfs.application import loop, ports
from slurm_amlfs.domain.tenure import Holder
from slurm_amlfs.errors import UserError

READS = {
    "arm": {"file_system", "imports", "auto_jobs"},
    "lustre": {"mounted", "look", "looks", "walk", "hsm_states", "hsm_busy", "space"},
    "slurm": {"jobs", "queue", "living", "declared"},
    "inbox": set(),
    "board": {"posted", "asked"},
    "store": {"load"},
    "pools": {"posted", "remove"},
    "terms": {"newest", "newest_term", "read"},
    "term": set(),
}
"""Methods that change nothing but, for `remove`, what is only there to be found gone at a start."""

PORTS = {
    "arm": ports.Arm,
    "lustre": ports.Lustre,
    "slurm": ports.Slurm,
    "inbox": ports.Inbox,
    "board": ports.BoardPort,
    "store": loop.Store,
    "pools": ports.PoolsPort,
    "terms": TermFiles,
    "term": Term,
}


class Board:
    """A port of which one method writes, one reads, and one gives its results one after the other."""

    def __init__(self, told: list[str]) -> None:
        self._told = told

    def post(self, board: str) -> str:
        """Write."""
        self._told.append(f"posted {board}")
        return board

    def posted(self) -> str:
        """Read."""
        self._told.append("read")
        return "b"

    def remove(self, _job_id: int) -> None:
        """Fail."""
        raise OSError

    def publish_site(self) -> Iterator[int]:
        """Tell one after the other."""
        yield 1


@pytest.mark.parametrize("part", PORTS)
def test_every_method_of_a_port_is_an_act_or_known_to_read(part: str) -> None:
    """A port that gets another method gets its points, or a word that it needs none."""
    methods = {name for name, it in vars(PORTS[part]).items() if callable(it) and not name.startswith("_")}
    assert methods == set(ACTS[part]) | READS[part]


def test_acts_tell_before_and_after_and_the_rest_is_handed_on() -> None:
    """What is wrapped does what it did, in between."""
    told: list[str] = []
    board = mined(Board(told), "board", told.append)
    assert (board.post("a"), board.posted(), list(board.publish_site())) == ("a", "b", [1])
    with pytest.raises(OSError, match=r"^$"):
        board.remove(1)
    assert told == [
        "board.post:before",
        "posted a",
        "board.post:after",
        "read",
        "board.publish_site:before",
        "board.publish_site:after",
        "board.remove:before",
    ]


def test_nothing_is_wrapped_where_nothing_is_asked() -> None:
    """A site's daemon has its ports as they are."""
    board = Board([])
    assert mined(board, "board", from_environment({})) is board


def test_it_dies_at_the_time_that_was_asked_for() -> None:
    """Of one point, or of all but the looks into the inbox."""
    deaths: list[str] = []
    second, fourth = (
        Mine(point, times, lambda point=point: deaths.append(point))
        for point, times in (("store.save:after", 2), (ANY, 4))
    )
    for point in ("store.save:after", "inbox.take:after", "inbox.take:before", "board.post:before", "store.save:after"):
        second(point)
        fourth(point)
    assert deaths == ["store.save:after"]
    fourth("inbox.done:before")
    assert deaths == ["store.save:after", ANY]


@pytest.mark.parametrize("text", ["arm.archive", "arm.archive:after#0", "rm -rf:before", "any#x"])
def test_what_is_no_point_is_told(text: str) -> None:
    """A misspelt point must not look like a restart that went well."""
    with pytest.raises(UserError, match="is no crash point"):
        from_environment({VARIABLE: text})


def test_a_death_is_a_sigkill() -> None:
    """Nothing is cleaned up on the way out: no finally, no exit handler."""
    code = (
        "import atexit, os\n"
        "from slurm_amlfs.adapters.crash_points import from_environment\n"
        "atexit.register(print, 'cleaned up')\n"
        "reach = from_environment(os.environ)\n"
        "try:\n    reach('store.save:after')\nfinally:\n    print('cleaned up')\n"
    )
    environment = {**os.environ, VARIABLE: "store.save:after"}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, b"")


def test_there_are_as_many_points_as_acts_have_sides() -> None:
    """Each has a name of its own."""
    assert len(set(POINTS)) == 2 * sum(len(names) for some in (ACTS, STEPS) for names in some.values())


def test_steps_of_an_act_tell_too(tmp_path: Path) -> None:
    """Also those that the act makes by itself; the record of the term before is there from the second term on."""
    told: list[str] = []
    files = mined(TermFiles(tmp_path), "terms", told.append)
    files.take(1, Holder("a", 7, "boot", "pids", "100", "now"))
    names = ("take:before", "link:before", "link:after", "take_over:before", "take_over:after", "take:after")
    assert told == [f"terms.{name}" for name in names]
    assert files.newest_term() == 1


def test_every_step_is_a_method() -> None:
    """Else its points would only be missed when somebody dies there."""
    owners = {"slurm": SlurmCommands, "terms": TermFiles}
    assert all(callable(getattr(owners[part], name)) for part, names in STEPS.items() for name in names)
