"""A site with export_by = "hsm": outputs go out beside whatever holds the slot, and each file has its own answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.options import Options
from sandbox.site import Site
from slurm_amlfs.domain.view import HsmState
from slurm_amlfs.emulator.faults import Fault, Name
from tests.integration import seeing
from tests.integration.conftest import FAST

pytestmark = pytest.mark.integration

TRUE = "#!/bin/sh\ntrue\n"
WRITE = """#!/bin/sh
mkdir -p "$AMLFS_EXPORT_DIR"
for number in $(seq 1 {files}); do echo "$number" > "$AMLFS_EXPORT_DIR/$number"; done
"""


@pytest.fixture(scope="module")
def hsm_site(_in_a_cell: None) -> Iterator[Site]:
    """A site that gives an export up after one round that brought nothing."""
    with Site.temporary(Options(emulator=FAST, export_by="hsm", limits=("attempts = 1",))) as made:
        yield made


def test_an_export_does_not_wait_for_an_import(hsm_site: Site, name: str) -> None:
    """While an import holds the slot, another job's outputs are archived, proved and released."""
    site = hsm_site
    seeing.put_blob(site, f"{name}-in/x", b"x")
    with seeing.held(site, "import"):
        waiting = site.submit("alice", TRUE, f"--amlfs-import=/{name}-in/")
        site.wait(lambda: bool(seeing.imports_of(site, name)), seeing.LONG, "the import holds the slot")
        job = site.submit("bob", WRITE.format(files=60), f"--amlfs-export=/jobs/{name}/")
        seeing.wait_until_closed(site, job)
        held = seeing.phase(site, waiting)

    assert held == "importing"
    assert [seeing.blob(site, f"jobs/{name}/{number}") for number in (1, 60)] == [b"1\n", b"60\n"]
    states = seeing.hsm_states(site, [f"jobs/{name}/{number}" for number in range(1, 61)])
    assert len(states) == 60
    assert all(state.clean and state & HsmState.RELEASED for state in states.values())
    assert [it.kind for it in site.faults.journal().actions if name in str(it.prefixes)] == ["import"]
    told = [word for word in seeing.words(site, job) if word in {"export started", "exported", "released"}]
    assert told == ["export started", "exported", "released"]
    seeing.wait_until_closed(site, waiting)


def test_one_file_that_cannot_be_archived_is_named_and_a_retry_takes_it(hsm_site: Site, name: str) -> None:
    """The others are in Blob; the owner reads which one is not; when that is mended, retry completes the export."""
    site = hsm_site
    site.faults.set(Fault(Name.PARTIAL, "archive", blobs=(f"jobs/{name}/7",)))
    job = site.submit("alice", WRITE.format(files=20), f"--amlfs-export=/jobs/{name}/")
    site.wait(lambda: seeing.phase(site, job, "out") == "failed", 2 * seeing.LONG, "the export is given up")
    message = str(site.status(job)["message"])
    there = [number for number in range(1, 21) if seeing.has_blob(site, f"jobs/{name}/{number}")]
    (state,) = seeing.hsm_states(site, [f"jobs/{name}/7"]).values()
    site.faults.clear([Name.PARTIAL])
    site.run("alice", [*site.cli, "retry", str(job)])
    seeing.wait_until_closed(site, job)

    assert "1 of 20 files" in message
    assert f"not archived: '/jobs/{name}/7' has no copy after 3 requests" in message
    assert there == [number for number in range(1, 21) if number != 7]
    assert not state & (HsmState.RELEASED | HsmState.ARCHIVED)
    assert seeing.blob(site, f"jobs/{name}/7") == b"7\n"
    assert "exported" in seeing.words(site, job)


def test_one_file_that_cannot_be_read_is_named(hsm_site: Site, name: str) -> None:
    """Its OST is gone: the others are in Blob, and nothing of the export is released before it can be read again."""
    site = hsm_site
    go, bad = site.home("alice") / f"{name}.go", site.mount / f"jobs/{name}/3"
    script = WRITE.format(files=5) + f'while [ ! -e "{go}" ]; do sleep 0.1; done\n'
    job = site.submit("alice", script, f"--amlfs-export=/jobs/{name}/")
    site.wait((site.mount / f"jobs/{name}/5").exists, seeing.LONG, "the files are written")
    site.faults.set(Fault(Name.BROKEN, blobs=(f"jobs/{name}/3",)))
    try:
        site.wait(lambda: not can_be_read(bad), seeing.LONG, "the kernel forgets the file")
        go.touch()
        site.wait(lambda: seeing.phase(site, job, "out") == "failed", 2 * seeing.LONG, "the export is given up")
        message = str(site.status(job)["message"])
    finally:
        site.faults.clear([Name.BROKEN])
    states = seeing.hsm_states(site, [f"jobs/{name}/{number}" for number in range(1, 6)])
    site.run("alice", [*site.cli, "retry", str(job)])
    seeing.wait_until_closed(site, job)

    assert f"'/jobs/{name}/3' cannot be read; see that the OSTs that it lies on are well" in message
    assert not any(state & HsmState.RELEASED for state in states.values())
    assert all(seeing.has_blob(site, f"jobs/{name}/{number}") for number in range(1, 6))


def can_be_read(path: Path) -> bool:
    """Say whether a file can be looked at."""
    try:
        path.stat()
    except OSError:
        return False
    return True


def test_a_daemon_that_dies_amid_an_export_completes_it(hsm_site: Site, name: str) -> None:
    """Killed while archives are under way, it finds what is done and asks for the rest."""
    site = hsm_site
    site.faults.set(Fault(Name.PARTIAL, "archive", blobs=(f"jobs/{name}/1?",)))
    job = site.submit("alice", WRITE.format(files=60), f"--amlfs-export=/jobs/{name}/")
    site.wait(lambda: seeing.has_blob(site, f"jobs/{name}/60"), seeing.LONG, "archives have begun")
    phase = seeing.phase(site, job, "out")
    site.daemon.kill()
    site.faults.clear([Name.PARTIAL])
    site.daemon.start()
    seeing.wait_until_closed(site, job)

    assert phase == "exporting"
    assert all(seeing.has_blob(site, f"jobs/{name}/{number}") for number in range(1, 61))
    assert "exported" in seeing.words(site, job)
