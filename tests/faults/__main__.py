"""`python -m tests.faults`: see many.py."""

from __future__ import annotations

import os
import sys

from tests.faults.many import SEEDS, WORKERS, main


def _number(name: str, default: int) -> int:
    text = os.environ.get(name) or str(default)
    if not text.isdecimal():
        raise SystemExit(f"{name}={text!r} is no number")
    return int(text)


if __name__ == "__main__":
    if os.environ.get("SEED"):
        sys.exit(main([_number("SEED", 0)], 1))
    first = _number("FIRST", 1)
    sys.exit(main(range(first, first + _number("SEEDS", SEEDS)), _number("WORKERS", WORKERS)))
