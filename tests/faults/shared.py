"""A folder and an Azurite for many runs."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.azurite import azurite
from sandbox.ports import Ports


@contextmanager
def sharing() -> Iterator[tuple[Path, str]]:
    """Run an Azurite; give a folder of the cell's own, and the address of the account."""
    folder = Path(tempfile.mkdtemp(prefix="faults-", dir="/run"))
    folder.chmod(0o755)
    ports = Ports()
    port = ports.take()
    ports.let_go()
    service = azurite(folder, folder, port)
    service.start()
    try:
        yield folder, f"http://127.0.0.1:{port}/devstoreaccount1"
    finally:
        service.stop()
        shutil.rmtree(folder, ignore_errors=True)
