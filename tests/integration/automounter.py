"""An automounter for one place: it mounts a tmpfs there when somebody goes to it (the kernel's autofs, protocol 5)."""

from __future__ import annotations

import fcntl
import os
import struct
import sys

from sandbox import kernel

READY = 0x9360
"""linux/auto_fs.h: AUTOFS_IOC_READY."""


def main() -> None:
    """Serve until killed. Who is of this process group goes past the automount point."""
    place = sys.argv[1]
    reading, writing = os.pipe()
    options = f"fd={writing},pgrp={os.getpgrp()},minproto=5,maxproto=5,direct"
    kernel.mount("automounter", place, "autofs", kernel.Mount.NOTHING, options)
    root = os.open(place, os.O_RDONLY)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while packet := os.read(reading, 4096):
        _, _, token = struct.unpack_from("=iiI", packet)
        kernel.mount("automounted", place, "tmpfs", kernel.Mount.NOTHING)
        fcntl.ioctl(root, READY, token)


if __name__ == "__main__":
    main()
