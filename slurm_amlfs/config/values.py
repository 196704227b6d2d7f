"""Values that stand in the configuration, each read or refused by itself, in words that name the mend."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Annotated
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field

from slurm_amlfs.domain.endpoint import is_safe
from slurm_amlfs.domain.prefix import validate
from slurm_amlfs.domain.quote import quote
from slurm_amlfs.errors import UserError

_SEGMENTS = {True: 2, False: 1}
"""Path segments of a container's URL: Azurite has the account's name there, Azure in the host."""


def absolute(text: object) -> Path:
    """Read an absolute path.

    Raises:
        ValueError: it is none; pydantic makes a fault of the file of it.
    """
    path = PurePosixPath(text) if isinstance(text, str) and text.isprintable() else PurePosixPath()
    if not path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{shown(text)} is no absolute path; write it in quotes, from / on, without ..")
    return Path(path)


def _safe_url(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ValueError(f"{shown(url)} cannot be read as an address; write https://HOST") from error
    if not is_safe(url) or not parts.hostname:
        raise ValueError(f"{shown(url)} is no https address; use https (http is taken on loopback only)")
    if parts.query or parts.fragment or parts.username is not None:
        raise ValueError(f"{shown(url)} has more than an address in it; leave out user, query and fragment")
    return url


def _container_url(url: str) -> str:
    _safe_url(url)
    azurite = not url.lower().startswith("https://")
    segments = urlsplit(url).path.strip("/").split("/")
    if len(segments) != _SEGMENTS[azurite] or not all(segments):
        host = "http://127.0.0.1:PORT/devstoreaccount1" if azurite else "https://ACCOUNT.blob.core.windows.net"
        raise ValueError(f"{shown(url)} does not name a container; write {host}/CONTAINER")
    return url


def _uuid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise ValueError(
            f"{shown(text)} is no subscription id; write its UUID, as `az account show` tells it"
        ) from None


def _folder_prefix(text: str) -> str:
    try:
        validate(text)
    except UserError as error:
        raise ValueError(error.message.removeprefix("amlfs: ")) from error
    if not text.endswith("/"):
        raise ValueError(f"{quote(text)} has to end with /; without it, what only begins alike would be meant too")
    return text


def shown(value: object) -> str:
    """Write a value as TOML has it, cut to what fits a line."""
    match value:
        case str():
            return quote(value)
        case bool():
            return str(value).lower()
        case dict():
            return "a table"
        case list() | tuple():
            return "a list"
        case _:
            return quote(str(value))[1:-1]


AbsolutePath = Annotated[Path, BeforeValidator(absolute)]
Count = Annotated[int, Field(strict=True, ge=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
ArmName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._()-]{0,89}$")]
SafeUrl = Annotated[str, AfterValidator(_safe_url)]
ContainerUrl = Annotated[str, AfterValidator(_container_url)]
Subscription = Annotated[str, AfterValidator(_uuid)]
FolderPrefix = Annotated[str, AfterValidator(_folder_prefix)]
GrantPrefixes = tuple[FolderPrefix, ...]
