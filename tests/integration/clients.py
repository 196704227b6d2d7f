"""The way to a site's Slurm that its daemon takes, for tests of the port."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sandbox.site import Site
from slurm_amlfs import config
from slurm_amlfs.adapters.slurm_apart import SlurmApart
from slurm_amlfs.application.ports import Slurm
from slurm_amlfs.entrypoints.choosing import choose_slurm


@contextmanager
def slurm_client(site: Site) -> Iterator[Slurm]:
    """Choose as the daemon does."""
    slurm = choose_slurm(config.load(site.config).slurm)
    try:
        yield slurm
    finally:
        if isinstance(slurm, SlurmApart):
            slurm.close()
