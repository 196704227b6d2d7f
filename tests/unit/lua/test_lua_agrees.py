"""Lua and Python take the same directives, read the same from them, and refuse the others with the same words."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import product
from typing import TypeVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lua_process import Luas

from slurm_amlfs import wire
from slurm_amlfs.adapters.slurm_queue import directive_lines
from slurm_amlfs.domain import directive, policy
from slurm_amlfs.domain.ask import Ask, Direction
from slurm_amlfs.domain.policy import Grant
from slurm_amlfs.domain.quote import quote, quote_list
from slurm_amlfs.errors import UserError
from tests.examples import examples

Said = TypeVar("Said")

BYTES = st.binary(max_size=80).map(lambda data: data.decode("utf-8", "surrogateescape"))
TEXTS = st.one_of(BYTES, st.text(st.characters(exclude_categories=["Cs"]), max_size=80))
PIECES = st.sampled_from(["/", "a", "b2", "..", ".", "", "b64:", "capacity=", "pool=", "%", '"', "\\", "é", ",", " "])
VALUES = st.one_of(
    st.sampled_from(
        [
            "/a/",
            "/",
            "skip",
            "overwrite-always",
            "all",
            "none",
            "success",
            "yes",
            "no",
            "-1",
            "0",
            "007",
            "2147483647",
            "2147483648",
            "99999999999",
            "1e3",
            "0x1",
            "b64:L2E",
            "b64:L2F",
            "b64:L2",
            "b64:L",
            "b64:_w",
            "b64:",
            "b64:7aCA",
            "10GiB",
            "1k",
            "3Pb",
            "9PiB",
            "0T",
            "5b",
            "5i",
            "2N",
            "999999999999999p",
            "lustre",
            "b64:bHVzdHJl",
        ]
    ),
    st.lists(PIECES, max_size=6).map("".join),
    st.lists(PIECES, max_size=6).map(lambda pieces: "/" + "/".join(pieces)),
    TEXTS.map(directive.encode),
    TEXTS.map(lambda text: directive.encode("/" + text)),
    TEXTS,
)
NAMES = st.sampled_from(
    [
        "prefix",
        "prefix",
        "prefix",
        "fs",
        "conflict",
        "max_errors",
        "hydrate",
        "on",
        "to",
        "pack",
        "release",
        "refresh",
        "x",
        "",
        "capacity",
        "capacity",
        "pool",
        "pool",
    ]
)
WORDS = st.one_of(st.builds("{}={}".format, NAMES, VALUES), VALUES)
LINES = st.one_of(
    st.builds(
        lambda head, words, blank: blank.join([head, *words]),
        st.sampled_from(["stage_in", "stage_out", "stage_in ", "\tstage_out", "stage", ""]),
        st.lists(WORDS, max_size=5),
        st.sampled_from([" ", "\t", "  "]),
    ),
    TEXTS,
)
LONG = st.integers(1000, 1100).map(lambda count: "/" + "é" * count)


def told(read: Callable[[], Said], words: Callable[[Said], list[str]]) -> list[str]:
    """Say what Python says, in the driver's words."""
    try:
        return words(read())
    except UserError as error:
        return ["refused", error.message]


def ask_words(line: str) -> Callable[[Ask], list[str]]:
    """Write an Ask in the driver's words; Lua keeps no defaults, so what the line does not name is empty."""

    def words(ask: Ask) -> list[str]:
        def given_value(name: str, value: object) -> str:
            return str(value) if re.search(rf"[ \t]{name}=", line) else ""

        release = {True: "yes", False: "no", None: ""}[ask.release]
        return [
            "ask",
            ask.direction,
            ask.fs,
            given_value("conflict", ask.conflict),
            given_value("max_errors", ask.max_errors),
            given_value("hydrate", ask.hydrate),
            given_value("on", ask.on),
            release,
            {True: "yes", False: "no"}[ask.refresh] if given_value("refresh", ask.refresh) else "",
            str(ask.capacity_bytes or ""),
            ask.pool,
            *ask.prefixes,
        ]

    return words


@examples(400)
@given(LINES)
@example("stage_in prefix=b64:LwA")
@example("stage_in prefix=/a max_errors=00000000001")
@example("stage_out prefix=/a to=c/p")
@example("stage_in prefix=/a refresh=yes")
@example("stage_in prefix=/a refresh=no conflict=skip")
@example("stage_in prefix=/a refresh=1")
@example("stage_out prefix=/a refresh=yes")
@example("stage_in prefix=/a prefix=/a/ prefix=/a fs=x max_errors=0000000012 release=no")
@example("stage_in prefix=/a capacity=8PiB pool=lustre")
@example("stage_in prefix=/a capacity=9007199254741kb pool=lustre")
@example("stage_in prefix=/a capacity=9007199254740993 pool=lustre")
@example("stage_in prefix=/a capacity=00010TB pool=lustre fs=lustre")
@example("stage_in prefix=/a capacity=10 pool=lustre fs=b64:w6k")
@example("stage_in prefix=/a capacity=10\tpool=lustre")
@example("stage_in prefix=/a capacity=10 pool=b64:bHVzdHJl")
@example("stage_in prefix=/a pool=lustre")
def test_grammar(luas: Luas, line: str) -> None:
    """A line is read alike, or refused in the same words."""
    assert luas.ask("parse", line) == told(lambda: directive.parse(line), ask_words(line))


