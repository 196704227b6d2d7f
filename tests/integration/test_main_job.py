"""The main job, whole: data in before the start, outputs out after the end."""

from __future__ import annotations

import hashlib

import pytest

from sandbox.site import Site
from slurm_amlfs.domain.view import HsmState
from tests.integration import seeing

pytestmark = pytest.mark.integration

SCRIPT = """#!/bin/bash
#SBATCH --amlfs-import=/{name}/
#SBATCH --amlfs-export=/jobs/{name}/
set -eu
mkdir -p "$AMLFS_EXPORT_DIR"
cat "$AMLFS_IMPORT_DIR"/* | sort > "$AMLFS_EXPORT_DIR/sorted"
env | grep ^AMLFS_ | sort > "$AMLFS_EXPORT_DIR/env"
srun sh -c 'echo "$AMLFS_IMPORT_DIR"' > "$AMLFS_EXPORT_DIR/task"
"""


def test_a_job_reads_its_import_and_its_outputs_reach_blob(site: Site, name: str) -> None:
    """Data in, job, outputs out, every byte as written, space given back, timeline told."""
    lines = [f"{number:04}\n".encode() for number in range(50)]
    for number, line in enumerate(lines):
        seeing.put_blob(site, f"{name}/part{number}", line)

    job = site.submit("alice", SCRIPT.format(name=name))
    seeing.wait_until_closed(site, job)

    mount = str(site.mount)
    assert seeing.blob(site, f"jobs/{name}/sorted") == b"".join(sorted(lines))
    assert seeing.blob(site, f"jobs/{name}/task").decode() == f"{mount}/{name}\n"
    assert seeing.blob(site, f"jobs/{name}/env").decode().splitlines() == [
        f"AMLFS_EXPORT_DIR={mount}/jobs/{name}",
        f"AMLFS_EXPORT_DIRS={mount}/jobs/{name}",
        f"AMLFS_IMPORT_DIR={mount}/{name}",
        f"AMLFS_IMPORT_DIRS={mount}/{name}",
        f"AMLFS_MOUNT={mount}",
    ]
    released = seeing.hsm_states(site, [f"jobs/{name}/sorted", f"jobs/{name}/env"])
    assert all(it & HsmState.RELEASED and it.clean for it in released.values())
    words = seeing.words(site, job)
    told = ["submitted", "import started", "imported", "restored", "staged in", "started", "ended", "export started"]
    assert [word for word in words if word in {*told, "exported", "released"}] == [*told, "exported", "released"]


def test_directives_in_the_script_do_the_same_without_the_plugin(site: Site, name: str) -> None:
    """#AMLFS lines alone are enough."""
    seeing.put_blob(site, f"{name}/in", b"hello")
    script = f"#!/bin/sh\n#AMLFS stage_in prefix=/{name}/\n#AMLFS stage_out prefix=/jobs/{name}/\n"
    script += f'mkdir -p "$AMLFS_EXPORT_DIR"\ntr a-z A-Z < "$AMLFS_MOUNT/{name}/in" > "$AMLFS_EXPORT_DIR/out"\n'
    job = site.submit("alice", script)
    seeing.wait_until_closed(site, job)
    assert seeing.blob(site, f"jobs/{name}/out") == b"HELLO"


@pytest.mark.parametrize(("hydrate", "released"), [("none", True), ("all", False)])
def test_hydrate_says_whether_bytes_are_there_at_the_start(
    site: Site, name: str, hydrate: str, *, released: bool
) -> None:
    """With hydrate=none the job starts with released files, whose first read brings the bytes; else they are there."""
    seeing.put_blob(site, f"{name}/in", b"late")
    script = '#!/bin/sh\nmkdir -p "$AMLFS_EXPORT_DIR"\n'
    script += f'{site.lfs} hsm_state "$AMLFS_IMPORT_DIR/in" > "$AMLFS_EXPORT_DIR/state"\n'
    script += 'cat "$AMLFS_IMPORT_DIR/in" > "$AMLFS_EXPORT_DIR/out"\n'
    options = (f"--amlfs-import=/{name}/", f"--amlfs-export=/jobs/{name}/", f"--amlfs-hydrate={hydrate}")
    job = site.submit("alice", script, *options)
    seeing.wait_until_closed(site, job)
    assert (b"released" in seeing.blob(site, f"jobs/{name}/state")) is released
    assert seeing.blob(site, f"jobs/{name}/out") == b"late"


@pytest.mark.parametrize(
    ("on", "code", "exported"), [("success", 0, True), ("success", 1, False), ("failure", 1, True)]
)
def test_export_on_follows_how_the_job_ended(site: Site, name: str, on: str, code: int, *, exported: bool) -> None:
    """--amlfs-export-on exports after the end it names, and not after the other."""
    script = f'#!/bin/sh\nmkdir -p "$AMLFS_EXPORT_DIR"\necho x > "$AMLFS_EXPORT_DIR/out"\nexit {code}\n'
    job = site.submit("alice", script, f"--amlfs-export=/jobs/{name}/", f"--amlfs-export-on={on}")
    seeing.wait_until_closed(site, job)
    assert seeing.has_blob(site, f"jobs/{name}/out") is exported
    assert ("exported" if exported else "not exported") in seeing.words(site, job)


def test_release_no_leaves_the_outputs_whole(site: Site, name: str) -> None:
    """--amlfs-release=no keeps exported files on Lustre."""
    script = '#!/bin/sh\nmkdir -p "$AMLFS_EXPORT_DIR"\necho x > "$AMLFS_EXPORT_DIR/out"\n'
    job = site.submit("alice", script, f"--amlfs-export=/jobs/{name}/", "--amlfs-release=no")
    seeing.wait_until_closed(site, job)
    (state,) = seeing.hsm_states(site, [f"jobs/{name}/out"]).values()
    assert state.clean
    assert not state & HsmState.RELEASED


