"""Directive lines say what they say, and nothing else is taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_amlfs.domain.ask import Ask, Conflict, Direction, ExportOn, Hydrate
from slurm_amlfs.domain.directive import (
    CAPACITY_END_BYTES,
    MOST_ERRORS,
    encode,
    lines_from_options,
    parse,
    parse_all,
    render,
)
from slurm_amlfs.errors import UserError

SEGMENTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1, max_size=12
).filter(lambda segment: segment not in {".", ".."})
PREFIXES = st.builds(
    lambda segments, slash: "/" + "/".join(segments) + slash,
    st.lists(SEGMENTS, min_size=1, max_size=5),
    st.sampled_from(["", "/"]),
) | st.sampled_from(["/", "/b64:x", "/capacity=1", "/pool=x", "/%j", "/a,b"])
FILE_SYSTEMS = st.one_of(st.just(""), SEGMENTS, st.just("b64:x"))
RELEASES = st.sampled_from([None, True, False])
MANY_PREFIXES = st.lists(PREFIXES, min_size=1, max_size=5, unique=True).map(tuple)
ASKS = st.one_of(
    st.builds(
        Ask,
        direction=st.just(Direction.IN),
        prefixes=MANY_PREFIXES,
        fs=FILE_SYSTEMS,
        conflict=st.sampled_from(Conflict),
        max_errors=st.integers(-1, MOST_ERRORS),
        hydrate=st.sampled_from(Hydrate),
        release=RELEASES,
        refresh=st.booleans(),
    ),
    st.builds(
        Ask,
        direction=st.just(Direction.IN),
        prefixes=MANY_PREFIXES,
        capacity_bytes=st.integers(1, CAPACITY_END_BYTES - 1),
        pool=st.sampled_from(["lustre", "b"]),
    ),
    st.builds(
        Ask,
        direction=st.just(Direction.OUT),
        prefixes=MANY_PREFIXES,
        fs=FILE_SYSTEMS,
        on=st.sampled_from(ExportOn),
        release=RELEASES,
    ),
)


def refusal(line: str) -> str:
    with pytest.raises(UserError) as refused:
        parse(line)
    return refused.value.message


def test_every_word_of_stage_in() -> None:
    """A line with each word is read word by word."""
    line = "stage_in prefix=/a/ prefix=b64:L2IgYw fs=scratch conflict=overwrite-always max_errors=-1"
    assert parse(line + " hydrate=none release=yes") == Ask(
        Direction.IN, ("/a/", "/b c"), "scratch", Conflict.OVERWRITE_ALWAYS, -1, Hydrate.NONE, release=True
    )


@pytest.mark.parametrize(
    ("words", "conflict", "refresh"),
    [
        ("", Conflict.SKIP, False),
        (" refresh=no", Conflict.SKIP, False),
        (" refresh=yes", Conflict.OVERWRITE_ALWAYS, True),
        (" refresh=yes conflict=skip", Conflict.SKIP, True),
        (" conflict=fail refresh=yes", Conflict.FAIL, True),
        (" conflict=overwrite-always", Conflict.OVERWRITE_ALWAYS, False),
    ],
)
def test_refresh_overwrites_unless_the_line_says_what_else(words: str, conflict: Conflict, *, refresh: bool) -> None:
    """Only overwrite-always makes changed blobs appear, so it is meant where no conflict word stands."""
    ask = parse(f"stage_in prefix=/a/{words}")

    assert (ask.conflict, ask.refresh) == (conflict, refresh)


def test_every_word_of_stage_out() -> None:
    """Blanks and tabs part words, and a prefix given twice counts once."""
    assert parse(" stage_out\tprefix=/o/  prefix=/o/ on=failure release=no ") == Ask(
        Direction.OUT, ("/o/",), on=ExportOn.FAILURE, release=False
    )


@given(ASKS)
def test_render_reads_back(ask: Ask) -> None:
    """What is written is read as it was, in characters that Slurm does not look at."""
    line = render(ask)
    assert parse(line) == ask
    assert line.isascii()
    assert not any(trap in line for trap in ["%", "\\", "\n"])
    assert [line.count(word) for word in ("capacity=", "pool=")] == [bool(ask.pool)] * 2


@pytest.mark.parametrize(
    ("line", "wrong", "mend"),
    [
        ("", 'unknown directive ""', "stage_in or stage_out"),
        ("STAGE_IN prefix=/a", 'unknown directive "STAGE_IN"', "stage_in or stage_out"),
        ("stage_in", "without a prefix", "add prefix="),
        ("stage_in prefix=/a on=always", 'does not know "on=always"', "its words are"),
        ("stage_in prefix=/a tar", 'does not know "tar"', "its words are"),
        ("stage_out prefix=/a to=c/p", "to= is not available in this release", "leave it out"),
        ("stage_out prefix=/a pack=tar", "pack= is not available in this release", "leave it out"),
        ("stage_in prefix=/a fs=x fs=x", "fs= is given twice", "give it once"),
        ("stage_in prefix=", "prefix= has no value", "give one"),
        ("stage_in prefix=/a$(x)", "more than a directive can carry", "base64url"),
        ("stage_in prefix=/capacity=3", "more than a directive can carry", "base64url"),
        ("stage_in prefix=b64:L2E=", "is not base64url", "encode it anew"),
        ("stage_in prefix=b64:L2E*", "more than a directive can carry", "base64url"),
        ("stage_in prefix=b64:_w", "is not base64url of UTF-8", "encode it anew"),
        ("stage_in prefix=/a conflict=maybe", 'conflict cannot be "maybe"', "fail, skip, overwrite-if-dirty"),
        ("stage_in prefix=/a max_errors=-2", "max_errors cannot be", "-1 for no limit"),
        ("stage_in prefix=/a max_errors=2147483648", "max_errors cannot be", "-1 for no limit"),
        ("stage_in prefix=/a refresh=maybe", "refresh cannot be", "yes, no"),
        ("stage_out prefix=/a refresh=yes", 'does not know "refresh=yes"', "its words are"),
        ("stage_in prefix=/a release=maybe", "release cannot be", "yes, no"),
        ("stage_in prefix=/a capacity=5GiB", "capacity= names no pool", "add pool="),
        ("stage_in prefix=/a pool=lustre", "pool= says nothing by itself", "add capacity="),
        ("stage_in prefix=/a capacity=5GiB pool=b64:YQ", 'pool cannot be "b64:YQ"', "the name of"),
        ("stage_in prefix=/a capacity=5GiB pool=a capacity=5GiB", "capacity= is given twice", "give it once"),
        ("stage_in prefix=/a capacity=2N pool=a", 'capacity cannot be "2N"', "500GiB"),
        ("stage_in prefix=/a capacity=0 pool=a", 'capacity cannot be "0"', "below 8 PiB"),
        ("stage_in prefix=/a capacity=9PiB pool=a", 'capacity cannot be "9PiB"', "below 8 PiB"),
        ("stage_in prefix=/a capacity=5b pool=a", 'capacity cannot be "5b"', "500GiB"),
        ("stage_in prefix=/a capacity=5GiB\tpool=a", "a tab in a line with capacity=", "write blanks"),
        ("stage_out prefix=/a capacity=5GiB pool=a", 'does not know "capacity=5GiB"', "its words are"),
    ],
)
def test_refusals_name_the_mend(line: str, wrong: str, mend: str) -> None:
    """Each refusal says what is wrong and how to mend it, in that order."""
    what, _, how = refusal(line).partition("; ")
    assert wrong in what
    assert mend in how


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("1", 1), ("007", 7), ("3k", 3 << 10), ("3KiB", 3 << 10), ("3kb", 3000), ("2M", 2 << 20), ("2mb", 2 * 10**6),
        ("10GiB", 10 << 30), ("10gb", 10**10), ("4T", 4 << 40), ("4TB", 4 * 10**12), ("7PiB", 7 << 50),
        ("9pb", 9 * 10**15), ("9007199254740991", 2**53 - 1),
    ],
)  # fmt: skip
def test_sizes_are_read_as_slurm_reads_them(text: str, size_bytes: int) -> None:
    """bb_get_size_num's suffixes, in any case: K and KiB of 1024, KB of 1000."""
    assert parse(f"stage_in prefix=/a/ capacity={text} pool=lustre") == Ask(
        Direction.IN, ("/a/",), capacity_bytes=size_bytes, pool="lustre"
    )


