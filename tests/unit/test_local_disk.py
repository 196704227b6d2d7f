"""Which file systems SQLite's write-ahead log is used on, and how a database elsewhere is read."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from slurm_amlfs.adapters import database_file
from slurm_amlfs.adapters.local_disk import is_local
from slurm_amlfs.adapters.memory_reading import read_events
from slurm_amlfs.adapters.store import SqliteStore
from slurm_amlfs.domain.records import Event, Records

MOUNTS = r"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /shared rw,relatime shared:2 - nfs4 server:/export rw,vers=4.2
31 22 0:41 / /shared/disk rw,relatime - xfs /dev/sdb rw
32 22 0:42 / /with\040blank rw - nfs server:/other rw
33 22 0:43 / /covered rw - ext4 /dev/sdc rw
34 22 0:44 / /covered rw - lustre mgs:/fs rw
"""


@pytest.mark.parametrize(
    ("folder", "local"),
    [
        ("/var/lib/slurm-amlfs", True),
        ("/shared/slurm-amlfs", False),
        ("/sharedx", True),
        ("/shared/disk/slurm-amlfs", True),
        ("/with blank/slurm-amlfs", False),
        ("/covered", False),
    ],
)
def test_where_a_folder_is(tmp_path: Path, folder: str, local: bool) -> None:  # noqa: FBT001 - a column of the table above
    """The mount that is nearest to it decides, and of two in one place the later; what is not known is not local."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)

    assert is_local(Path(folder), mounts) is local


def test_a_database_over_a_network_has_no_write_ahead_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that had it loses it; it is read beside a daemon that has it open, and its history stays."""
    path = tmp_path / "amlfs.db"
    event = Event(7, datetime(2026, 11, 22, 12, tzinfo=UTC), "submitted", "")
    store = SqliteStore(path)
    store.save(Records(), Records(), (event,))
    store.close()
    monkeypatch.setattr(database_file, "is_local", lambda _: False)
    store = SqliteStore(path)
    store.save(Records(), Records(), (event,))

    assert read_events(path, 7) == (event, event)
    assert [it.name for it in tmp_path.iterdir()] == ["amlfs.db"]
    store.close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)
