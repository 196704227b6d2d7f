"""Run a command in a machine of its own: `python -m sandbox.cell COMMAND ...` (root).

A cell has for itself its processes, mounts, host name, network (loopback and nothing else), /etc (a copy with the
test users) and /run. All of that belongs to the cell's first process and goes with it, and the kernel kills that one
when we end, however we end. So nothing stays behind, not even after SIGKILL, and nothing that the machine runs is seen
or touched. The rest of the file system is the machine's own.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from sandbox import accounts, kernel, passage
from sandbox.kernel import Mount, Namespace

PID_VARIABLE = "AMLFS_CELL_PID"
"""In the cell's environment: its first process as the machine numbers it, for nsenter."""

OWN = Namespace.MOUNTS | Namespace.HOST_NAME | Namespace.IPC | Namespace.PROCESSES | Namespace.NETWORK
NOT_FOUND = 127


class CellError(Exception):
    """There can be no cell; the text says why and what to do."""


def inside() -> bool:
    """Say whether this process is in a cell."""
    return PID_VARIABLE in os.environ and socket.gethostname() == accounts.HOST_NAME


def run(command: list[str]) -> int:
    """Run a command in a new cell and return its exit code, 128 + N for signal N.

    SIGTERM is passed on; SIGINT reaches the command from the terminal.

    Raises:
        CellError: not root, or namespaces are not to be had.
    """
    if os.geteuid() != 0:
        raise CellError("a cell has mounts and users of its own, which only root may make; run it as root, by sudo")
    try:
        kernel.unshare(OWN)
    except OSError as error:
        raise CellError(
            f"the kernel gives no namespaces ({error.strerror}); a container needs CAP_SYS_ADMIN for it"
        ) from error
    reader, writer = os.pipe()
    # The kernel drops what a cell's first process does not handle: until both of us do, SIGTERM waits.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    pid = os.fork()
    if pid == 0:
        os.close(writer)
        _first_process(reader, command)
    os.close(reader)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(pid, signal.SIGTERM))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    os.write(writer, str(pid).encode("ascii"))  # kept open: that it closes is how a cell too young to be killed knows
    return _exit_code(os.waitpid(pid, 0)[1])


def _first_process(reader: int, command: list[str]) -> NoReturn:
    """Live as process 1 of the cell."""
    try:
        kernel.die_with_parent(signal.SIGKILL)
        pid = os.read(reader, 20).decode("ascii")
        watch = select.poll()
        watch.register(reader, select.POLLHUP)
        if not pid or watch.poll(0):
            os._exit(1)  # whoever started us died before the line above that binds us to it
        _furnish()
        code = _serve(command, {**os.environ, PID_VARIABLE: pid})
    except (CellError, OSError) as error:
        sys.stderr.write(f"cell: {error}\n")
        code = 1
    sys.stderr.flush()
    os._exit(code)


def _furnish() -> None:
    try:
        kernel.mount("none", "/", "", Mount.RECURSIVE | Mount.PRIVATE)
    except OSError:
        _leave_the_chroot()
    kernel.mount("tmpfs", "/run", "tmpfs", Mount.NOSUID | Mount.NODEV, "mode=755")
    kernel.mount("proc", "/proc", "proc", Mount.NOSUID | Mount.NODEV | Mount.NOEXEC)
    copy = Path("/run/etc")
    subprocess.run(["/bin/cp", "-a", "/etc", str(copy)], check=True)
    accounts.furnish(copy)
    kernel.mount(str(copy), "/etc", "", Mount.BIND)
    passage.open_the_way()
    kernel.loopback_up()
    socket.sethostname(accounts.HOST_NAME)
    os.umask(0o022)


def _leave_the_chroot() -> None:
    """Make "/" a mount point, which it is not in a chroot; without that its mounts cannot be made private.

    Raises:
        CellError: what is mounted in this chroot shows outside, and that cannot be changed from within.
    """
    here = Path.cwd()
    kernel.mount("tmpfs", "/run", "tmpfs", Mount.NOSUID | Mount.NODEV, "mode=755")
    _refuse_shared("/run")
    root = Path("/run/root")
    root.mkdir()
    kernel.mount("/", str(root), "", Mount.BIND | Mount.RECURSIVE)
    os.chroot(root)
    os.chdir(here)
    kernel.mount("none", "/", "", Mount.RECURSIVE | Mount.PRIVATE)


def _refuse_shared(target: str) -> None:
    """Take a mount back, and give up, when the machine sees it too."""
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    ours = [line for line in lines if line.split()[4] == target][-1]
    if " shared:" in ours:
        kernel.unmount(target)
        raise CellError("mounts in this chroot show outside; enter it from within: unshare --mount chroot FOLDER ...")


def _serve(command: list[str], environment: dict[str, str]) -> int:
    """Run the command, and reap every orphan meanwhile."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    defaults = [signal.SIGINT, signal.SIGTERM, signal.SIGPIPE]
    try:
        child = os.posix_spawnp(command[0], command, environment, setsigdef=defaults, setsigmask=())
    except OSError as error:
        sys.stderr.write(f"cell: {command[0]}: {error.strerror}\n")
        return NOT_FOUND
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child:
            return _exit_code(status)


def _exit_code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def main() -> None:
    """Run as a program. In a cell already, the command is run as it is."""
    command = sys.argv[1:]
    if not command:
        sys.exit("usage: python -m sandbox.cell COMMAND ...")
    if inside():
        os.execvp(command[0], command)  # noqa: S606 - the command is the caller's own
    try:
        sys.exit(run(command))
    except CellError as error:
        sys.exit(f"cell: {error}")


if __name__ == "__main__":
    main()
