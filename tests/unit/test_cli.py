"""The command line: what it takes for a job id, what it shows of leases and queue, and what it refuses."""

from __future__ import annotations

import json
import os
import pwd
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from slurm_amlfs.adapters.store import FILE_NAME, SqliteStore
from slurm_amlfs.domain.ask import Ask, Conflict, Direction
from slurm_amlfs.domain.lease import Lease, LeaseKey, Part
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.records import Job, Records, Stage, StageKey
from slurm_amlfs.entrypoints import status
from slurm_amlfs.entrypoints.cli import app
from slurm_amlfs.errors import UserError
from slurm_amlfs.wire import Request, RequestKind, load_request

CONFIGURATION = """
state_dir = "/srv/state"
[slurm]
user = "root"
[[file_system]]
name = "lustre"
mount = "/lustre"
namespace = "hierarchical"
subscription = "0b2d2d5c-0000-4000-8000-000000000001"
resource_group = "hpc"
amlfs = "amlfs1"
container_url = "https://hpcblobs.blob.core.windows.net/data"
[[grant]]
users = ["*"]
import = ["/", "/genomics/"]
[[grant]]
file_system = "lustre"
users = ["root", "daemon"]
export = ["/jobs/"]
"""


@pytest.mark.parametrize("text", ["4_2", "x", "0", "-1", "٣"])
def test_only_a_job_id_is_one(text: str) -> None:
    """Python would read the array task 4_2 as job 42; here it is refused, with the mend."""
    result = CliRunner().invoke(app, ["retry", "--", text])
    assert result.exit_code == 2
    assert "is no job id" in result.output


def test_a_job_without_a_board_is_told_in_one_sentence(tmp_path: Path) -> None:
    """Neither board nor history: say what can be the reason."""
    (tmp_path / "board").mkdir()
    with pytest.raises(UserError, match="job 7 has no board: no #AMLFS lines, not begun to stage, cancelled, or long"):
        status.read(tmp_path, 7)


def test_check_says_what_it_understood(tmp_path: Path) -> None:
    """A file that is right is told back: each file system with its mount and container, each grant."""
    path = tmp_path / "amlfs.toml"
    path.write_text(CONFIGURATION, encoding="utf-8")
    result = CliRunner().invoke(app, [f"--config={path}", "config", "check"])
    assert result.exit_code == 0
    assert result.stdout.splitlines()[:-1] == [
        f"{path}: right; state in /srv/state, Slurm's user root, ARM at https://management.azure.com",
        (
            "  file system lustre, the default: /lustre is amlfs1 in resource group hpc, "
            "with https://hpcblobs.blob.core.windows.net/data (hierarchical) behind it"
        ),
        "  grant 1: everybody on any file system: import / /genomics/, export nothing",
        "  grant 2: root, daemon on lustre: import nothing, export /jobs/",
    ]


def test_check_says_where_lustre_archives(tmp_path: Path) -> None:
    """export_by = "hsm" is told with its file system."""
    path = tmp_path / "amlfs.toml"
    path.write_text(
        CONFIGURATION.replace('amlfs = "amlfs1"\n', 'amlfs = "amlfs1"\nexport_by = "hsm"\n'), encoding="utf-8"
    )
    result = CliRunner().invoke(app, [f"--config={path}", "config", "check"])
    assert "(hierarchical) behind it; exports by Lustre's HSM\n" in result.stdout


def test_check_looks_users_up_on_this_host(tmp_path: Path) -> None:
    """A login name that is not there is refused, as the daemon would refuse it."""
    path = tmp_path / "amlfs.toml"
    path.write_text(CONFIGURATION.replace('"daemon"', '"nobody-of-that-name"'), encoding="utf-8")
    result = CliRunner().invoke(app, [f"--config={path}", "config", "check"])
    assert isinstance(result.exception, UserError)
    assert f'{path}: grant[2].users[2]: there is no user "nobody-of-that-name"' in result.exception.message


NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
RUN_ON = Lease(
    LeaseKey("lustre", "/genomes/", Conflict.SKIP, 1000), NOON, NOON, counted=NOON, files_total=3, bytes_total=300,
    held_bytes=300, whole=True, proved=NOON, parts=(Part("/genomes/", 3, 300, NOON),),
)  # fmt: skip
COUNTED = replace(
    RUN_ON, key=LeaseKey("lustre", "/more/", Conflict.SKIP, 1000), parts=(Part("/more/", 40, 400),),
    held_bytes=0, whole=False, proved=None, files_total=40, message="waiting for the slot: the slot is held by another",
)  # fmt: skip
PINNED = replace(RUN_ON, key=LeaseKey("lustre", "/reference/", Conflict.SKIP, 1000), pinned=True)
IDLE = replace(RUN_ON, key=LeaseKey("lustre", "/idle/", Conflict.SKIP, 1000), held_bytes=0, whole=False)


def stage(job_id: int, prefix: str, phase: Phase) -> Stage:
    """Make a stage-in of a job."""
    return Stage(StageKey(job_id, Direction.IN, 0), Ask(Direction.IN, (prefix,)), "lustre", phase, NOON)


