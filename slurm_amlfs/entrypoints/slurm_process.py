"""The program of the process that has pyslurm; the daemon starts it, and nobody else has a use for it."""

from __future__ import annotations

import os
import socket
import sys

from slurm_amlfs.adapters.slurm_pyslurm import serve


def main() -> None:
    """Serve Slurm by this slurm.conf, "" for Slurm's own default; the channel is inherited."""
    conf, descriptor = sys.argv[1:]
    if conf:
        os.environ["SLURM_CONF"] = conf
    serve(socket.socket(fileno=int(descriptor)))


if __name__ == "__main__":
    main()