def test_a_job_has_capacity_of_one_pool() -> None:
    """Slurm would charge the last pool with the sum of all; several lines of one pool add up as they should."""
    line = "stage_in prefix=/a/ capacity=1GiB pool="
    assert len(parse_all([line + "one", "stage_in prefix=/b/ fs=two", line + "one"])) == 3
    with pytest.raises(UserError, match='pool "one" and of pool "two" in one job'):
        parse_all([line + "one", "stage_in prefix=/b/", line + "two"])


@given(st.text(max_size=300))
def test_a_refusal_is_one_printable_line(line: str) -> None:
    """No text of a user's changes the shape of a message."""
    try:
        parse(line)
    except UserError as error:
        message = error.message
    else:
        return
    assert message.isascii()
    assert message.isprintable()
    assert message.startswith("amlfs: ")
    assert "; " in message


def test_options_become_lines() -> None:
    """Options are put on the lines of the direction that they belong to."""
    options = {
        "import": "/a/,/b c/",
        "export": "/jobs/x/",
        "fs": "scratch",
        "max_errors": "0",
        "export_on": "success",
        "release": "no",
    }
    assert lines_from_options(options) == (
        "stage_in prefix=/a/ prefix=b64:L2IgYy8 fs=scratch max_errors=0",
        "stage_out prefix=/jobs/x/ fs=scratch on=success release=no",
    )


