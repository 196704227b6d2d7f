"""The program of the processes that touch a mounted Lustre; the daemon starts it, and nobody else has a use for it."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

from slurm_amlfs.adapters.lustre_service import serve


def main() -> None:
    """Serve the mount, by that `lfs`, with so many seconds for one run of it, on the channel that was inherited."""
    mount, lfs, seconds, descriptor = sys.argv[1:]
    serve(socket.socket(fileno=int(descriptor)), Path(mount), Path(lfs), float(seconds), os.path.ismount)


if __name__ == "__main__":
    main()
