"""Lustre hangs, is gone, full, read-only or broken in one file: jobs wait and are told why, and nothing is lost."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest

from sandbox import kernel
from sandbox.daemon import SECOND
from sandbox.options import Options
from sandbox.service import Service
from sandbox.site import Site
from slurm_amlfs.adapters.lustre_apart import LustreApart
from slurm_amlfs.config import Limits
from slurm_amlfs.domain.view import FileKind
from slurm_amlfs.emulator.faults import Fault, Name
from slurm_amlfs.entrypoints.reaching import reach_lustre
from slurm_amlfs.errors import TemporaryError
from tests.integration import seeing
from tests.integration.conftest import FAST

pytestmark = pytest.mark.integration

SILENCE_SECONDS = 15
"""It has to hold the start of a helper process, also where much else runs."""
TRUE = "#!/bin/sh\ntrue\n"
COPY = '#!/bin/sh\nmkdir -p "$AMLFS_EXPORT_DIR"\ncp "$AMLFS_IMPORT_DIR/in" "$AMLFS_EXPORT_DIR/out"\n'


@pytest.fixture(scope="module")
def bad_site() -> Iterator[Site]:
    """A site with two file systems, whose daemon is not patient with them."""
    limits = (f"lustre_seconds = {SILENCE_SECONDS}.0", "lustre_processes = 2")
    with Site.temporary(Options(emulator=FAST, second=True, limits=limits)) as made:
        yield made


@contextmanager
def stopped(service: Service) -> Iterator[None]:
    """Let a service hold still meanwhile, as what does not answer and is there."""
    os.kill(service.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(service.pid, signal.SIGCONT)


def says(site: Site, job: int, text: str) -> bool:
    """Say whether a job's board says something; a job without a board does not."""
    try:
        return text in str(site.status(job))
    except RuntimeError:
        return False


def wait_until_it_says(site: Site, job: int, text: str) -> None:
    """Wait for the board."""
    site.wait(lambda: says(site, job, text), seeing.LONG, f"the board of job {job} says {text!r}")


def test_one_hangs_and_the_other_goes_on(bad_site: Site, name: str) -> None:
    """More jobs than there are threads need what hangs; a job on the other file system runs from end to end."""
    site = bad_site
    seeing.put_blob(site, f"{name}/in", b"x")
    with stopped(site.second):
        hung = [
            site.submit(
                "alice",
                TRUE,
                f"--amlfs-import=/{name}/{number}/",
                f"--amlfs-fs={SECOND}",
                "--amlfs-conflict=overwrite-always",
            )
            for number in range(12)
        ]
        wait_until_it_says(site, hung[0], f"the file system {SECOND} does not answer since")
        job = site.submit("alice", COPY, f"--amlfs-import=/{name}/", f"--amlfs-export=/jobs/{name}/")
        seeing.wait_until_closed(site, job)
        assert seeing.blob(site, f"jobs/{name}/out") == b"x"
        assert says(site, hung[0], "does not answer since")
        assert {site.job(it)["JobState"] for it in hung} == {"PENDING"}
        assert "BurstBufferOperation" not in {site.job(it)["Reason"] for it in hung}
    site.wait(lambda: not says(site, hung[0], "does not answer since"), seeing.LONG, "it answers again")
    site.run("alice", ["scancel", *map(str, hung)])


def test_a_hang_in_the_midst_and_a_restart_of_the_daemon(bad_site: Site, name: str) -> None:
    """The board says so, other jobs run; the daemon stops and starts in seconds; afterwards the job gets its data."""
    site = bad_site
    seeing.put_blob(site, f"{name}/in", b"x")
    with seeing.held(site, "restore"):
        job = site.submit("alice", COPY, f"--amlfs-import=/{name}/", f"--amlfs-export=/jobs/{name}/")
        site.wait(lambda: seeing.phase(site, job) == "restoring", seeing.LONG, "it restores")
        with stopped(site.emulator):
            wait_until_it_says(site, job, "the file system lustre does not answer since")
            other = site.submit("bob", TRUE)
            seeing.wait_for_state(site, other, "COMPLETED")
            os.kill(site.daemon.pid, signal.SIGTERM)
            site.wait(lambda: not site.daemon.running, 30, "the daemon ends, though a file system hangs")
            site.daemon.stop()
            site.daemon.start()
            assert site.job(job)["JobState"] == "PENDING"
    seeing.wait_until_closed(site, job)
    assert seeing.blob(site, f"jobs/{name}/out") == b"x"
    assert len(seeing.imports_of(site, name)) == 1


