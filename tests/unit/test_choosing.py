"""Which way to Slurm is taken at the start, and what is said of it."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from pyslurm_bed import PyslurmBed, bed

from slurm_amlfs.adapters.slurm_apart import SlurmApart
from slurm_amlfs.adapters.slurm_cli import SlurmCommands
from slurm_amlfs.config import Client, Slurm
from slurm_amlfs.entrypoints.choosing import choose_slurm
from slurm_amlfs.errors import TemporaryError, UserError

__all__ = ["bed"]


@pytest.fixture(autouse=True)
def _told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "slurm_amlfs")


@pytest.fixture
def bin_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


def install(bin_dir: Path, said: str = "slurm 25.11.7") -> None:
    """Install a squeue that says its version so."""
    squeue = bin_dir / "squeue"
    squeue.write_text(f"#!/bin/sh\n[ \"$1\" = --version ] && echo '{said}'\n")
    squeue.chmod(0o755)


def choose(bin_dir: Path, client: Client = Client.AUTO) -> SlurmApart | SlurmCommands:
    """Choose, as the daemon does."""
    return choose_slurm(Slurm.model_validate({"client": client, "bin_dir": str(bin_dir)}))


def told(caplog: pytest.LogCaptureFixture) -> dict[str, str]:
    """Read the one line about it."""
    [record] = [it for it in caplog.records if it.getMessage() == "slurm-client"]
    pairs: dict[str, str] = record.__dict__["amlfs_pairs"]
    return pairs


@pytest.mark.parametrize("client", [Client.AUTO, Client.PYSLURM])
def test_pyslurm_that_matches(bed: PyslurmBed, bin_dir: Path, caplog: pytest.LogCaptureFixture, client: Client) -> None:
    """It is taken, and asked."""
    install(bin_dir)
    chosen = choose(bin_dir, client)
    assert isinstance(chosen, SlurmApart)
    assert told(caplog) == {"client": "pyslurm", "pyslurm": "25.11.2", "slurm": "25.11.7"}
    bed.tell(jobs=[])
    assert chosen.queue() == ()
    chosen.close()


def refused(bin_dir: Path) -> str:
    """Ask for pyslurm by name; give what is said."""
    with pytest.raises(UserError) as caught:
        choose(bin_dir, Client.PYSLURM)
    assert 'write client = "auto"' in caught.value.message
    assert "\n" not in caught.value.message
    return caught.value.message


@pytest.mark.parametrize(
    ("world", "slurm", "why"),
    [
        ({}, "slurm-wlm 22.05.8", "pyslurm 25.11.2 was built for Slurm 25.11.7, and Slurm 22.05.8 is installed"),
        ({}, "slurm 25.05.7", "pyslurm 25.11.2 was built for Slurm 25.11.7, and Slurm 25.05.7 is installed"),
        ({"built": [26, 5, 1]}, "slurm 25.11.7", "pyslurm 25.11.2 was built for Slurm 26.5.1"),
        ({"mishap": "exit"}, "slurm 25.11.7", "pyslurm cannot be loaded, or ended the process"),
    ],
)
def test_pyslurm_that_does_not_match(  # noqa: PLR0913, PLR0917 - what there is, and what comes of it
    bed: PyslurmBed, bin_dir: Path, caplog: pytest.LogCaptureFixture, world: dict[str, object], slurm: str, why: str
) -> None:
    """The commands are taken, and the log says why; who asks for pyslurm is refused, and told the same."""
    bed.tell(**world)
    install(bin_dir, slurm)
    assert isinstance(choose(bin_dir), SlurmCommands)
    assert told(caplog)["client"] == "commands"
    assert told(caplog)["why"].startswith(why)
    assert refused(bin_dir).startswith(f'slurm.client: "pyslurm", but {why}')


def test_no_pyslurm(bin_dir: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where it was never installed."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    install(bin_dir)
    assert isinstance(choose(bin_dir), SlurmCommands)
    assert told(caplog) == {"client": "commands", "why": "pyslurm is not installed"}
    assert "pyslurm is not installed; install" in refused(bin_dir)


@pytest.mark.usefixtures("bed")
def test_a_slurm_that_does_not_tell_its_version(bin_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It may yet, for who asks for pyslurm; others go on by the commands."""
    install(bin_dir, "what?")
    assert isinstance(choose(bin_dir), SlurmCommands)
    assert "does not tell Slurm's version" in told(caplog)["why"]
    with pytest.raises(TemporaryError, match="does not tell Slurm's version"):
        choose(bin_dir, Client.PYSLURM)


def test_the_commands_by_name(bed: PyslurmBed, bin_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody looks for pyslurm then."""
    install(bin_dir)
    assert isinstance(choose(bin_dir, Client.COMMANDS), SlurmCommands)
    assert told(caplog) == {"client": "commands", "why": 'client = "commands"'}
    assert not bed.asked()
