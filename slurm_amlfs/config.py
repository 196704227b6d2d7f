"""The configuration: one TOML file, read once, refused whole when any of it is wrong.

Every fault is one line, "FILE: KEY: what is wrong; mend", and all of them are told at once. What a key is for stands
in `etc/amlfs.toml`. Names of users are resolved by who uses them, not here.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from slurm_amlfs.domain.endpoint import is_safe
from slurm_amlfs.domain.prefix import Namespace, validate
from slurm_amlfs.domain.quote import quote
from slurm_amlfs.errors import UserError

DEFAULT_PATH = Path("/etc/slurm-amlfs/amlfs.toml")

ANY = "*"
"""Stands for every file system, and for every user."""

_SEGMENTS = {True: 2, False: 1}
"""Path segments of a container's URL: Azurite has the account's name there, Azure in the host."""


def _absolute(text: object) -> Path:
    path = PurePosixPath(text) if isinstance(text, str) and text.isprintable() else PurePosixPath()
    if not path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{_cut(text)} is no absolute path; write it from / on, without ..")
    return Path(path)


def _safe_url(url: str) -> str:
    parts = urlsplit(url)
    if not is_safe(url) or not parts.hostname:
        raise ValueError(f"{_cut(url)} is no https address; use https (http is taken on loopback only)")
    if parts.query or parts.fragment or parts.username is not None:
        raise ValueError(f"{_cut(url)} has more than an address in it; leave out user, query and fragment")
    return url


def _container_url(url: str) -> str:
    _safe_url(url)
    azurite = not url.lower().startswith("https://")
    segments = urlsplit(url).path.strip("/").split("/")
    if len(segments) != _SEGMENTS[azurite] or not all(segments):
        host = "http://127.0.0.1:PORT/devstoreaccount1" if azurite else "https://ACCOUNT.blob.core.windows.net"
        raise ValueError(f"{_cut(url)} does not name a container; write {host}/CONTAINER")
    return url


def _uuid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise ValueError(f"{_cut(text)} is no subscription id; write its UUID, as `az account show` tells it") from None


def _grant_prefix(text: str) -> str:
    try:
        validate(text)
    except UserError as error:
        raise ValueError(error.message.removeprefix("amlfs: ")) from error
    if not text.endswith("/"):
        raise ValueError(f"{quote(text)} has to end with /; without it, what only begins alike would be granted too")
    return text


AbsolutePath = Annotated[Path, BeforeValidator(_absolute)]
Count = Annotated[int, Field(strict=True, ge=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
ArmName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._()-]{0,89}$")]
GrantPrefixes = tuple[Annotated[str, AfterValidator(_grant_prefix)], ...]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Slurm(_Part):
    """How to reach Slurm. `user` is slurm.conf's SlurmUser; `conf` is SLURM_CONF for the commands, None for theirs."""

    user: Name = "slurm"
    bin_dir: AbsolutePath = Path("/usr/bin")
    conf: Annotated[Path | None, BeforeValidator(lambda text: None if text == "" else _absolute(text))] = None


class Azure(_Part):
    """How to reach ARM, how many retries an hour all of the daemon may make, and how often it looks."""

    arm_url: Annotated[str, AfterValidator(_safe_url)] = "https://management.azure.com"
    retries_per_hour: Annotated[int, Field(strict=True, ge=0)] = 600
    poll_seconds: Annotated[float, Field(strict=True, ge=0.05, le=300)] = 5.0


class Limits(_Part):
    """Bounds of one daemon's work; their reasons and units are in the sample."""

    attempts: Count = 3
    prefixes_per_import: Annotated[int, Field(strict=True, ge=1, le=100)] = 100
    restore_window: Count = 2000
    comment_seconds: Count = 10
    workers: Annotated[int, Field(strict=True, ge=1, le=64)] = 8
    stall_minutes: Count = 10


class FileSystem(_Part):
    """One AMLFS file system: where it is mounted here, which Azure resource it is, and the container behind it."""

    name: Name
    mount: AbsolutePath
    namespace: Namespace
    subscription: Annotated[str, AfterValidator(_uuid)]
    resource_group: ArmName
    amlfs: ArmName
    container_url: Annotated[str, AfterValidator(_container_url)]
    lfs: AbsolutePath = Path("/usr/bin/lfs")


