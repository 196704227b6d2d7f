"""Heterogeneous jobs: what a later component asks for is never lost in silence."""

from __future__ import annotations

import pytest

from sandbox.site import Site

pytestmark = pytest.mark.integration


def test_options_behind_hetjob_are_refused_with_the_mend(site: Site, name: str) -> None:
    """Else sbatch would give the second component what the first asks for, and lose its own."""
    text = f"#!/bin/sh\n#SBATCH --amlfs-import=/{name}-a/\n#SBATCH hetjob\n#SBATCH --amlfs-import=/{name}-b/\ntrue\n"
    with pytest.raises(RuntimeError, match="behind #SBATCH hetjob, where sbatch loses it"):
        site.submit("alice", text)
