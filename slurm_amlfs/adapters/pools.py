"""The file from which slurm_bb_pools answers, in the very words that Slurm takes (burst_buffer_lua.c: _bb_get_pools).

etc/amlfs_pools.lua hands it on only if it has exactly this shape: what Slurm cannot read is an error every 30 seconds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from slurm_amlfs.adapters.replacing import replace_file
from slurm_amlfs.domain.capacity import GRANULE_BYTES, Pool
from slurm_amlfs.errors import TemporaryError

FILE_NAME = "pools.json"
"""The file in the state directory."""

_POOL = re.compile(rf'\{{"id":"([A-Za-z0-9._-]+)","granularity":{GRANULE_BYTES},"quantity":([0-9]+),"free":([0-9]+)\}}')


class PoolsFile:
    """The PoolsPort on a file of state_dir that SlurmUser's group may read."""

    def __init__(self, state_dir: Path, slurm_gid: int) -> None:
        """Touch nothing yet."""
        self._path, self._gid = state_dir / FILE_NAME, slurm_gid

    def posted(self) -> tuple[Pool, ...]:
        """Read the pools that Slurm is told of; none if there is no file, or not one of ours."""
        try:
            text = self._path.read_text("ascii")
        except (OSError, ValueError):
            return ()
        pools = tuple(Pool(it[1], int(it[2]), int(it[3])) for it in _POOL.finditer(text))
        return pools if text == _text(pools) else ()

    def post(self, pools: Sequence[Pool]) -> None:
        """Replace the file by rename.

        Raises:
            TemporaryError: it cannot be written.
        """
        replace_file(self._path, _text(pools).encode("ascii"), self._gid)

    def remove(self) -> None:
        """Remove the file. Gone is success.

        Raises:
            TemporaryError: it cannot be removed.
        """
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            raise TemporaryError(f"{self._path} cannot be removed ({error.strerror}); remove it") from error


def _text(pools: Sequence[Pool]) -> str:
    listed = [{"id": it.name, "granularity": GRANULE_BYTES, "quantity": it.quantity, "free": it.free} for it in pools]
    return json.dumps({"pools": listed}, separators=(",", ":")) + "\n"
