"""A large export is archived part by part, and the parts say the same as the whole."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from slurm_amlfs.domain.archiving import Unarchived, seconds
from slurm_amlfs.domain.cutting import Cut
from slurm_amlfs.domain.prefix import Namespace, matches, overlaps

HNS = Namespace.HIERARCHICAL


def unarchived(paths: dict[str, int], prefix: str = "/jobs/7/", namespace: Namespace = Namespace.FLAT) -> Unarchived:
    """Take some files."""
    made = Unarchived(namespace, prefix)
    for path, size_bytes in paths.items():
        made.take(path, size_bytes)
    return made


def many(folders: int, files: int, size_bytes: int = 1) -> dict[str, int]:
    """Make files in folders."""
    return {f"/jobs/7/d{folder}/f{file}": size_bytes for folder in range(folders) for file in range(files)}


def test_nothing_is_left() -> None:
    """Without files there is nothing to archive."""
    assert unarchived({}).parts(55.0) == ()


def test_what_fits_into_a_turn_is_one_archive() -> None:
    """A few files are not worth a second turn."""
    assert unarchived(many(4, 1000)).parts(55.0) == (Cut("/jobs/7/", 4000, 4000),)


def test_many_files_are_cut_by_their_folders() -> None:
    """64,000 files would hold the slot for two minutes; no part does so for longer than a turn."""
    parts = unarchived(many(64, 1000)).parts(55.0)

    assert len(parts) > 1
    assert sum(part.blobs for part in parts) == 64_000
    assert all(seconds(part) <= 55.0 for part in parts)


def test_large_files_are_cut_by_their_bytes() -> None:
    """Ten folders of a hundred files of 10 GB each: a turn carries 275 GB."""
    parts = unarchived(many(10, 100, 10**10)).parts(250.0)

    assert [part.blobs for part in parts] == [100] * 10


def test_a_folder_of_many_files_is_not_cut() -> None:
    """The documents do not say that a path may be the beginning of names."""
    files = {f"/jobs/7/f{number}": 1 for number in range(60_000)}

    assert unarchived(files).parts(55.0) == (Cut("/jobs/7/", 60_000, 60_000),)


def test_the_beginning_of_names_is_not_cut() -> None:
    """`/jobs/7` on a flat namespace takes files beside the folder too."""
    files = {f"/jobs/7{folder}/{number}": 1 for folder in range(60) for number in range(1000)}

    assert unarchived(files, "/jobs/7").parts(55.0) == (Cut("/jobs/7", 60_000, 60_000),)


SEGMENTS = st.text("ab.-", min_size=1, max_size=2).filter(lambda it: it not in {".", ".."})
PATHS = st.lists(SEGMENTS, min_size=1, max_size=4).map(lambda parts: "/jobs/7/" + "/".join(parts))


@given(
    st.dictionaries(PATHS, st.integers(0, 10**12), min_size=1, max_size=60),
    st.sampled_from(Namespace),
    st.floats(0.01, 1000),
)
def test_every_file_is_in_one_part(paths: dict[str, int], namespace: Namespace, longest: float) -> None:
    """However the export is cut, its archives take each file, and no two of them the same."""
    # A file and a folder of one name cannot be.
    files = {path: size for path, size in paths.items() if not any(other.startswith(path + "/") for other in paths)}
    parts = unarchived(files, namespace=namespace).parts(longest)

    assert all(sum(matches(HNS, part.prefix, path) for part in parts) == 1 for path in files)
    assert not any(overlaps(HNS, one.prefix, other.prefix) for one in parts for other in parts if one is not other)
