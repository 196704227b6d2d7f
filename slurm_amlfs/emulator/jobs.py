"""The records that ARM shows: import jobs, the archive, auto jobs, operations. Frozen; the engine replaces them."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum

from slurm_amlfs.domain.view import ArchiveState, ImportState
from slurm_amlfs.emulator.conflict import Mode


@dataclass(frozen=True, slots=True)
class Counts:
    """An import's counters (specification, ImportJobPropertiesStatus)."""

    walked: int = 0
    imported: int = 0
    files: int = 0
    directories: int = 0
    symlinks: int = 0
    preexisting_files: int = 0
    preexisting_directories: int = 0
    preexisting_symlinks: int = 0
    errors: int = 0
    conflicts: int = 0
    skipped: int = 0
    walked_per_second: int = 0
    imported_per_second: int = 0


@dataclass(slots=True)
class Tally:
    """The same counters while they run. One thread counts each; others may read."""

    walked: int = 0
    imported: int = 0
    files: int = 0
    directories: int = 0
    symlinks: int = 0
    preexisting_files: int = 0
    preexisting_directories: int = 0
    preexisting_symlinks: int = 0
    errors: int = 0
    conflicts: int = 0
    skipped: int = 0

    def counts(self, seconds: float) -> Counts:
        """Freeze them; rates are means over `seconds`."""
        span = max(seconds, 0.001)
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return Counts(
            **values,
            walked_per_second=round(self.walked / span),
            imported_per_second=round(self.imported / span),
        )


@dataclass(frozen=True, slots=True)
class ImportJob:
    """An import job.

    `ready` is when its creation's ARM operation ends (provisioningState Creating until then); `gone` when its deletion
    is through (Deleting until then). Times are aware UTC.
    """

    name: str
    location: str
    prefixes: tuple[str, ...]
    mode: Mode
    max_errors: int
    started: datetime
    ready: datetime
    tags: dict[str, str] = field(default_factory=dict)
    admin_status: str = "Active"
    import_state: ImportState = ImportState.IN_PROGRESS
    message: str = ""
    completed: datetime | None = None
    counts: Counts = Counts()
    gone: datetime | None = None


@dataclass(frozen=True, slots=True)
class Archive:
    """The latest archive."""

    path: str
    started: datetime
    archive_state: ArchiveState
    percent: int = 0
    completed: datetime | None = None
    error_code: str = ""
    error_message: str = ""


class AutoKind(StrEnum):
    """Which of the two."""

    IMPORT = "autoImportJobs"
    EXPORT = "autoExportJobs"


class AutoState(StrEnum):
    """status.state of an auto job (specification, AutoExportStatusType and AutoImportJobState)."""

    IN_PROGRESS = "InProgress"
    DISABLING = "Disabling"
    DISABLED = "Disabled"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class AutoJob:
    """An auto-import or auto-export job.

    `exported_*`, `failed_files` and the iterations are an export's; `mode`, `max_errors`, `counts` (the first scan),
    `synced` (the latest later one) and `deletions` an import's.
    """

    kind: AutoKind
    name: str
    location: str
    prefixes: tuple[str, ...]
    started: datetime
    ready: datetime
    tags: dict[str, str] = field(default_factory=dict)
    mode: Mode = Mode.SKIP
    max_errors: int = 0
    enable_deletions: bool = False
    admin_status: str = "Enable"
    auto_state: AutoState = AutoState.IN_PROGRESS
    message: str = ""
    completed: datetime | None = None
    iteration_completed: datetime | None = None
    iterations: int = 0
    exported_files: int = 0
    exported_bytes: int = 0
    failed_files: int = 0
    counts: Counts = Counts()
    synced: Counts = Counts()
    deletions: int = 0
    gone: datetime | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """An ascOperation. `ends` is None for one that never ends; `error_code` is set for one that fails."""

    id: str
    started: datetime
    ends: datetime | None
    error_code: str = ""
    error_message: str = ""