@pytest.fixture
def remembered(tmp_path: Path) -> Path:
    """A configuration file, and the database of a daemon that is dead."""
    path = tmp_path / "amlfs.toml"
    user = pwd.getpwuid(os.geteuid()).pw_name
    text = CONFIGURATION.replace('"/srv/state"', f'"{tmp_path}"').replace('user = "root"', f'user = "{user}"')
    path.write_text(text, encoding="utf-8")
    for folder in ("inbox/tmp", "inbox/new"):
        (tmp_path / folder).mkdir(parents=True)
    stages = [stage(7, "/genomes/", Phase.RUNNING), stage(8, "/more/", Phase.WAITING)]
    records = Records(
        {it: Job(it, os.geteuid(), 0, (), NOON) for it in (7, 8)},
        {it.key: it for it in stages},
        leases={it.key: it for it in (RUN_ON, COUNTED, PINNED, IDLE)},
    )
    store = SqliteStore(tmp_path / FILE_NAME)
    store.save(Records(), records, ())
    store.close()
    return path


def run(path: Path, *words: str) -> str:
    """Run a command, and give what it prints, or the one line that it refuses with."""
    result = CliRunner().invoke(app, [f"--config={path}", *words])
    if isinstance(result.exception, UserError):
        assert "\n" not in result.exception.message
        return result.exception.message
    assert result.exit_code == 0, result.output
    return result.output


def test_leases_says_what_is_there_and_for_whom(remembered: Path) -> None:
    """Each with how far it is, who needs it, and until when it is kept where nobody does."""
    rows = {row["prefix"]: row for row in json.loads(run(remembered, "leases", "--json"))}
    assert {prefix: (row["is_now"], row["first_jobs"], row["pinned"]) for prefix, row in rows.items()} == {
        "/genomes/": ("on Lustre", [7], False),
        "/idle/": ("names only", [], False),
        "/more/": ("waiting for the slot", [8], False),
        "/reference/": ("on Lustre", [], True),
    }
    assert (rows["/genomes/"]["kept_until"], rows["/idle/"]["kept_until"]) == ("", "2026-11-29T12:00:00+00:00")
    assert (rows["/more/"]["files"], rows["/more/"]["total_bytes"], rows["/more/"]["bytes_on_lustre"]) == (40, 300, 0)
    shown = run(remembered, "leases").splitlines()
    assert shown[0].split()[:4] == ["FS", "PREFIX", "CONFLICT", "NOW"]
    assert "pinned" in shown[-1]


def test_queue_says_what_waits_and_why(remembered: Path) -> None:
    """Nothing of ours holds the slot, another does; one import waits, with its job and size."""
    [slot] = json.loads(run(remembered, "queue", "--json"))
    assert (slot["fs"], slot["holder"], slot["why"]) == ("lustre", None, "the slot is held by another")
    assert [(it["kind"], it["prefixes"], it["jobs"], it["files"]) for it in slot["waiting"]] == [
        ("import", ["/more/"], [8], 40)
    ]
    assert "the slot is held by another" in run(remembered, "queue")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("evict", "/genomes/"), '"/genomes/" on lustre is needed by job 7; evict it when they are over'),
        (("evict", "/genomes/deep/"), '"/genomes/deep/" on lustre; see: slurm-amlfs leases'),
        (("evict", "/reference/"), "is pinned; first: slurm-amlfs unpin /reference/"),
        (("unpin", "/idle/"), '"/idle/" on lustre is not pinned; see: slurm-amlfs leases'),
        (("pin", "idle"), 'does not begin with "/"; write it from the root of the container'),
        (("pin", "/idle/", "--fs=other"), '"other" is no configured file system; name one of lustre'),
    ],
)
def test_what_would_have_no_effect_is_refused(remembered: Path, words: tuple[str, ...], says: str) -> None:
    """In one line, with the mend; nothing is asked of the daemon."""
    assert says in run(remembered, *words)
    assert list((remembered.parent / "inbox" / "new").iterdir()) == []


@pytest.mark.parametrize(("word", "prefix"), [("pin", "/new/"), ("unpin", "/reference/"), ("evict", "/idle/")])
def test_what_operators_say_goes_through_the_inbox(remembered: Path, word: str, prefix: str) -> None:
    """As a request with the file system's name and the prefix, and no job."""
    assert run(remembered, word, prefix) == f"asked to {word} {prefix} on lustre; see: slurm-amlfs leases\n"
    [file] = (remembered.parent / "inbox" / "new").iterdir()
    request = load_request(file.read_bytes(), 0)
    assert request == Request(RequestKind(word), 0, fs="lustre", prefix=prefix, sender_uid=0)


@pytest.mark.parametrize("words", [("leases",), ("queue",), ("pin", "/x/"), ("unpin", "/x/"), ("evict", "/x/")])
def test_only_operators_may(remembered: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    """Anybody else is told so in one line, and what to do instead; nothing is asked of the daemon."""
    monkeypatch.setattr(os, "geteuid", lambda: 61001)
    assert run(remembered, *words).startswith("only root and ")
    assert list((remembered.parent / "inbox" / "new").iterdir()) == []