SUFFIXES = st.sampled_from(["", "k", "M", "g", "T", "p", "KB", "mib", "TiB", "pb", "n", "bb"])
SIZES = st.builds("{}{}".format, st.integers(0, 10**16), SUFFIXES)
POOLED = st.builds(
    "stage_in prefix=/a/ capacity={} pool={}".format, SIZES, st.sampled_from(["lustre", "two", "-x", ""])
)


@examples(300)
@given(st.lists(POOLED | st.just("stage_in prefix=/b/") | st.just("stage_out prefix=/c/"), max_size=4))
def test_lines_with_capacity(luas: Luas, lines: list[str]) -> None:
    """The same sizes are read, and capacity of two pools in one job is refused in the same words."""
    expected = told(lambda: directive.parse_all(lines), lambda _: ["", ""])[1]
    assert luas.ask("parse_all", *lines) == [expected]
    for line in lines:
        assert luas.ask("parse", line) == told(lambda line=line: directive.parse(line), ask_words(line))


SEGMENTS = st.sampled_from(["a", "a", ".", "..", "...", "", "capacity=1", "pool=x", "b64:", "é", "\t", "\x7f"])


@given(st.lists(SEGMENTS, max_size=4).map("/".join), st.sampled_from(["/", ""]), st.booleans())
def test_prefixes(luas: Luas, path: str, first: str, encoded: bool) -> None:  # noqa: FBT001 - hypothesis draws it
    """A prefix is taken or refused alike, written plainly or encoded."""
    value = directive.encode(first + path) if encoded else first + path
    line = "stage_in prefix=" + value
    assert luas.ask("parse", line) == told(lambda: directive.parse(line), ask_words(line))


def test_utf8(luas: Luas) -> None:
    """What is UTF-8 for Python is UTF-8 for Lua: each first byte, the edges of the second, too few and too many."""
    for first, second, others in product(range(0x80, 0x100), b"\x7e\x80\x8f\x90\x9f\xa0\xbf\xc0", range(4)):
        data = b"/%" + bytes([first, second]) + b"\xbf" * others
        line = "stage_in prefix=" + directive.encode(data.decode("utf-8", "surrogateescape"))
        assert luas.ask("parse", line) == told(lambda line=line: directive.parse(line), ask_words(line))


@examples(30)
@given(LONG)
def test_long_prefixes(luas: Luas, prefix: str) -> None:
    """Length is counted in characters on both sides."""
    line = "stage_in prefix=" + directive.encode(prefix)
    assert luas.ask("parse", line) == told(lambda: directive.parse(line), ask_words(line))


@given(st.dictionaries(st.sampled_from(directive.OPTIONS), VALUES | LONG | st.just("/x" * 2049), max_size=5))
@example({"import": "/a,/b c,", "release": "yes"})
@example({"import": "/a", "export": "/b", "release": "yes", "fs": "x"})
@example({"import": "/a", "export": "/b", "refresh": "yes", "conflict": "skip"})
@example({"export": "/b", "refresh": "yes"})
def test_options(luas: Luas, options: dict[str, str]) -> None:
    """Options become the same lines, or are refused in the same words."""
    asked = luas.ask("options", *(text for pair in options.items() for text in pair))
    assert asked == told(lambda: directive.lines_from_options(options), lambda lines: ["list", *lines])


GRANTS = st.lists(
    st.builds(
        Grant,
        st.sampled_from(["*", "scratch", "other"]),
        st.one_of(st.none(), st.frozensets(st.sampled_from([1, 10, 61001]), max_size=2)),
        st.lists(st.sampled_from(["/", "/a/", "/a/b/", "/é x/", "/c/"]), max_size=3).map(tuple),
        st.lists(st.sampled_from(["/a/", "/jobs/", "/c/"]), max_size=3).map(tuple),
    ),
    max_size=5,
)
PREFIXES = st.sampled_from(["/a", "/a/", "/a/b/c", "/jobs/x", "/é x/y", "/c/", "/"])
ASKS = st.builds(Ask, st.sampled_from(Direction), st.lists(PREFIXES, min_size=1, max_size=3, unique=True).map(tuple))


