from __future__ import annotations

from datetime import timedelta

import pytest

from slurm_amlfs.domain.ask import Conflict
from slurm_amlfs.domain.evidence import Verdict, judge_in, judge_out, path_of
from slurm_amlfs.domain.view import BlobView, FileKind, FileView, HsmState
from tests.unit.domain.desk import NOON

OLD, YOUNG = NOON - timedelta(hours=1), NOON + timedelta(hours=1)
MISSING, NEWER, KEPT, PROVED = Verdict.MISSING, Verdict.NEWER, Verdict.KEPT, Verdict.PROVED


def file(size_bytes: int = 5, kind: FileKind = FileKind.REGULAR) -> FileView:
    """Make a file."""
    return FileView("/a/b", kind, size_bytes)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a/b", "/a/b"),
        ("a/b/", "/a/b"),
        ("a b\n'\"/c", "/a b\n'\"/c"),
        ("", None),
        ("/", None),
        ("a//b", None),
        ("/a", None),
        ("a/./b", None),
        ("../etc/passwd", None),
        ("a/..", None),
        ("a\0b", None),
    ],
)
def test_which_path_a_blob_has(name: str, path: str | None) -> None:
    """A name that is no path below the mount has none, whatever it tries to point at."""
    assert path_of(name) == path


@pytest.mark.parametrize(
    ("size_bytes", "there", "conflict", "modified", "verdict"),
    [
        (5, file(5), Conflict.SKIP, OLD, PROVED),
        (5, file(5), Conflict.SKIP, YOUNG, PROVED),
        (5, None, Conflict.SKIP, OLD, MISSING),
        (5, None, Conflict.SKIP, YOUNG, NEWER),
        (5, file(6), Conflict.SKIP, OLD, KEPT),
        (5, file(6), Conflict.OVERWRITE_IF_DIRTY, OLD, KEPT),
        (5, file(6), Conflict.OVERWRITE_ALWAYS, OLD, MISSING),
        (5, file(6), Conflict.FAIL, OLD, MISSING),
        (5, file(6), Conflict.SKIP, YOUNG, NEWER),
        (0, file(0, FileKind.DIRECTORY), Conflict.SKIP, OLD, PROVED),
        (5, file(0, FileKind.DIRECTORY), Conflict.SKIP, OLD, MISSING),
        (5, file(9, FileKind.SYMLINK), Conflict.SKIP, OLD, PROVED),
        (5, file(5, FileKind.OTHER), Conflict.SKIP, OLD, MISSING),
    ],
)
def test_whether_a_blob_is_on_lustre(
    size_bytes: int, there: FileView | None, conflict: Conflict, modified: object, verdict: Verdict
) -> None:
    """By kind, size, mode, and whether the blob changed after the import began."""
    assert isinstance(modified, type(NOON))
    blob = BlobView("a/b", size_bytes, modified)

    assert judge_in(blob, there, conflict, NOON) is verdict


def test_without_a_known_start_no_blob_is_called_newer() -> None:
    """An import that never said when it began excuses nothing and blames nothing."""
    assert judge_in(BlobView("a/b", 5, YOUNG), None, Conflict.SKIP, None) is MISSING


WHOLE = HsmState.EXISTS | HsmState.ARCHIVED


@pytest.mark.parametrize(
    ("hsm_state", "blob_bytes", "verdict"),
    [
        (WHOLE, 5, PROVED),
        (WHOLE | HsmState.RELEASED, 5, PROVED),
        (WHOLE, 4, MISSING),
        (WHOLE, None, MISSING),
        (WHOLE | HsmState.DIRTY, 5, MISSING),
        (WHOLE | HsmState.LOST, 5, MISSING),
        (HsmState.NONE, None, MISSING),
        (HsmState.EXISTS, None, Verdict.UNDER_WAY),
        (HsmState.EXISTS | HsmState.DIRTY, None, MISSING),
    ],
)
def test_whether_a_file_is_in_blob(hsm_state: HsmState, blob_bytes: int | None, verdict: Verdict) -> None:
    """Archived, not changed since, and the blob there with the size; the states are those of blob-integration.md."""
    assert judge_out(file(5), hsm_state, blob_bytes) is verdict
