"""A site's Lua files in a folder of their own, called one function at a time as Slurm calls them."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from lua_process import ETC, interpreter

from slurm_amlfs import wire
from slurm_amlfs.wire import Board, Request, Site

STATE_LINE = 'local STATE_DIR = "/var/lib/slurm-amlfs"'
MOCK = Path(__file__).with_name("slurm.lua")


@dataclass(frozen=True, slots=True)
class Returned:
    """What a Lua function gave back: its values as text, and what it said to the user."""

    values: tuple[str, ...]
    said: tuple[str, ...] = ()
    burst_buffer: str = ""
    dependency: str = ""
    priority: str = ""


class SlurmMock:
    """One Lua version standing for one Slurm release."""

    def __init__(self, folder: Path, lua: str, release: str) -> None:
        self.lua, self.release = interpreter(lua), release
        self.conf, self.state = folder / "conf", folder / "state"
        self.conf.mkdir()
        for path in ETC.glob("*.lua"):
            shutil.copy(path, self.conf)
        for name in ("job_submit.lua", "burst_buffer.lua"):
            text = (self.conf / name).read_text()
            assert text.count(STATE_LINE) == 1, "one line to edit"
            (self.conf / name).write_text(text.replace(STATE_LINE, f'local STATE_DIR = "{self.state}"'))
        for name in ("inbox/tmp", "inbox/new", "board", "asks"):
            (self.state / name).mkdir(parents=True)

    def start(self, function: str) -> subprocess.Popen[str]:
        """Start one function; its input decides its arguments."""
        return subprocess.Popen(
            [self.lua, MOCK, self.conf, self.release, function],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="ascii",
        )  # fmt: skip

    def call(self, function: str, *args: str, **fields: str | list[str]) -> Returned:
        """Call one function to its end. Fields: info_NAME, job_NAME (a text), env (a list)."""
        process = self.start(function)
        return finish(process, *process.communicate(told(*args, **fields)))

    def call_inside(self, function: str, *args: str, **fields: str | list[str]) -> Returned:
        """Call one function as within slurmctld: to begin a process, load a library or go on for long fails."""
        process = subprocess.run(
            [self.lua, MOCK, self.conf, self.release, function, "inside"],
            input=told(*args, **fields), capture_output=True, check=False, encoding="ascii",
        )  # fmt: skip
        return finish(process, process.stdout, process.stderr)

    def requests(self) -> list[Request]:
        """Read the inbox, oldest first."""
        return [wire.load_request(path.read_bytes(), -1) for path in self.inbox()]

    def inbox(self) -> list[Path]:
        """List the inbox, oldest first; nothing may be left half written."""
        assert not list((self.state / "inbox/tmp").iterdir())
        return sorted((self.state / "inbox/new").iterdir())

    def inbox_files(self) -> list[Path]:
        """List the inbox while a hook may be writing to it."""
        return list((self.state / "inbox/new").iterdir())

    def post(self, board: Board) -> None:
        """Replace a board as the daemon does."""
        path = self.state / "board" / str(board.job_id)
        path.with_suffix(".tmp").write_bytes(wire.dump_board(board))
        path.with_suffix(".tmp").rename(path)

    def publish(self, site: Site) -> None:
        """Replace the site file as the daemon does."""
        (self.state / "site.tmp").write_bytes(wire.dump_site(site))
        (self.state / "site.tmp").rename(self.state / "site")

    def script(self, *directives: str) -> str:
        """Write a job script; return its path."""
        path = self.state / "script"
        path.write_text("\n".join(["#!/bin/sh", *(f"#AMLFS {line}" for line in directives), "true", ""]))
        return str(path)


def told(*args: str, **fields: str | list[str]) -> str:
    """Write a call's input."""
    lines = [("arg", value) for value in args]
    for key, value in fields.items():
        name = key.replace("_", ".", 1) if key.startswith(("info_", "job_")) else key
        lines += [(name, item) for item in ([value] if isinstance(value, str) else value)]
    return "".join(f"{key}={wire.escape(value)}\n" for key, value in lines)


def finish(process: subprocess.Popen[str] | subprocess.CompletedProcess[str], out: str, problem: str) -> Returned:
    """Read what a call gave back."""
    assert process.returncode == 0, problem
    lines = [line.partition("=")[::2] for line in out.splitlines()]
    assert not [value for key, value in lines if key == "bad"], "Slurm takes a value that is no string for a failure"
    by_key: dict[str, list[str]] = {}
    for key, value in lines:
        by_key.setdefault(key, []).append(wire.unescape(value))
    return Returned(
        tuple(by_key.get("value", ())),
        tuple(by_key.get("said", ())),
        "".join(by_key.get("burst_buffer", ())),
        "".join(by_key.get("dependency", ())),
        "".join(by_key.get("priority", ())),
    )
