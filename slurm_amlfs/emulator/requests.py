"""The queue of HSM requests: one at a time for a file, a bounded number at a time for all, and a journal.

As Lustre's coordinator: requests wait in order, at most `max_requests` run (cdt_max_requests, the parameter
hsm.max_requests), and those that wait are not lost in a restart (there the llog hsm_actions).
"""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from slurm_amlfs.emulator.hsm_rules import HsmAction

log = logging.getLogger(__name__)

JOIN_SECONDS = 1.0
"""How long a stop waits for a worker; one that hangs in the archive is left behind."""


@dataclass(slots=True, eq=False)
class Request:
    """One request for one file. `queued` says that a worker runs it and not who made it.

    `moved_bytes` is how far it is; `error` is an errno or 0, valid once it is `over`. `resized` says that the file
    has another size than before. `waited` is there as soon as somebody waits for the end.
    """

    action: HsmAction
    number: int
    path: str
    archive_id: int = 0
    queued: bool = True
    running: bool = False
    canceled: bool = False
    error: int = 0
    resized: bool = False
    moved_bytes: int = 0
    over: bool = False
    waited: threading.Event | None = None


def _entry(request: Request) -> bytes:
    """Write a request as the journal has it."""
    return b"%s %d %s\0\n" % (request.action.encode(), request.archive_id, os.fsencode(request.path))


class Requests:
    """The queue. `run` does one request and raises OSError when it fails; it is called in worker threads.

    `after` is called once whoever waits for a request was told that it is done.
    """

    def __init__(
        self,
        journal: Path,
        max_requests: int,
        run: Callable[[Request], None],
        after: Callable[[Request], None],
    ) -> None:
        self._run = run
        self._after = after
        self._max = max_requests
        self._journal = os.open(journal, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._lock = threading.Lock()
        # Workers wait apart from who waits for a turn, or each request would wake all of them for one.
        self._ready = threading.Condition(self._lock)
        self._turn = threading.Condition(self._lock)
        self._queue: deque[Request] = deque()
        self._live: dict[int, list[Request]] = {}
        self._workers: list[threading.Thread] = []
        self._idle = 0
        self.stopping = False

    def left_over(self) -> Iterator[tuple[HsmAction, int, str]]:
        """Read what was waiting or running when the last process ended, and forget it."""
        data = os.pread(self._journal, os.fstat(self._journal).st_size, 0)
        os.ftruncate(self._journal, 0)
        for entry in data.split(b"\0\n"):
            action, _, rest = entry.partition(b" ")
            archive_id, _, path = rest.partition(b" ")
            if action.decode() in HsmAction.__members__ and archive_id.isdigit():
                yield HsmAction(action.decode()), int(archive_id), os.fsdecode(path)

    def add(self, action: HsmAction, number: int, path: str, archive_id: int = 0) -> Request:
        """Queue a request; the same one twice is one."""
        return self.add_all(action, [(number, path, archive_id)])[0]

    def add_all(self, action: HsmAction, files: Iterable[tuple[int, str, int]]) -> list[Request]:
        """Queue requests in the order given, each a file's number, its path and the archive's id."""
        requests = []
        new: dict[int, Request] = {}
        with self._lock:
            for number, path, archive_id in files:
                request = self._known(number, action) or new.get(number)
                if request is None:
                    request = new[number] = Request(action, number, path, archive_id)
                requests.append(request)
            if self.stopping:
                for request in new.values():
                    self._end(request, errno.ECANCELED)
                return requests
            os.write(self._journal, b"".join(map(_entry, new.values())))
            for request in new.values():
                line = self._live.setdefault(request.number, [])
                line.append(request)
                if len(line) == 1:
                    self._queue.append(request)
                    self._wake()
        return requests

    def _known(self, number: int, action: HsmAction) -> Request | None:
        for request in self._live.get(number, ()):
            if request.action is action and not request.canceled:
                return request
        return None

    def wait(self, request: Request) -> None:
        """Wait for the end of a request."""
        with self._lock:
            if request.over:
                return
            if request.waited is None:
                request.waited = threading.Event()
        request.waited.wait()

    def _wake(self) -> None:
        if len(self._queue) > self._idle and len(self._workers) < self._max:
            worker = threading.Thread(target=self._work, name="hsm-worker", daemon=True)
            self._workers.append(worker)
            worker.start()
        if self._idle:
            self._ready.notify()

    @contextmanager
    def running(self, action: HsmAction, number: int, path: str) -> Iterator[Request]:
        """Run an action in the caller's own thread, after what the queue has for the file."""
        request = Request(action, number, path, queued=False)
        with self._lock:
            line = self._live.setdefault(number, [])
            line.append(request)
            self._turn.wait_for(lambda: line[0] is request)
            request.running = True
        try:
            yield request
        finally:
            self._finish(request)

    def current(self, number: int) -> Request | None:
        """Find what is going on with a file."""
        line = self._live.get(number)
        return line[0] if line else None

    def cancel(self, number: int) -> None:
        """Take back what waits for a file, and ask what runs to stop. None is success."""
        with self._ready:
            for request in list(self._live.get(number, ())):
                request.canceled = True
                if request.queued and not request.running:
                    self._drop(request, errno.ECANCELED)

    def renamed(self, old: str, new: str) -> None:
        """Follow a file or directory to its new name."""
        with self._ready:
            for line in self._live.values():
                for request in line:
                    if request.path == old or request.path.startswith(old + "/"):
                        request.path = new + request.path[len(old) :]

    def stop(self) -> None:
        """Stop: what runs is asked to end, what waits stays in the journal, who waits gets ECANCELED."""
        with self._ready:
            self.stopping = True
            for line in self._live.values():
                for request in line:
                    request.canceled = True
                    if request.queued and not request.running:
                        self._end(request, errno.ECANCELED)
            self._ready.notify_all()
        for worker in self._workers:
            worker.join(JOIN_SECONDS)

    def close(self) -> None:
        """Stop, and close the journal."""
        self.stop()
        os.close(self._journal)

    def _work(self) -> None:
        while True:
            with self._lock:
                while not (self._queue or self.stopping):
                    self._idle += 1
                    self._ready.wait()
                    self._idle -= 1
                if self.stopping:
                    return
                request = self._queue.popleft()
                if request.over:
                    continue
                request.running = True
            try:
                self._run(request)
            except OSError as error:
                request.error = error.errno or errno.EIO
                log.warning("hsm_request_failed action=%s path=%r error=%s", request.action, request.path, error)
            except Exception:
                request.error = errno.EIO
                log.exception("hsm_request_failed action=%s path=%r", request.action, request.path)
            self._finish(request)
            self._after(request)

    def _finish(self, request: Request) -> None:
        with self._lock:
            self._drop(request, request.error)

    def _drop(self, request: Request, error: int) -> None:
        line = self._live[request.number]
        was_first = line[0] is request
        line.remove(request)
        if not line:
            del self._live[request.number]
            if not self._live and not self.stopping:
                os.ftruncate(self._journal, 0)
        elif was_first and line[0].queued:
            self._queue.append(line[0])
            self._wake()
        elif was_first:
            self._turn.notify_all()
        self._end(request, error)

    @staticmethod
    def _end(request: Request, error: int) -> None:
        request.error = error
        request.over = True
        if request.waited is not None:
            request.waited.set()