@given(MANY_PREFIXES.filter(lambda prefixes: not any("," in prefix for prefix in prefixes)))
def test_options_lose_no_prefix(prefixes: tuple[str, ...]) -> None:
    """Whatever an option's prefixes are made of, the line means them."""
    (line,) = lines_from_options({"import": ",".join(prefixes), "release": "yes"})
    assert parse(line) == Ask(Direction.IN, prefixes, release=True)


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"fs": "x"}, "--amlfs-fs says nothing by itself; add --amlfs-import=/PATH/ or --amlfs-export=/PATH/"),
        ({"export": "/a", "max_errors": "1"}, "--amlfs-max-errors says nothing by itself; add --amlfs-import=/PATH/"),
        ({"export": "/a", "refresh": "yes"}, "--amlfs-refresh says nothing by itself; add --amlfs-import=/PATH/"),
        ({"import": "/a", "pack": "tar"}, "--amlfs-pack says nothing by itself; add --amlfs-export=/PATH/"),
        ({"import": "x" * 9216}, "--amlfs-import has 9216 bytes; at most 4096"),
        ({"import": "/a\udcff"}, "is not UTF-8 text"),
        ({"import": ""}, "prefix= has no value"),
        ({"import": "/a,"}, "prefix= has no value"),
        ({"export": "/a\n#AMLFS stage_in prefix=/b"}, "control character"),
    ],
)
def test_options_refused(options: dict[str, str], wrong: str) -> None:
    """Options that say nothing, too much, or something else are refused."""
    with pytest.raises(UserError) as refused:
        lines_from_options(options)
    assert wrong in refused.value.message


def test_no_options_no_lines() -> None:
    """A job without our options gets no line."""
    assert lines_from_options({}) == ()


def test_encode_keeps_what_is_plain() -> None:
    """A plain value stays readable."""
    assert encode("/A-z/0_9.+@:~=,") == "/A-z/0_9.+@:~=,"