def test_gone_and_something_else_in_its_place(bad_site: Site, name: str) -> None:
    """Nothing is written where Lustre should be and is not; when it is back, the job gets its data."""
    site = bad_site
    seeing.put_blob(site, f"{name}/in", b"x")
    with seeing.held(site, "restore"):
        job = site.submit("alice", COPY, f"--amlfs-import=/{name}/", f"--amlfs-export=/jobs/{name}/")
        site.wait(lambda: seeing.phase(site, job) == "restoring", seeing.LONG, "it restores")
        site.emulator.stop()
        wait_until_it_says(site, job, "not mounted on the daemon's host; mount it")
        kernel.mount("tmpfs", str(site.mount), "tmpfs", kernel.Mount.NOTHING)
        wait_until_it_says(site, job, "is tmpfs and not Lustre")
        written = list(site.mount.iterdir())
        kernel.unmount(str(site.mount))
        assert written == list(site.mount.iterdir()) == []
        site.emulator.start()
    seeing.wait_until_closed(site, job)
    assert seeing.blob(site, f"jobs/{name}/out") == b"x"


def test_one_file_is_broken(bad_site: Site, name: str) -> None:
    """A walk goes past it; only its own job waits, with its name on the board, until it can be read."""
    site = bad_site
    for blob in ("one/in", "one/bad", "two/in"):
        seeing.put_blob(site, f"{name}/{blob}", b"x")
    site.faults.set(Fault(Name.BROKEN, blobs=(f"{name}/one/bad",)))
    try:
        waits, goes = (
            site.submit("alice", TRUE, f"--amlfs-import=/{name}/{one}/", f"--amlfs-export=/jobs/{name}/")
            for one in ("one", "two")
        )
        seeing.wait_until_closed(site, goes)
        wait_until_it_says(site, waits, "one/bad")
        assert says(site, waits, "Input/output error")
        assert site.job(waits)["JobState"] == "PENDING"
        with closing(reach_lustre("lustre", site.mount, site.lfs, Limits())) as lustre:
            found = {view.path: view.kind for view in lustre.walk(f"/{name}/")}
        assert found == {
            f"/{name}/one/in": FileKind.REGULAR, f"/{name}/two/in": FileKind.REGULAR,
            f"/{name}/one/bad": FileKind.UNREADABLE,
        }  # fmt: skip
    finally:
        site.faults.clear([Name.BROKEN])
    seeing.wait_until_closed(site, waits)
    assert seeing.words(site, waits).count("imported") == 1


def test_read_only(bad_site: Site, name: str) -> None:
    """Neither restores nor receipts can be written: the board says so, and the job starts when they can."""
    site = bad_site
    seeing.put_blob(site, f"{name}/in", b"x")
    mount = str(site.mount)
    writable = kernel.Mount.REMOUNT | kernel.Mount.BIND
    kernel.mount("", mount, "", writable | kernel.Mount.READ_ONLY)
    try:
        job = site.submit("alice", TRUE, f"--amlfs-import=/{name}/")
        names = site.submit("alice", TRUE, f"--amlfs-import=/{name}/", "--amlfs-hydrate=none")
        for it in (job, names):
            wait_until_it_says(site, it, "Read-only file system")
            assert site.job(it)["JobState"] == "PENDING"
    finally:
        kernel.mount("", mount, "", writable)
    for it in (job, names):
        seeing.wait_until_closed(site, it)