@given(ASKS, st.sampled_from(["scratch", "other"]), st.sampled_from([1, 10, 61001]), GRANTS)
def test_policy(luas: Luas, ask: Ask, fs_name: str, uid: int, grants: list[Grant]) -> None:
    """The early check and the daemon's agree, through the site file's lines."""
    lines = policy.site_lines(grants, ask.direction)
    asked = luas.ask("check", directive.render(ask), fs_name, str(uid), *lines)
    granted = [
        Grant(fs, None if who == "*" else frozenset({int(who)}), (prefix,), (prefix,))
        for fs, who, prefix in (line.split(" ", 2) for line in lines)
    ]
    expected = told(lambda: policy.check(ask, fs_name, uid, granted), lambda _: ["", ""])[1:]
    assert asked == expected
    assert bool(expected[0]) == bool(told(lambda: policy.check(ask, fs_name, uid, grants), lambda _: ["", ""])[1])


@given(
    st.sampled_from(["", "scratch", "other", "nope"]), st.lists(st.sampled_from(["scratch", "other", "x"]), max_size=5)
)
def test_file_systems(luas: Luas, asked: str, names: list[str]) -> None:
    """The same file system is meant, or refused in the same words."""
    name, problem = luas.ask("choose", asked, *names)
    expected = told(lambda: policy.choose_file_system(asked, names), lambda chosen: [chosen])
    assert (["refused", problem] if problem else [name]) == expected


@given(st.sampled_from(["lustre", "two"]), st.sampled_from(["lustre", "two", "x-y"]))
def test_pools(luas: Luas, pool: str, fs_name: str) -> None:
    """A pool of another file system is refused in the same words."""
    line = f"stage_in prefix=/a/ capacity=1GiB pool={pool}"
    expected = told(lambda: policy.check_pool(directive.parse(line), fs_name), lambda _: ["", ""])[1]
    assert luas.ask("check_pool", line, fs_name) == [expected]


@given(TEXTS)
def test_texts(luas: Luas, text: str) -> None:
    """Quoting, escaping and encoding are the same, byte by byte."""
    assert luas.ask("quote", text) == [quote(text)]
    assert luas.ask("escape", text) == [wire.escape(text)]
    assert luas.ask("unescape", text) == [wire.unescape(text)]
    assert luas.ask("encode", text) == [directive.encode(text)]


@given(st.lists(TEXTS, min_size=1, max_size=6))
def test_lists(luas: Luas, texts: list[str]) -> None:
    """Lists of names are cut alike."""
    assert luas.ask("quote_list", *texts) == [quote_list(texts)]


SCRIPTS = st.lists(
    st.sampled_from(
        ["#", "#AMLFS", "#AMLFS ", "#AMLFS_X", "#x", "\n", "\n", "\\\n", " ", "\t", "\r", "\v", "stage_in", "x"]
    ),
    max_size=12,
).map("".join)


@given(st.one_of(SCRIPTS, TEXTS))
@example("#AMLFS a \\\n#AMLFS   b\n#AMLFS c")
@example("#AMLFS a\\\n\n#AMLFS b\\\n#x\n#AMLFS c")
def test_directives_of_a_script(luas: Luas, text: str) -> None:
    """The daemon finds in the queue what the hooks will find in the script (salloc's and srun's burst_buffer)."""
    assert luas.ask("scan", "#!/bin/bash\n" + text) == ["list", *directive_lines(text, batch=False)]


PAIRS = st.lists(st.tuples(st.text("abc_", min_size=1, max_size=5), TEXTS), max_size=5)


@given(PAIRS)
def test_wire(luas: Luas, pairs: list[tuple[str, str]]) -> None:
    """What one side writes the other reads, and the bytes are the same."""
    data = wire.dump("board", pairs).decode("ascii")
    assert luas.ask("dump", "board", *(text for pair in pairs for text in pair)) == [data]
    by_key = [text for key in sorted(dict(pairs)) for name, value in pairs if name == key for text in (name, value)]
    assert luas.ask("load", "board", data) == ["file", *by_key]


@pytest.mark.parametrize(
    "data",
    [
        "",
        "amlfs-board 1\n",
        "amlfs-board 1\nend=1",
        "amlfs-board 2\nend=1\n",
        "amlfs-site 1\nend=1\n",
        "amlfs-board 1\na=1\n",
        "amlfs-board 1\nA=1\nend=1\n",
        "amlfs-board 1\n\nend=1\n",
        "amlfs-board 1\na=" + "x" * wire.MAX_BYTES + "\nend=1\n",
    ],
)
def test_wire_refuses(luas: Luas, data: str) -> None:
    """What Python takes for no board, Lua does not read either."""
    with pytest.raises(UserError):
        list(wire.load("board", data.encode()))
    assert luas.ask("load", "board", data) == ["refused"]
