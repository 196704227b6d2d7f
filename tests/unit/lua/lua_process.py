"""The real Lua modules under every Lua that Slurm may be linked with, asked over pipes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from slurm_amlfs import wire

ETC = Path(__file__).parents[3] / "etc"
VERSIONS = ("5.1", "5.2", "5.3", "5.4")


def interpreter(version: str) -> str:
    """Find one Lua; the project's set-up installs all four."""
    found = shutil.which(f"lua{version}")
    assert found, f"lua{version} is not installed; apt-get install lua{version}"
    return found


class Lua:
    """One Lua process that answers questions (see driver.lua)."""

    def __init__(self, version: str) -> None:
        driver = Path(__file__).with_name("driver.lua")
        self.process = subprocess.Popen(
            [interpreter(version), driver, ETC], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="ascii"
        )

    def ask(self, word: str, *args: str) -> list[str]:
        """Put one question; return the words of the answer."""
        process = self.process
        assert process.stdin
        assert process.stdout
        process.stdin.write("\t".join([word, *map(wire.escape, args)]) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        assert answer.endswith("\n"), f"Lua stopped at {word} {args}"
        return [wire.unescape(field) for field in answer[:-1].split("\t")]

    def close(self) -> None:
        """End the process."""
        self.process.communicate()


class Luas:
    """All four, which have to give the same answer."""

    def __init__(self, luas: list[Lua]) -> None:
        self.luas = luas

    def ask(self, word: str, *args: str) -> list[str]:
        """Put one question to each; return the one answer."""
        first, *others = (lua.ask(word, *args) for lua in self.luas)
        assert all(other == first for other in others), f"the Luas differ on {word} {args}"
        return first
