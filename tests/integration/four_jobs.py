"""Four jobs of one user, each in another phase: staging in, staged in, running, staging out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.site import Site
from tests.integration import seeing

COPY = '#!/bin/sh\nwhile [ ! -e "{go}" ]; do sleep 0.2; done\n'
COPY += 'mkdir -p "$AMLFS_EXPORT_DIR"\ncp "$AMLFS_IMPORT_DIR/in" "$AMLFS_EXPORT_DIR/out"\n'


class FourJobs:
    """Jobs that are brought to their phases by `paused`, and afterwards to their ends."""

    def __init__(self, site: Site, name: str) -> None:
        """Bring three of them in, which share a prefix, and have two of these run."""
        self.site, self.name = site, name
        self.coming = 0
        for folder in (name, f"{name}-late"):
            seeing.put_blob(site, f"{folder}/in", b"x")
        self.leaving = self._submit("leaving")
        self.running = self._submit("running")
        for job in (self.leaving, self.running):
            seeing.wait_for_state(site, job, "RUNNING")
        # No node has these while the other runs. It comes after the last, which only backfill would look at behind it.
        self.ready = self._submit("ready", "--cpus-per-task=64", "--nice=1000")
        seeing.wait_for_burst_buffer(site, self.ready, "staged-in")
        self._go("ready").touch()
        self._go("coming").touch()

    @contextmanager
    def paused(self, held: str) -> Iterator[None]:
        """Stall an action of the emulator, and meanwhile have one job stage in, and another stage out.

        With "import" the one that stages in is being imported and the one that stages out waits for the slot; with
        "archive" it is the other way round.
        """
        with seeing.held(self.site, held):
            if held == "import":
                self._begin_coming("importing")
                self._begin_leaving("waiting")
            else:
                self._begin_leaving("exporting")
                self._begin_coming("waiting")
            yield

    @property
    def all(self) -> tuple[int, ...]:
        """Their ids."""
        return (self.coming, self.ready, self.running, self.leaving)

    def end(self) -> None:
        """Let the one that runs end, and wait until all are closed, without the minutes that Slurm puts jobs off."""
        self._go("running").touch()
        for job in self.all:
            seeing.hasten_until_closed(self.site, job)

    def check(self) -> None:
        """See that each has its outputs in Blob, and that nothing was imported or archived twice."""
        for name in ("coming", "ready", "running", "leaving"):
            assert seeing.blob(self.site, f"jobs/{self.name}-{name}/out") == b"x", name
            assert len(seeing.archives_of(self.site, f"/jobs/{self.name}-{name}/")) == 1, name
        for prefix in (f"/{self.name}/", f"/{self.name}-late/"):
            assert len(seeing.imports_of(self.site, prefix)) == 1, prefix

    def _begin_coming(self, phase: str) -> None:
        self.coming = self._submit("coming", prefix=f"/{self.name}-late/")
        seeing.wait_for_burst_buffer(self.site, self.coming, "staging-in")
        seeing.wait_for_phase(self.site, self.coming, phase)

    def _begin_leaving(self, phase: str) -> None:
        self._go("leaving").touch()
        seeing.wait_for_state(self.site, self.leaving, "STAGE_OUT")
        seeing.wait_for_phase(self.site, self.leaving, phase, "out")

    def _submit(self, name: str, *options: str, prefix: str = "") -> int:
        moves = (f"--amlfs-import={prefix or f'/{self.name}/'}", f"--amlfs-export=/jobs/{self.name}-{name}/")
        return self.site.submit("alice", COPY.format(go=self._go(name)), *moves, *options)

    def _go(self, name: str) -> Path:
        return self.site.home("alice") / f"{self.name}.{name}.go"
