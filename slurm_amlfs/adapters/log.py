"""Log lines: a constant event and key=value pairs, on one line whatever a value holds.

A value that is not plain is written as a JSON string in ASCII, so a user's text cannot make a second line, end its own
quotes, or look like another key. Records of libraries (azure, urllib3) are written as `event=foreign message="..."`.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import TextIO

_PLAIN = re.compile(r"[A-Za-z0-9_./:@+,-]+", re.ASCII)
_EVENT = re.compile(r"[a-z0-9-]+", re.ASCII)
_KEY = re.compile(r"[a-z_]+", re.ASCII)
_PAIRS = "amlfs_pairs"

LEVELS = ("debug", "info", "warning", "error")


def event(logger: logging.Logger, level: int, name: str, /, **pairs: object) -> None:
    """Log one event.

    Args:
        logger: The module's logger.
        level: logging.INFO and so on.
        name: A constant, like `import-created`; never built from values.
        pairs: What it is about. None is left out.

    Raises:
        ValueError: `name` or a key is not of the plain alphabet: a program error.
    """
    if not _EVENT.fullmatch(name) or not all(_KEY.fullmatch(key) for key in pairs):
        raise ValueError(f"not a plain event or key: {name!r} {sorted(pairs)!r}")
    logger.log(level, name, extra={_PAIRS: pairs})


def quote(value: object) -> str:
    """Write a value for a log line: bare where it is plain, else as a JSON string in ASCII."""
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


class LineFormatter(logging.Formatter):
    """One record, one line: time level logger event key=value ... [traceback="..."]."""

    def format(self, record: logging.LogRecord) -> str:
        """Write the record as one line of ASCII."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        pairs: dict[str, object] | None = getattr(record, _PAIRS, None)
        name = record.getMessage()
        if pairs is None:
            name, pairs = "foreign", {"message": record.getMessage()}
        words = [time, record.levelname.lower(), quote(record.name), name]
        words += [f"{key}={quote(value)}" for key, value in pairs.items() if value is not None]
        if record.exc_info:
            words.append(f"traceback={json.dumps(self.formatException(record.exc_info))}")
        return " ".join(words)


def set_up(level: str, stream: TextIO | None = None) -> logging.Handler:
    """Send all logging to one stream (standard error), one line a record; return the handler.

    Args:
        level: One of `LEVELS`, for this package. Libraries are heard from warnings up, since azure.core logs every
            request at info.
        stream: Where to write.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("slurm_amlfs").setLevel(level.upper())
    return handler
