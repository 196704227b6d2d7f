"""A Lustre file system in memory, with HSM states."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from slurm_amlfs.domain.view import FileKind, FileView, HsmState, SpaceView
from slurm_amlfs.errors import AmlfsError, PermanentError, TemporaryError

WHOLE = HsmState.EXISTS | HsmState.ARCHIVED
GONE_FROM_DISK = WHOLE | HsmState.RELEASED


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt as it was put."""

    uid: int
    gid: int
    text: str


class FakeLustre:
    """The Lustre port over a dict of files; directories are there while something is below them.

    Restores and archives are queued until a test lets them happen; an archive of a path in `failing` then fails, and
    `store` is told the name and the size of what the others put into the container. `faults` are raised by the next
    calls, one each.
    """

    def __init__(self, total_bytes: int = 10**12) -> None:
        self.files: dict[str, FileView] = {}
        self.states: dict[str, HsmState] = {}
        self.receipts: dict[int, Receipt] = {}
        self.restoring: list[str] = []
        self.archiving: dict[str, int] = {}
        self.failing: set[str] = set()
        self.store: Callable[[str, int], object] = lambda _name, _size_bytes: None
        self.doubted: list[str] = []
        self.refusing: set[str] = set()
        self.looked: list[str] = []
        self.is_mounted = True
        self.total_bytes = total_bytes
        self.faults: list[AmlfsError] = []
        self._mtime_ns = 1_700_000_000_000_000_000

    # What a test does to the world.

    def write(self, path: str, size_bytes: int, uid: int = 0) -> None:
        """Write a file as a job does: new, or dirty if it was archived."""
        self._mtime_ns += 1
        self.files[path] = FileView(path, FileKind.REGULAR, size_bytes, self._mtime_ns, uid)
        known = self.states.get(path, HsmState.NONE) & ~HsmState.RELEASED
        self.states[path] = known | HsmState.DIRTY if known & HsmState.EXISTS else HsmState.NONE

    def spoil(self, path: str) -> None:
        """Let a file be there and not to be looked at."""
        self.files[path] = FileView(path, FileKind.UNREADABLE, 0)

    def add_released(self, path: str, size_bytes: int, uid: int = 0) -> None:
        """Add a file as an import does."""
        self._mtime_ns += 1
        self.files[path] = FileView(path, FileKind.REGULAR, size_bytes, self._mtime_ns, uid)
        self.states[path] = GONE_FROM_DISK

    def link(self, path: str) -> None:
        """Add a symlink; the fake does not say where to."""
        self.files[path] = FileView(path, FileKind.SYMLINK, 1)

    def hard_link(self, path: str, name: str) -> None:
        """Give a file another name; both show its one state."""
        self.files[path] = self.files[path]._replace(links=self.files[path].links + 1)
        self.files[name] = self.files[path]._replace(path=name)
        self.states[name] = self.states[path]

    def mark_archived(self, path: str) -> None:
        """Take a file's contents as archived, as the copytool does."""
        self.states[path] = WHOLE

    def lose(self, path: str) -> None:
        """Take a file's copy in the archive as lost."""
        self.states[path] |= HsmState.LOST

    def remove(self, path: str) -> None:
        """Unlink a file."""
        del self.files[path]
        self.states.pop(path, None)

    def finish_restores(self) -> None:
        """Let every queued restore happen."""
        for path in self.restoring:
            if path in self.states:
                self.states[path] &= ~HsmState.RELEASED
        self.restoring.clear()

    def forbid(self, path: str) -> None:
        """Say that a file must not be archived."""
        self.states[path] |= HsmState.NOARCHIVE

    def finish_archives(self, most: int | None = None) -> None:
        """Let queued archives happen, or so many of them; a file that was written meanwhile stays dirty."""
        for path in list(self.archiving)[:most]:
            asked_ns = self.archiving.pop(path)
            if path not in self.states or path in self.failing or self.files[path].mtime_ns != asked_ns:
                continue
            self.states[path] = (self.states[path] | WHOLE) & ~(HsmState.DIRTY | HsmState.LOST)
            self.store(path.removeprefix("/"), self.files[path].size_bytes)

    # The port.

    def mounted(self) -> bool:
        """Say whether the mount is there."""
        return self.is_mounted

    def look(self, path: str) -> FileView | None:
        """Stat one path."""
        self._there()
        if path in self.files:
            return self.files[path]
        if path == "/" or any(name.startswith(path.removesuffix("/") + "/") for name in self.files):
            return FileView(path, FileKind.DIRECTORY, 4096)
        return None

    def looks(self, paths: Sequence[str]) -> dict[str, FileView]:
        """Stat many paths."""
        return {path: view for path in paths if (view := self.look(path)) is not None}

    def walk(self, prefix: str) -> Iterator[FileView]:
        """Stream everything that is not a directory whose path begins with `prefix`."""
        self._there()
        if not prefix.startswith("/") or {"", ".", ".."} & set(prefix.split("/")[1:-1]):
            raise PermanentError(f"{prefix!r} is no path on a file system; write it from / on")
        for path in list(self.files):
            if path.startswith(prefix):
                yield self.files[path]

    def hsm_states(self, paths: Sequence[str]) -> dict[str, HsmState]:
        """Read the HSM state of many files at once, and note which in `looked`."""
        self._there()
        self.looked += paths
        return {path: self.states[path] for path in paths if path in self.states}

    def restore(self, paths: Sequence[str]) -> tuple[str, ...]:
        """Queue restores of what is released; files whose archive is lost, or in `refusing`, are refused."""
        self._there()
        released = [path for path in paths if self.states.get(path, HsmState.NONE) & HsmState.RELEASED]
        refused = tuple(path for path in released if path in self.refusing or self.states[path] & HsmState.LOST)
        if refused and len(refused) == len(set(paths)):
            raise PermanentError("Lustre refuses to restore a file whose archive is lost")
        known = set(self.restoring)
        self.restoring += [path for path in released if path not in known | set(refused)]
        return refused

    def archive(self, paths: Sequence[str]) -> tuple[str, ...]:
        """Queue archives of what is not clean; files that must not be archived, or in `refusing`, are refused."""
        self._there()
        wanted = [path for path in dict.fromkeys(paths) if path in self.states and not self.states[path].clean]
        refused = tuple(path for path in wanted if path in self.refusing or self.states[path] & HsmState.NOARCHIVE)
        if refused and len(refused) == len(set(paths)):
            raise PermanentError("Lustre refuses to archive a file that must not be archived")
        for path in wanted:
            if path not in refused and path not in self.archiving:
                self.archiving[path] = self.files[path].mtime_ns
                self.states[path] |= HsmState.EXISTS
        return refused

    def hsm_busy(self, paths: Sequence[str]) -> frozenset[str]:
        """Say what is queued, and note what was asked about in `doubted`."""
        self._there()
        self.doubted += paths
        return frozenset(path for path in paths if path in self.archiving or path in self.restoring)

    def release(self, paths: Sequence[str]) -> None:
        """Free what is clean."""
        self._there()
        for path in paths:
            state = self.states.get(path, HsmState.NONE)
            if state.clean and not state & HsmState.NORELEASE:
                self.states[path] = state | HsmState.RELEASED

    def space(self) -> SpaceView:
        """Count the bytes of what is not released."""
        self._there()
        regular = [file for file in self.files.values() if file.kind is FileKind.REGULAR]
        used = sum(file.size_bytes for file in regular if not self.states[file.path] & HsmState.RELEASED)
        return SpaceView(self.total_bytes, self.total_bytes - used)

    def put_receipt(self, job_id: int, uid: int, gid: int, text: str) -> None:
        """Keep a receipt."""
        self._there()
        self.receipts[job_id] = Receipt(uid, gid, text)

    def drop_receipt(self, job_id: int) -> None:
        """Drop a receipt."""
        self._there()
        self.receipts.pop(job_id, None)

    def chown(self, path: str, uid: int) -> None:
        """Change a file's owner."""
        self.files[path] = self.files[path]._replace(uid=uid)

    def _there(self) -> None:
        if self.faults:
            raise self.faults.pop(0)
        if not self.is_mounted:
            raise TemporaryError("the fake is not mounted; mount the file system there, it goes on by itself")
