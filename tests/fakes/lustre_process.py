"""The process that touches Lustre, on a plain folder that counts as mounted while it has a certain mark beside it."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from slurm_amlfs.adapters.lustre_service import serve

MARK = ".mounted"
"""What the mark is called after the folder's name."""


def main() -> None:
    """Serve."""
    mount, _, lfs, seconds, descriptor = sys.argv[1:]
    mark = Path(mount + MARK)
    serve(socket.socket(fileno=int(descriptor)), Path(mount), Path(lfs), float(seconds), lambda _: mark.exists())


if __name__ == "__main__":
    main()
