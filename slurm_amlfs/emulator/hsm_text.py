"""An HSM record as text: "FLAGS ARCHIVE_ID" in hex and decimal, then a newline and the blob's name if it has one."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cache

from slurm_amlfs.emulator.hsm_rules import HsmRecord


@cache
def _known(value: bytes) -> HsmRecord:
    """Read a record without a blob's name; of these there are few, and they are read for every file."""
    flags, archive_id = value.split()
    return HsmRecord(int(flags, 16), int(archive_id))


def read_record(value: bytes) -> HsmRecord:
    """Read a record from the text of its extended attribute."""
    numbers, _, blob = value.partition(b"\n")
    record = _known(numbers)
    return replace(record, blob=os.fsdecode(blob)) if blob else record


def write_record(record: HsmRecord) -> bytes:
    """Write it."""
    numbers = b"%x %d" % (record.flags, record.archive_id)
    return numbers + b"\n" + os.fsencode(record.blob) if record.blob else numbers
