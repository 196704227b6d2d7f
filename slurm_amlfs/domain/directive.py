"""The `#AMLFS` grammar: one directive line to an Ask and back, and sbatch's options to directive lines.

etc/amlfs_grammar.lua and etc/amlfs_options.lua say the same with the same words; property tests hold them equal. Slurm
looks in directive lines for `capacity=`, `pool=` and `%` (burst_buffer_lua.c: _parse_bb_opts, _get_bb_job), so a value
that has other than the plain characters, or these words, is carried as `b64:` and the base64url of its bytes. The two
words themselves mean what they mean to Slurm, which reads them by itself: what it would read otherwise is refused.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any, Final

from slurm_amlfs.domain.ask import Ask, Conflict, Direction, ExportOn, Hydrate
from slurm_amlfs.domain.prefix import validate
from slurm_amlfs.domain.quote import quote
from slurm_amlfs.errors import UserError

MARK: Final = "b64:"
LONGEST_OPTION_BYTES: Final = 4096
"""Two options of this length, encoded, are the most that fits Slurm's 8 KiB of burst_buffer (_test_job_desc_fields)."""
MOST_ERRORS: Final = 2**31 - 1
"""ARM's maximumErrors is an int32."""
CAPACITY_END_BYTES: Final = 2**53
"""8 PiB, thrice the largest AMLFS; below it Lua 5.1, whose numbers are doubles, counts each byte."""

_WORDS: Final = {
    Direction.IN: ("prefix", "fs", "conflict", "max_errors", "hydrate", "release", "refresh", "capacity", "pool"),
    Direction.OUT: ("prefix", "fs", "on", "release"),
}
_USUAL_CONFLICT: Final = {False: Conflict.SKIP, True: Conflict.OVERWRITE_ALWAYS}
"""By refresh: only overwrite-always makes a blob appear that changed behind a clean file (blob-integration.md)."""
_LATER: Final = {"to": Direction.OUT, "pack": Direction.OUT}
"""Words of the design that this release refuses."""
_SLURMS_OWN: Final = frozenset({"capacity", "pool"})
"""Words whose values Slurm reads too, as they stand."""
_FIELDS: Final = {"capacity": "capacity_bytes"}
"""Fields of an Ask that are not called as their word is."""
_OPTIONS: Final = (
    ("import", "prefix", (Direction.IN,)),
    ("export", "prefix", (Direction.OUT,)),
    ("fs", "fs", (Direction.IN, Direction.OUT)),
    ("conflict", "conflict", (Direction.IN,)),
    ("max_errors", "max_errors", (Direction.IN,)),
    ("hydrate", "hydrate", (Direction.IN,)),
    ("export_on", "on", (Direction.OUT,)),
    ("export_to", "to", (Direction.OUT,)),
    ("pack", "pack", (Direction.OUT,)),
    ("release", "release", (Direction.IN, Direction.OUT)),
    ("refresh", "refresh", (Direction.IN,)),
)
OPTIONS: Final = tuple(name for name, _, _ in _OPTIONS)
"""The options' names as job_submit sees them: without `amlfs-`, `_` for `-`."""

_PLAIN: Final = re.compile(r"[A-Za-z0-9._/+@:~=,-]*")
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]*")
_NUMBER: Final = re.compile(r"-1|[0-9]{1,10}")
_POOL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_SIZE: Final = re.compile(r"([0-9]{1,16})(?:([kmgtp])(ib|b|))?", re.ASCII | re.IGNORECASE)
"""What bb_get_size_num takes (burst_buffer_common.c, 22.05 to 26.05), without its nodes; zero it takes for an error."""


