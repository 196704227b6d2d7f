"""A job that imports what another exported: it waits for the proof, and finds the other's files with their contents."""

from __future__ import annotations

import pytest

from sandbox.site import Site
from slurm_amlfs.domain.view import HsmState
from tests.integration import seeing

pytestmark = pytest.mark.integration

TRUE = "#!/bin/sh\ntrue\n"
WRITES = '#!/bin/sh\nset -eu\nmkdir -p "$AMLFS_EXPORT_DIR"\necho {word} > "$AMLFS_EXPORT_DIR/out"\n'
READS = '#!/bin/sh\ngrep -qx {word} "$AMLFS_IMPORT_DIR"/out\n'
"""A job that fails unless it reads this word."""
CHANGES = "#!/bin/sh\nset -eu\n" + 'grep -qx old "$AMLFS_IMPORT_DIR"/out\necho new > "$AMLFS_EXPORT_DIR"/out\n'


def first(site: Site, name: str, word: str, *options: str) -> int:
    """Submit a job that exports a word."""
    return site.submit("alice", WRITES.format(word=word), f"--amlfs-export=/jobs/{name}/", *options)


def second(site: Site, name: str, word: str, *options: str) -> int:
    """Submit a job that imports it."""
    return site.submit("alice", READS.format(word=word), f"--amlfs-import=/jobs/{name}/", *options)


def wait_for_export(site: Site, job: int) -> None:
    """Wait until a job's export is under way."""
    site.wait(lambda: seeing.phase(site, job, "out") == "exporting", seeing.LONG, f"the export of {job} runs")


def wait_until_it_waits(site: Site, job: int, other: int) -> None:
    """Wait until a job says that it waits for another's export."""
    what = f"waiting for job {other}, whose export"
    site.wait(lambda: what in seeing.message(site, job), seeing.LONG, f"job {job} says what it waits for")


@pytest.mark.parametrize("dependency", ["afterok", "afterburstbuffer"])
def test_afterok_waits_for_the_export_too(site: Site, name: str, dependency: str) -> None:
    """For Slurm afterok is fulfilled when the first job has ended; the second is not staged before the proof."""
    with seeing.held(site, "archive"):
        one = first(site, name, "word")
        two = second(site, name, "word", f"--dependency={dependency}:{one}")
        wait_for_export(site, one)
        site.run("alice", ["scontrol", "update", f"job={two}", "comment=look"])  # every update calls the scheduler
        seeing.wait_for_state(site, site.submit("bob", TRUE), "COMPLETED")
        assert site.job(two)["Reason"] == "Dependency"
    seeing.wait_until_closed(site, one)
    site.run("alice", ["scontrol", "update", f"job={two}", "comment=look again"])
    site.wait(lambda: seeing.has_word(site, two, "closed"), 2 * seeing.LONG, f"job {two} is closed")
    assert site.job(two)["JobState"] == "COMPLETED"
    assert not seeing.imports_of(site, f"/jobs/{name}/")


def test_who_asks_while_an_export_is_under_way_waits_for_it(site: Site, name: str) -> None:
    """Without a dependency too. The first prefix is not called misspelt, and no lease of before serves the third."""
    both = (f"--amlfs-import=/jobs/{name}/", f"--amlfs-export=/jobs/{name}/")
    with seeing.held(site, "archive"):
        one = first(site, name, "old")
        wait_for_export(site, one)
        go = site.home("alice") / f"{name}.go"
        two = site.submit("alice", CHANGES + f'while [ ! -e "{go}" ]; do sleep 0.2; done\n', *both)
        wait_until_it_waits(site, two, one)
        assert int(site.job(two)["Priority"]) > 0
    site.wait(lambda: seeing.has_word(site, two, "started"), seeing.LONG, "the second starts")
    with seeing.held(site, "archive"):
        go.touch()
        wait_for_export(site, two)
        three = second(site, name, "new")
        wait_until_it_waits(site, three, two)
    seeing.wait_until_closed(site, three)
    assert [site.job(job)["JobState"] for job in (one, two, three)] == ["COMPLETED"] * 3
    assert seeing.blob(site, f"jobs/{name}/out") == b"new\n"
    assert not seeing.imports_of(site, f"/jobs/{name}/")


def test_what_the_second_will_import_stays_on_lustre(site: Site, name: str) -> None:
    """Its files are in Blob, proved, and whole on Lustre until it has run: nothing goes out and in again."""
    go = site.home("alice") / f"{name}.go"
    script = WRITES.format(word="word") + f'while [ ! -e "{go}" ]; do sleep 0.2; done\n'
    one = site.submit("alice", script, f"--amlfs-export=/jobs/{name}/")
    gate = site.submit("alice", TRUE, "--hold")
    two = second(site, name, "word", f"--dependency=afterok:{one}:{gate}")
    leases = [*site.cli, "leases", "--json"]
    site.wait(lambda: f"/jobs/{name}/" in site.run(None, leases), seeing.LONG, "the daemon has seen who is to come")
    go.touch()
    seeing.wait_until_closed(site, one)
    state = seeing.hsm_states(site, [f"jobs/{name}/out"])[f"/jobs/{name}/out"]
    assert seeing.blob(site, f"jobs/{name}/out") == b"word\n"
    assert state.clean
    assert not state & HsmState.RELEASED
    site.run("alice", ["scancel", str(two), str(gate)])
