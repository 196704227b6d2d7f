"""Telling what pydantic finds wrong: one line for each fault, with the key as admins count it and what to write."""

from __future__ import annotations

import json
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from slurm_amlfs.config.parts import AgeLimit, Azure, Config, FileSystem, Grant, Limits, Part, Slot, Slurm, Standby
from slurm_amlfs.config.values import shown
from slurm_amlfs.domain.quote import quote

_PARTS: MappingProxyType[str, type[Part]] = MappingProxyType(
    {
        "": Config,
        "slurm": Slurm,
        "azure": Azure,
        "limits": Limits,
        "slot": Slot,
        "standby": Standby,
        "file_system": FileSystem,
        "grant": Grant,
        "age_limit": AgeLimit,
    }
)
_REPEATED = ("file_system", "grant", "age_limit")

_SENTENCES = MappingProxyType(
    {
        "missing": "is missing; add it{as_in}",
        "too_short": "is empty; write at least one{as_in}",
        "string_pattern_mismatch": "{value} is no name that can stand here; use letters, digits and . _ -",
        "literal_error": "{value} is no word that is known here; write {expected}",
        "enum": "{value} is no word that is known here; write {expected}",
        "greater_than_equal": "{value} is too little; write {ge} or more{as_in}",
        "less_than_equal": "{value} is too much; write {le} or less{as_in}",
        "string_type": "{value} stands where a string belongs; write it in quotes{as_in}",
        "bool_type": "{value} stands where a true or false belongs; write it without quotes{as_in}",
        "int_type": "{value} stands where a whole number belongs; write it without quotes or point{as_in}",
        "float_type": "{value} stands where a number belongs; write it without quotes{as_in}",
        "tuple_type": "{value} stands where a list belongs; write it in brackets{as_in}",
    }
)
"""By pydantic's type of error. Only `file_system` and `grant` are both lists and blocks: `_told` knows them."""


def faults(error: ValidationError) -> Iterator[str]:
    """Yield "KEY: what is wrong; mend" for each fault."""
    found = error.errors(include_url=False, include_input=True)
    places = [fault["loc"] for fault in found]
    for fault in found:
        if fault["type"] == "too_short" and any(place[:-1] == fault["loc"] for place in places):
            continue  # pydantic counts what is left after refusing the items, which are told already
        yield f"{_key(fault['loc'])}: {_told(fault)}"


def _told(fault: ErrorDetails) -> str:
    where, kind, value = fault["loc"], fault["type"], shown(fault["input"])
    name = str(where[0])
    if kind == "value_error":
        return fault["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        return f"is no key that is known; {_nearest(str(where[-1]))}"
    if kind == "model_type" or (kind == "tuple_type" and where == (name,)):
        block = f"[[{name}]]" if name in _REPEATED else f"[{name}]"
        return f"{value} stands where a block belongs; write a line {block} and its keys below it"
    what = fault["msg"][:1].lower() + fault["msg"][1:]
    sentence = _SENTENCES.get(kind, "{value} is wrong: {what}; write such a value{as_in}")
    return sentence.format(value=value, what=what, as_in=_as_in(where), **fault.get("ctx", {}))


def _as_in(where: tuple[int | str, ...]) -> str:
    """Show a line that would be right there, or nothing for a key that nobody knows."""
    name = next(str(part) for part in reversed(where) if isinstance(part, str))
    part = _PARTS[str(where[0]) if where[0] in _PARTS and len(where) > 1 else ""]
    for key, field in part.model_fields.items():
        if (field.alias or key) == name:
            example = field.examples[0] if field.examples else field.default
            return f", as in {name} = {json.dumps(str(example) if isinstance(example, Path) else example)}"
    return ""


def _key(where: tuple[int | str, ...]) -> str:
    """Write a place as admins count: grant[2].import[1] is the second [[grant]]'s first prefix."""
    key = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{_word(part)}" for part in where)
    return key.removeprefix(".")


def _word(key: str) -> str:
    return key if key.isascii() and key.isidentifier() else quote(key)


def _nearest(key: str) -> str:
    known = {field.alias or name for part in _PARTS.values() for name, field in part.model_fields.items()}
    near = get_close_matches(key, known, n=1)
    return f"did you mean {near[0]}?" if near else "remove it"
