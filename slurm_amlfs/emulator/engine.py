"""The emulated service behind ARM: import jobs, the archive, auto jobs, and the one slot that they share."""

from __future__ import annotations

from datetime import UTC, datetime

from slurm_amlfs.emulator.archives import Archives
from slurm_amlfs.emulator.autos import Autos
from slurm_amlfs.emulator.imports import Imports
from slurm_amlfs.emulator.jobs import Operation
from slurm_amlfs.emulator.rates import Rates
from slurm_amlfs.emulator.service import Service


class Engine:
    """One file system. Safe for threads; `start` takes up what a stopped emulator left running."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.imports = Imports(service)
        self.archives = Archives(service)
        self.autos = Autos(service)

    def start(self) -> None:
        """Take up what was running."""
        self.imports.resume()
        self.archives.resume()
        self.autos.resume()

    def operation(self, name: str) -> Operation | None:
        """Read an ascOperation."""
        with self._service.lock:
            return self._service.operations.get(name)

    def rates(self) -> Rates:
        """Read the speeds."""
        return self._service.rates

    def set_rates(self, rates: Rates) -> None:
        """Change the speeds of actions that begin from now on."""
        self._service.rates = rates

    def close(self) -> None:
        """Stop everything without an end, write it down, and wait for the threads."""
        with self._service.lock:
            self._service.closing.set()
        for part in (self.imports, self.archives, self.autos):
            part.stop()
        self._service.join()
        with self._service.lock:
            self._service.save()


def ended(operation: Operation) -> bool:
    """Say whether an operation has ended by now."""
    return operation.ends is not None and operation.ends <= datetime.now(UTC)