def fill_up(path: Path) -> None:
    """Let a file take all the space that is left, without its bytes."""
    with path.open("r+b" if path.exists() else "wb") as file:
        end = file.seek(0, os.SEEK_END)
        for step in (1 << 40, 1 << 30, 1 << 20, 1 << 10, 1):
            with suppress(OSError):
                while True:
                    os.pwrite(file.fileno(), b"x", end + step - 1)
                    end += step


def test_full(bad_site: Site, name: str) -> None:
    """One job needs room for its bytes, another only for its receipt; both wait for it, and start when it is there."""
    site = bad_site
    seeing.put_blob(site, f"{name}/in", b"x" * 1000)
    fill = site.mount / f"{name}.fill"
    fill_up(fill)
    try:
        job = site.submit("alice", TRUE, f"--amlfs-import=/{name}/")
        wait_until_it_says(site, job, "GiB are free")
        # What others had there has given way by now, though it was not enough.
        fill_up(fill)
        names = site.submit("alice", TRUE, f"--amlfs-import=/{name}/", "--amlfs-hydrate=none")
        wait_until_it_says(site, names, "No space left on device")
        assert {site.job(it)["JobState"] for it in (job, names)} == {"PENDING"}
    finally:
        fill.unlink()
    for it in (job, names):
        seeing.wait_until_closed(site, it)


def test_a_file_that_changes_while_it_is_exported(bad_site: Site, name: str) -> None:
    """It is exported again until it is stable: what is in Blob in the end is what is on Lustre."""
    site = bad_site
    path = site.mount / f"jobs/{name}/out"
    job = site.submit(
        "alice",
        '#!/bin/sh\nmkdir -p "$AMLFS_EXPORT_DIR"\necho 0 > "$AMLFS_EXPORT_DIR/out"\n',
        f"--amlfs-export=/jobs/{name}/",
        "--amlfs-release=no",
    )
    site.wait(path.exists, seeing.LONG, "the job has run")
    lines = count(1)

    def is_exported() -> bool:
        with path.open("a") as file:
            file.write(f"{next(lines)}\n")
        return seeing.has_word(site, job, "export started") and seeing.has_blob(site, f"jobs/{name}/out")

    site.wait(is_exported, 2 * seeing.LONG, "it is exported while it changes")
    with path.open("a") as file:
        file.write("last\n")
    seeing.wait_until_closed(site, job)
    assert seeing.blob(site, f"jobs/{name}/out") == path.read_bytes()
    assert path.read_bytes().endswith(b"last\n")


def test_a_call_that_cannot_be_killed(bad_site: Site, name: str) -> None:
    """Its process waits in the kernel and is left there; others look at other files, and it goes when it is let go."""
    site = bad_site
    folder = site.mount / name
    folder.mkdir()
    for file in ("well", "bad"):
        (folder / file).touch()
    limits = Limits(lustre_seconds=float(SILENCE_SECONDS), lustre_processes=2)
    with closing(reach_lustre("lustre", site.mount, site.lfs, limits)) as lustre:
        # One that has answered does not time out because it is still starting.
        site.wait(lambda: looks_in_time(lustre, f"/{name}/well"), seeing.LONG, "a process answers")
        site.faults.set(Fault(Name.HANGING, blobs=(f"{name}/bad",)))
        try:
            site.wait(lambda: is_stuck(lustre, f"/{name}/bad"), 2 * seeing.LONG, "the kernel forgets the file")
            site.wait(lambda: looks_in_time(lustre, f"/{name}/well"), seeing.LONG, "another process answers")
            assert lustre.pool.stuck == 1
        finally:
            site.faults.clear([Name.HANGING])
        site.wait(lambda: lustre.pool.stuck == 0, seeing.LONG, "the process goes")
        assert looks_in_time(lustre, f"/{name}/bad")


def is_stuck(lustre: LustreApart, path: str) -> bool:
    """Look at a file that may hang; say whether that has left one process in the kernel."""
    return not looks_in_time(lustre, path) and lustre.pool.stuck == 1


def looks_in_time(lustre: LustreApart, path: str) -> bool:
    """Look at a file that is there; say whether that is answered."""
    with suppress(TemporaryError):
        return lustre.look(path) is not None
    return False
