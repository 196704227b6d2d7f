"""What every process apart does: it lives as long as the daemon at the other end of its channel, and answers calls."""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

from slurm_amlfs.errors import PermanentError, TemporaryError


def live_with(end: socket.socket) -> None:
    """End with the daemon at the other end of the channel, even in the midst of a call, and not by its signals.

    The process has to lead a group of its own: what it has started goes with it.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        # It is the daemon that ends this, when its errands are done.
        signal.signal(number, lambda *_: None)
    threading.Thread(target=_end_with, args=(end,), daemon=True).start()


def answer(do: Callable[[str, tuple[Any, ...]], object], method: str, args: tuple[Any, ...]) -> tuple[str, object]:
    """Do what is asked, and say how it went in the words of `Apart.ask`."""
    try:
        return "well", do(method, args)
    except TemporaryError as error:
        return "temporary", error.message
    except PermanentError as error:
        return "permanent", error.message
    except Exception as error:  # noqa: BLE001 - a fault of ours is told to who asked, and not to be the end of others
        traceback.print_exc()
        return "broke", repr(error)


def _end_with(end: socket.socket) -> None:
    poll = select.poll()
    poll.register(end, select.POLLRDHUP)
    poll.poll()
    sys.stderr.flush()
    os.killpg(0, signal.SIGKILL)