def parse(line: str) -> Ask:
    """Read one directive line, given without its `#AMLFS `.

    Raises:
        UserError: not of the grammar; one line, what is wrong and the mend.
    """
    head, *words = [word for word in re.split("[ \t]+", line) if word] or [""]
    if head not in tuple(Direction):
        raise UserError(f"amlfs: unknown directive {quote(head)}; write stage_in or stage_out")
    direction = Direction(head)
    prefixes: dict[str, None] = {}
    values: dict[str, Any] = {}
    for word in words:
        name, equals, raw = word.partition("=")
        if equals and _LATER.get(name) is direction:
            raise UserError(f"amlfs: {name}= is not available in this release; leave it out")
        if not equals or name not in _WORDS[direction]:
            known = ", ".join(_WORDS[direction])
            raise UserError(f"amlfs: {head} does not know {quote(word)}; its words are {known}, each with =value")
        if _FIELDS.get(name, name) in values:
            raise UserError(f"amlfs: {name}= is given twice; give it once")
        text = raw if name in _SLURMS_OWN else decode(name, raw)
        if name == "prefix":
            prefixes[validate(text)] = None
        else:
            values[_FIELDS.get(name, name)] = _READERS[name](text)
    if not prefixes:
        raise UserError(f"amlfs: {head} without a prefix; add prefix=/PATH/")
    if direction is Direction.IN:
        values.setdefault("conflict", _USUAL_CONFLICT[values.get("refresh", False)])
    ask = Ask(direction=direction, prefixes=tuple(prefixes), **values)
    _check_pool(ask, line)
    return ask


def parse_all(lines: Iterable[str]) -> tuple[Ask, ...]:
    """Read each line of a job.

    Raises:
        UserError: a line is not of the grammar, or two of them want space of different pools.
    """
    asks = tuple(parse(line) for line in lines)
    # Slurm keeps one pool for a job, the last that it finds, and charges it with the sum (_get_bb_job).
    one, *others = list(dict.fromkeys(ask.pool for ask in asks if ask.pool)) or [""]
    if others:
        raise UserError(
            f"amlfs: capacity= of pool {quote(one)} and of pool {quote(others[0])} in one job, and Slurm charges one;"
            " leave it out on the lines of the other file system"
        )
    return asks


def _check_pool(ask: Ask, line: str) -> None:
    """Refuse what Slurm would read otherwise than we do, or silently (burst_buffer_lua.c: _parse_capacity)."""
    if not (ask.capacity_bytes or ask.pool):
        return
    if not ask.pool:
        raise UserError("amlfs: capacity= names no pool; add pool= with the name of the line's file system")
    if not ask.capacity_bytes:
        raise UserError("amlfs: pool= says nothing by itself; add capacity=SIZE")
    if "\t" in line:
        raise UserError("amlfs: a tab in a line with capacity=, which Slurm reads as part of it; write blanks")


def decode(name: str, raw: str) -> str:
    """Read one word's value.

    Raises:
        UserError: empty, has characters that a directive cannot carry, or is not base64url of UTF-8 text.
    """
    if not raw:
        raise UserError(f"amlfs: {name}= has no value; give one or leave it out")
    if not _PLAIN.fullmatch(raw) or "capacity=" in raw or "pool=" in raw:
        raise UserError(
            f"amlfs: {name}={quote(raw)} is more than a directive can carry; write {MARK} and the base64url of it"
        )
    if not raw.startswith(MARK):
        return raw
    body = raw.removeprefix(MARK)
    try:
        text = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)).decode("utf-8")
    except ValueError:
        text = ""
    # b64decode skips what is not base64, so the characters are looked at too.
    if not text or not _BASE64URL.fullmatch(body):
        raise UserError(f"amlfs: {name}={quote(raw)} is not base64url of UTF-8 text; encode it anew")
    return text


def encode(text: str) -> str:
    """Write one word's value: plain where it can be, else marked base64url without padding."""
    if _PLAIN.fullmatch(text) and not text.startswith(MARK) and "capacity=" not in text and "pool=" not in text:
        return text
    data = text.encode("utf-8", "surrogateescape")
    return MARK + base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def render(ask: Ask) -> str:
    """Write an Ask as the shortest line that reads back as it; defaults, `to` and `pack` are left out."""
    plain = Ask(direction=ask.direction, prefixes=ask.prefixes, conflict=_USUAL_CONFLICT[ask.refresh])
    words = [ask.direction.value, *(f"prefix={encode(prefix)}" for prefix in ask.prefixes)]
    for name in _WORDS[ask.direction][1:]:
        value = getattr(ask, _FIELDS.get(name, name))
        if value != getattr(plain, _FIELDS.get(name, name)):
            words.append(f"{name}={encode(_text(value))}")
    return " ".join(words)


