"""Mounting and unmounting the emulated file system, and what a killed emulator left mounted."""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import re
import sys
import threading
from pathlib import Path

from slurm_amlfs.emulator.faults import Faults
from slurm_amlfs.emulator.fuse_bridge import Bridge
from slurm_amlfs.emulator.hsm import Hsm
from slurm_amlfs.emulator.mount import CACHE_SECONDS, Mount
from slurm_amlfs.errors import PermanentError, TemporaryError

log = logging.getLogger(__name__)

SUBTYPE = "amlfs"
FSTYPE = f"fuse.{SUBTYPE}"

DEVICE = "127.0.0.1@tcp:/lustrefs"
"""What the mount table shows as the device; Lustre's form is NID:/FSNAME, and AMLFS's fsname is lustrefs."""

MOUNT_SECONDS = 20.0
UNMOUNT_SECONDS = 10.0
BUSY_SECONDS = 1.0

MAX_THREADS = 1024
"""Calls that may wait at once; libfuse's 10 would let ten readers of a stalled restore stop the whole mount."""

MAX_IDLE_THREADS = 16
"""Said because libfuse 3.14 warns about its own default."""

MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)
_OCTAL = re.compile(r"\\([0-7]{3})")


class Mounted:
    """A mounted file system. `stop` unmounts it; the file system itself (`Hsm`) is the caller's to close after that.

    Raises:
        PermanentError: something is mounted there already, or FUSE refused.
        TemporaryError: FUSE did not answer in time.
    """

    def __init__(
        self, hsm: Hsm, mount_point: Path, cache_seconds: float = CACHE_SECONDS, faults: Faults | None = None
    ) -> None:
        self.mount_point = mount_point.resolve() if not _is_stale(mount_point) else mount_point.absolute()
        self._hsm = hsm
        self._operations = Mount(hsm, cache_seconds, faults)
        self._failure: BaseException | None = None
        clear_stale(self.mount_point)
        self.mount_point.mkdir(parents=True, exist_ok=True)
        self._thread = threading.Thread(target=self._serve, name="fuse", daemon=True)
        self._thread.start()
        self._wait()

    def _serve(self) -> None:
        try:
            Bridge(
                self._operations,
                os.fspath(self.mount_point),
                encoding=sys.getfilesystemencoding(),
                foreground=True,
                allow_other=True,
                default_permissions=True,
                fsname=DEVICE,
                subtype=SUBTYPE,
                max_threads=MAX_THREADS,
                max_idle_threads=MAX_IDLE_THREADS,
            )
        except BaseException as error:  # noqa: BLE001 - told to whoever waits for the mount
            self._failure = error

    def _wait(self) -> None:
        waited = 0.0
        while not self._operations.ready.wait(0.05):
            waited += 0.05
            if not self._thread.is_alive():
                raise PermanentError(
                    f"FUSE would not mount {self.mount_point} ({self._failure}); is fuse3 installed, is this root, and"
                    " is /dev/fuse there?"
                )
            if waited > MOUNT_SECONDS:
                raise TemporaryError(f"FUSE did not mount {self.mount_point} within {MOUNT_SECONDS:.0f} s")

    @property
    def alive(self) -> bool:
        """Say whether the mount is still served; false after somebody unmounted it."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Unmount, lazily if files are still open; then their programs get errors once this process has ended."""
        self._hsm.stop_requests()
        if unmount(self.mount_point, 0):
            self._thread.join(UNMOUNT_SECONDS)
            return
        log.info("mount_busy path=%r lazily=true", str(self.mount_point))
        unmount(self.mount_point, MNT_DETACH)
        self._thread.join(BUSY_SECONDS)


def unmount(mount_point: Path, flags: int) -> bool:
    """Unmount with umount2(2); say whether nothing of ours is mounted there any more."""
    if _libc.umount2(os.fsencode(mount_point), flags) == 0:
        return True
    return ctypes.get_errno() in {errno.EINVAL, errno.ENOENT}


def clear_stale(mount_point: Path) -> None:
    """Take away a mount whose emulator is gone.

    Raises:
        PermanentError: what is mounted there is alive, or is not ours.
    """
    for where, fstype in mounts():
        if where != os.fspath(mount_point):
            continue
        if fstype == FSTYPE and _is_stale(mount_point):
            unmount(mount_point, MNT_DETACH)
            log.info("stale_mount_removed path=%r", str(mount_point))
            continue
        raise PermanentError(f"{mount_point} has {fstype} mounted on it; unmount that, or choose another --mount")


def _is_stale(mount_point: Path) -> bool:
    try:
        os.statvfs(mount_point)  # stat(2) would be answered from the kernel's memory for a second
    except OSError as error:
        return error.errno in {errno.ENOTCONN, errno.ECONNABORTED}
    return False


def mounts() -> list[tuple[str, str]]:
    """Read what this process sees mounted: (mount point, type), the oldest first (proc(5), mountinfo)."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        before, _, after = line.partition(" - ")
        where = _OCTAL.sub(lambda match: chr(int(match[1], 8)), before.split(" ")[4])
        found.append((where, after.split(" ")[0]))
    return found
