"""A process that answers as it is asked to, or not."""

from __future__ import annotations

import signal
import socket
import sys
import time
from pathlib import Path

from slurm_amlfs.adapters.frames import Channel


def main() -> None:
    """Serve."""
    channel = Channel(socket.socket(fileno=int(sys.argv[-1])))
    while True:
        try:
            method, args, ended = channel.receive()
        except EOFError:
            return
        match method:
            case "hang":
                signal.pause()
            case "die":
                sys.exit(3)
            case "long":
                for _ in range(args[0]):
                    time.sleep(args[1])
                    channel.send(("alive", None))
            case "wait":
                while not Path(args[0]).exists():
                    time.sleep(0.02)
                    channel.send(("alive", None))
        channel.send(("well", [*args, ended]))


if __name__ == "__main__":
    main()