def lines_from_options(options: Mapping[str, str]) -> tuple[str, ...]:
    """Turn sbatch's `--amlfs-*` values, by the names in `OPTIONS`, into checked directive lines (at most two).

    Raises:
        UserError: a value is bad, or an option says nothing without --amlfs-import or --amlfs-export.
    """
    given = [option for option in _OPTIONS if option[0] in options]
    for name, _, _ in given:
        _check_option(name, options[name])
    present = {direction for direction, name in _SOURCE.items() if name in options}
    for name, _, directions in given:
        if present.isdisjoint(directions):
            need = " or ".join(f"--amlfs-{_SOURCE[direction]}=/PATH/" for direction in directions)
            raise UserError(f"amlfs: {_flag(name)} says nothing by itself; add {need}")
    lines = tuple(_line(direction, present, options) for direction in Direction if direction in present)
    for line in lines:
        parse(line)
    return lines


def _line(direction: Direction, present: set[Direction], options: Mapping[str, str]) -> str:
    words = [direction.value]
    for name, word, directions in _OPTIONS:
        if name not in options or direction not in directions:
            continue
        if word == "release" and direction is Direction.IN and Direction.OUT in present:
            continue  # a job that exports gives back its outputs; its inputs stay, by lease
        texts = options[name].split(",") if word == "prefix" else [options[name]]
        words.extend(f"{word}={encode(text)}" for text in texts)
    return " ".join(words)


_SOURCE: Final = {Direction.IN: "import", Direction.OUT: "export"}


def _flag(option: str) -> str:
    return "--amlfs-" + option.replace("_", "-")


def _check_option(name: str, value: str) -> None:
    size = len(value.encode("utf-8", "surrogateescape"))
    if size > LONGEST_OPTION_BYTES:
        raise UserError(
            f"amlfs: {_flag(name)} has {size} bytes; at most {LONGEST_OPTION_BYTES} are taken: name a folder above them"
        )
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UserError(f"amlfs: {_flag(name)}={quote(value)} is not UTF-8 text; name a folder above it") from error


def _text(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _choice(name: str, kind: type[StrEnum]) -> Callable[[str], StrEnum]:
    def read(text: str) -> StrEnum:
        if text not in tuple(kind):
            raise UserError(f"amlfs: {name} cannot be {quote(text)}; choose one of {', '.join(kind)}")
        return kind(text)

    return read


def _yes_no(name: str) -> Callable[[str], bool]:
    def read(text: str) -> bool:
        if text not in {"yes", "no"}:
            raise UserError(f"amlfs: {name} cannot be {quote(text)}; choose one of yes, no")
        return text == "yes"

    return read


def _max_errors(text: str) -> int:
    if not _NUMBER.fullmatch(text) or int(text) > MOST_ERRORS:
        raise UserError(f"amlfs: max_errors cannot be {quote(text)}; give 0 to {MOST_ERRORS}, or -1 for no limit")
    return int(text)


def _capacity(text: str) -> int:
    size = _SIZE.fullmatch(text)
    if size is not None:
        number, letter, unit = size.groups()
        base = 1000 if (unit or "").lower() == "b" else 1024
        size_bytes: int = int(number) * base ** (" kmgtp".index((letter or " ").lower()))
        if 0 < size_bytes < CAPACITY_END_BYTES:
            return size_bytes
    raise UserError(f"amlfs: capacity cannot be {quote(text)}; give a size below 8 PiB, as 500GiB or 2T")


def _pool(text: str) -> str:
    if not _POOL.fullmatch(text):
        raise UserError(f"amlfs: pool cannot be {quote(text)}; give the name of the line's file system")
    return text


_READERS: Final[Mapping[str, Callable[[str], object]]] = {
    "fs": str,
    "conflict": _choice("conflict", Conflict),
    "max_errors": _max_errors,
    "hydrate": _choice("hydrate", Hydrate),
    "on": _choice("on", ExportOn),
    "release": _yes_no("release"),
    "refresh": _yes_no("refresh"),
    "capacity": _capacity,
    "pool": _pool,
}
