"""A log line is one line, whatever is in its values."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slurm_amlfs.adapters.log import event, set_up

LOGGER = logging.getLogger("slurm_amlfs.test")
PAIR = re.compile(r' ([a-z_]+)=("(?:[^"\\]|\\.)*"|[^ "]+)')


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    stream = io.StringIO()
    set_up("info", stream)
    yield stream
    root.handlers[:], level = before
    root.setLevel(level)
    logging.getLogger("slurm_amlfs").setLevel(logging.NOTSET)


def pairs_of(line: str) -> dict[str, str]:
    """Read a line's pairs back."""
    return {key: json.loads(text) if text.startswith('"') else text for key, text in PAIR.findall(line)}


def test_a_plain_line(stream: io.StringIO) -> None:
    """Time, level, logger, event, pairs; None is left out."""
    event(LOGGER, logging.INFO, "import-created", job=7, prefix="/a/b", eta=None)
    time, rest = stream.getvalue().split(" ", 1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", time)
    assert rest == "info slurm_amlfs.test import-created job=7 prefix=/a/b\n"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(["a", "b_c", "why"]), st.text(), max_size=3))
def test_values_come_back_and_make_no_line(stream: io.StringIO, pairs: dict[str, str]) -> None:
    """No text makes a second line, another key, or a byte that a terminal obeys."""
    stream.seek(0)
    stream.truncate()
    event(LOGGER, logging.INFO, "seen", **pairs)
    line = stream.getvalue()
    assert line.count("\n") == 1
    assert line[:-1].isprintable()
    assert line.isascii()
    assert pairs_of(line[:-1].partition(" seen")[2]) == pairs


def test_surrogates_are_written(stream: io.StringIO) -> None:
    """A file name that is not UTF-8 does not stop the log."""
    event(LOGGER, logging.INFO, "seen", path="/a\udcff")
    assert pairs_of(stream.getvalue())["path"] == "/a\udcff"


def test_a_librarys_record_is_one_line(stream: io.StringIO) -> None:
    """What azure or urllib3 logs cannot pass for an event of ours."""
    logging.getLogger("azure.core").warning("bad\n%s import-created job=7", "thing")
    assert stream.getvalue().endswith(' warning azure.core foreign message="bad\\nthing import-created job=7"\n')
    logging.getLogger("azure.core").info("each request")
    assert "each request" not in stream.getvalue()


def test_a_traceback_is_one_line(stream: io.StringIO) -> None:
    """An exception's whole story stays on its event's line."""
    try:
        int("a\nb")
    except ValueError:
        LOGGER.exception("errand-broke", extra={"amlfs_pairs": {"job": 7}})
    line = stream.getvalue()
    assert line.count("\n") == 1
    assert "ValueError: invalid literal" in pairs_of(line)["traceback"]
    assert " errand-broke job=7 traceback=" in line


@pytest.mark.parametrize("name", ["Import created", "a=b", "", "a\nb"])
def test_events_are_constants(name: str) -> None:
    """An event that is built from a value is a bug."""
    with pytest.raises(ValueError, match="not a plain event"):
        event(LOGGER, logging.INFO, name)
