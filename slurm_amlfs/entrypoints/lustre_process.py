"""The program of the processes that touch a mounted Lustre; the daemon starts it, and nobody else has a use for it."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from slurm_amlfs.adapters.lustre_service import serve
from slurm_amlfs.adapters.mount_table import MountTable


def main() -> None:
    """Serve the mount, of one of the types, by that `lfs`, with so many seconds for one run of it.

    The channel is inherited.
    """
    mount, types, lfs, seconds, descriptor = sys.argv[1:]
    channel = socket.socket(fileno=int(descriptor))
    serve(channel, Path(mount), Path(lfs), float(seconds), MountTable(types.split(",")))


if __name__ == "__main__":
    main()