class Grant(_Part):
    """Who may move what. `users` are login names or "*"; prefixes end with "/"."""

    file_system: Annotated[str, Field(pattern=r"^(\*|[A-Za-z0-9][A-Za-z0-9._-]{0,62})$")] = ANY
    users: Annotated[tuple[Annotated[str, Field(pattern=r"^(\*|[^\s:*/]{1,256})$")], ...], Field(min_length=1)]
    imports: Annotated[GrantPrefixes, Field(alias="import")] = ()
    exports: Annotated[GrantPrefixes, Field(alias="export")] = ()


class Config(_Part):
    """The whole file. The first file system is the site's default."""

    state_dir: AbsolutePath = Path("/var/lib/slurm-amlfs")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    slurm: Slurm = Slurm()
    azure: Azure = Azure()
    limits: Limits = Limits()
    file_systems: Annotated[tuple[FileSystem, ...], Field(alias="file_system")] = ()
    grants: Annotated[tuple[Grant, ...], Field(alias="grant")] = ()


def load(path: Path) -> Config:
    """Read and check a configuration file.

    Raises:
        UserError: it cannot be read, is not TOML, or is wrong; one line for each fault.
    """
    try:
        tree = tomllib.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); create it from etc/amlfs.toml") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: is not TOML: {error}; mend that line") from error
    try:
        config = Config.model_validate(tree)
    except ValidationError as error:
        raise UserError("\n".join(f"{path}: {line}" for line in _faults(error))) from error
    if faults := tuple(_contradictions(config)):
        raise UserError("\n".join(f"{path}: {line}" for line in faults))
    return config


def _contradictions(config: Config) -> Iterator[str]:
    """Yield what is wrong between keys that are each right."""
    systems = config.file_systems
    if not systems:
        yield "file_system: there is none; add a [[file_system]] block"
    yield from _twice("name", [system.name for system in systems], "give each its own")
    yield from _twice("mount", [str(system.mount) for system in systems], "one mount is one file system")
    resources = [f"{one.subscription}/{one.resource_group}/{one.amlfs}".lower() for one in systems]
    yield from _twice("amlfs", resources, "name each Azure resource once, it has one slot only")
    known = {ANY, *(system.name for system in systems)}
    for number, grant in enumerate(config.grants, 1):
        if grant.file_system not in known:
            yield (
                f"grant[{number}].file_system: {grant.file_system!r} is no configured file system; "
                f"write one of {', '.join(sorted(known))}"
            )


def _twice(key: str, values: Sequence[str], mend: str) -> Iterator[str]:
    for value, count in Counter(values).items():
        if count > 1:
            yield f"file_system.{key}: {value!r} is there {count} times; {mend}"


def _faults(error: ValidationError) -> Iterator[str]:
    faults = error.errors(include_url=False, include_input=True)
    places = [fault["loc"] for fault in faults]
    for fault in faults:
        key = _key(fault["loc"])
        what = fault["msg"].removeprefix("Value error, ")
        match fault["type"]:
            case "missing":
                yield f"{key}: is missing; add it"
            case "extra_forbidden":
                yield f"{key}: is no key that is known; {_nearest(str(fault['loc'][-1]))}"
            case "too_short" if any(place[:-1] == fault["loc"] for place in places):
                continue  # pydantic counts what is left after refusing the items, which are told already
            case "too_short":
                yield f"{key}: is empty; write at least one"
            case "value_error":
                yield f"{key}: {what}"
            case "string_pattern_mismatch":
                yield f"{key}: {_cut(fault['input'])} is no name that can stand here; use letters, digits and . _ -"
            case _:
                yield f"{key}: {_cut(fault['input'])} is wrong: {what[:1].lower()}{what[1:]}; write such a value"


def _key(where: tuple[int | str, ...]) -> str:
    """Write a place as admins count: grant[2].import[1] is the second [[grant]]'s first prefix."""
    key = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{_word(part)}" for part in where)
    return key.removeprefix(".")


def _word(key: str) -> str:
    return key if key.isascii() and key.isidentifier() else quote(key)


def _nearest(key: str) -> str:
    parts: tuple[type[_Part], ...] = (Config, Slurm, Azure, Limits, FileSystem, Grant)
    known = {field.alias or name for part in parts for name, field in part.model_fields.items()}
    near = get_close_matches(key, known, n=1)
    return f"did you mean {near[0]}?" if near else "remove it"


def _cut(value: object) -> str:
    return quote(value) if isinstance(value, str) else quote(repr(value))
