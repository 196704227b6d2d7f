"""The few system calls that a cell is made of. Python 3.11 has none of them."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from enum import IntFlag


class Namespace(IntFlag):
    """What a process can have for itself (linux/sched.h, CLONE_NEW*)."""

    MOUNTS = 0x00020000
    HOST_NAME = 0x04000000
    IPC = 0x08000000
    PROCESSES = 0x20000000
    NETWORK = 0x40000000


class Mount(IntFlag):
    """How to mount (linux/mount.h, MS_*)."""

    NOTHING = 0
    READ_ONLY = 0x1
    NOSUID = 0x2
    NODEV = 0x4
    NOEXEC = 0x8
    REMOUNT = 0x20
    BIND = 0x1000
    RECURSIVE = 0x4000
    PRIVATE = 0x40000


_PR_SET_PDEATHSIG = 1
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _SIOCSIFADDR, _IFF_UP = 0x8913, 0x8914, 0x8916, 0x1
_LIBC = ctypes.CDLL(None, use_errno=True)


def unshare(namespaces: Namespace) -> None:
    """Leave these namespaces for new ones; of processes, only children are in the new one.

    Raises:
        OSError: not root, or the kernel does not allow it.
    """
    _check(_LIBC.unshare(ctypes.c_int(namespaces)), "unshare")


def mount(source: str, target: str, kind: str, flags: Mount, options: str = "") -> None:
    """Attach a file system or a folder to the tree.

    Raises:
        OSError: with the target's name.
    """
    texts = [os.fsencode(text) for text in (source, target, kind)]
    done = _LIBC.mount(*texts, ctypes.c_ulong(flags), os.fsencode(options))
    _check(done, target)


def unmount(target: str) -> None:
    """Unmount now from the tree, and for good when nobody uses it any more (MNT_DETACH). Not mounted is success."""
    mnt_detach = 2
    _LIBC.umount2(os.fsencode(target), ctypes.c_int(mnt_detach))


def die_with_parent(signal_number: int) -> None:
    """Have the kernel send us this signal when the thread that forked us ends (prctl(2), PR_SET_PDEATHSIG)."""
    _check(_LIBC.prctl(ctypes.c_int(_PR_SET_PDEATHSIG), ctypes.c_ulong(signal_number)), "prctl")


def loopback_up() -> None:
    """Bring up `lo`, which is down in a new network namespace, and give it 127.0.0.2 as well.

    glibc counts IPv4 as configured from the first address on that is not 127.0.0.1 (check_pf.c); without one
    getaddrinfo with AI_ADDRCONFIG, which Slurm uses, finds nothing, not even for a number.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH14x", b"lo", 0)
        name, flags = struct.unpack("16sH14x", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request))
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", name, flags | _IFF_UP))
        second = struct.pack("16sHH4s8x", b"lo:1", socket.AF_INET, 0, socket.inet_aton("127.0.0.2"))
        fcntl.ioctl(any_socket, _SIOCSIFADDR, second)


def _check(returned: int, what: str) -> None:
    if returned != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