def test_odd_names_go_in_and_out_unchanged(site: Site, name: str) -> None:
    """Spaces, quotes, newlines, percent escapes, unicode and 1,000 characters survive both ways."""
    names = ["a b", "q\"u'o", "p%41%zz", "ünï", "-dash", "$(id)", "`id`", "*?[x]", "/".join(["d" * 90] * 10)]
    for number, odd in enumerate(names):
        seeing.put_blob(site, f"{name}/{odd}", f"content {number}".encode())
    script = '#!/bin/sh\nmkdir -p "$AMLFS_EXPORT_DIR"\ncp -r "$AMLFS_IMPORT_DIR/." "$AMLFS_EXPORT_DIR/"\n'
    script += 'printf nl > "$AMLFS_EXPORT_DIR/new\nline"\n'
    job = site.submit("alice", script, f"--amlfs-import=/{name}/", f"--amlfs-export=/jobs/{name}/")
    seeing.wait_until_closed(site, job)
    for number, odd in enumerate(names):
        assert seeing.blob(site, f"jobs/{name}/{odd}") == f"content {number}".encode(), odd
    assert seeing.blob(site, f"jobs/{name}/new\nline") == b"nl"


def test_many_files_arrive_with_their_checksums(site: Site, name: str) -> None:
    """A few hundred files come in whole."""
    for number in range(300):
        seeing.put_blob(site, f"{name}/d{number % 7}/f{number}", hashlib.sha256(str(number).encode()).digest() * 8)
    script = '#!/bin/sh\nmkdir -p "$AMLFS_EXPORT_DIR"\ncd "$AMLFS_IMPORT_DIR"\n'
    script += 'find . -type f -exec sha256sum {} + | sort > "$AMLFS_EXPORT_DIR/sums"\n'
    job = site.submit("alice", script, f"--amlfs-import=/{name}/", f"--amlfs-export=/jobs/{name}/")
    seeing.wait_until_closed(site, job)
    expected = sorted(
        f"{hashlib.sha256(hashlib.sha256(str(it).encode()).digest() * 8).hexdigest()}  ./d{it % 7}/f{it}"
        for it in range(300)
    )
    assert seeing.blob(site, f"jobs/{name}/sums").decode().splitlines() == expected


def test_a_name_that_no_blob_can_have_is_named_and_its_file_stays(site: Site, name: str) -> None:
    """A file whose name is not UTF-8 cannot be a blob: the others are exported, and the message names it."""
    script = '#!/bin/bash\nmkdir -p "$AMLFS_EXPORT_DIR"\necho x > "$AMLFS_EXPORT_DIR/good"\n'
    script += "echo y > \"$AMLFS_EXPORT_DIR/\"$'bad\\xff'\n"
    job = site.submit("alice", script, f"--amlfs-export=/jobs/{name}/")
    site.wait(lambda: "xff" in site.job(job).get("SystemComment", ""), 2 * seeing.LONG, "the message names the file")
    assert "1 of 2 files" in site.job(job)["SystemComment"]
    assert seeing.blob(site, f"jobs/{name}/good") == b"x\n"
    (state,) = seeing.hsm_states(site, [f"jobs/{name}/bad\udcff"]).values()
    assert not state & HsmState.RELEASED


def test_every_task_of_an_array_gets_its_data(site: Site, name: str) -> None:
    """Each task has a stage-in of its own; all of them run."""
    seeing.put_blob(site, f"{name}/in", b"x")
    home = site.home("alice")
    script = f'#!/bin/sh\ncat "$AMLFS_IMPORT_DIR/in" > "{home}/{name}.$SLURM_ARRAY_TASK_ID"\n'
    site.submit("alice", script, f"--amlfs-import=/{name}/", "--array=1-5")
    site.wait(lambda: len(list(home.glob(f"{name}.*"))) == 5, seeing.LONG, "five tasks ran")
    site.wait(lambda: all(it.read_bytes() == b"x" for it in home.glob(f"{name}.*")), seeing.LONG, "each read its data")


@pytest.mark.parametrize("command", ["srun", "salloc"])
def test_srun_and_salloc_wait_for_their_data(site: Site, name: str, command: str) -> None:
    """The command starts with the data there, and its tasks have the directories."""
    seeing.put_blob(site, f"{name}/in", b"here")
    inner = ["sh", "-c", 'cat "$AMLFS_IMPORT_DIR/in"']
    argv = [command, f"--amlfs-import=/{name}/", *(["srun"] if command == "salloc" else []), *inner]
    assert site.run("alice", argv) == "here"


def test_overwrite_always_brings_a_changed_blob(site: Site, name: str) -> None:
    """A blob that changed behind a clean file is seen with overwrite-always, and not with skip."""
    home = site.home("alice")
    told = []
    for content, mode in ((b"old", "skip"), (b"new", "skip"), (b"new", "overwrite-always")):
        seeing.put_blob(site, f"{name}/in", content)
        script = f'#!/bin/sh\ncat "$AMLFS_IMPORT_DIR/in" > "{home}/{name}.out"\n'
        job = site.submit("alice", script, f"--amlfs-import=/{name}/", f"--amlfs-conflict={mode}")
        seeing.wait_until_closed(site, job)
        told.append((home / f"{name}.out").read_bytes())
    assert told == [b"old", b"old", b"new"]
