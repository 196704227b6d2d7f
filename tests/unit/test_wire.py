"""The files between hooks and daemon keep every text, and a file that is not whole is not read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_amlfs import wire
from slurm_amlfs.errors import UserError
from slurm_amlfs.wire import OF_LEASES, Answer, Board, Request, RequestKind, Site

TEXTS = st.binary(max_size=40).map(lambda data: data.decode("utf-8", "surrogateescape"))
NUMBERS = st.integers(-1, 2**63)
LINES = st.lists(TEXTS, max_size=3).map(tuple)
OF_JOBS = sorted(set(RequestKind) - OF_LEASES)
REQUESTS = st.builds(
    Request, st.sampled_from(OF_JOBS), NUMBERS, TEXTS, NUMBERS, NUMBERS, st.booleans(), NUMBERS, LINES, NUMBERS
) | st.builds(
    lambda kind, fs, prefix, uid: Request(kind, 0, fs=fs, prefix=prefix, sender_uid=uid),
    st.sampled_from(sorted(OF_LEASES)), TEXTS, TEXTS, NUMBERS,
)  # fmt: skip
BOARDS = st.builds(
    Board, NUMBERS, NUMBERS, TEXTS, TEXTS, st.sampled_from(Answer), TEXTS, TEXTS, st.sampled_from(Answer), TEXTS, TEXTS,
    *[NUMBERS] * 7, LINES, LINES
)  # fmt: skip
SITES = st.builds(Site, TEXTS, LINES, LINES, LINES)


@given(REQUESTS)
def test_a_request_reads_back(request: Request) -> None:
    """Every field survives, whatever text it holds; the sender comes from the file's owner."""
    assert wire.load_request(wire.dump_request(request), request.sender_uid) == request


@given(BOARDS)
def test_a_board_reads_back(board: Board) -> None:
    """Every field survives, whatever text it holds."""
    assert wire.load_board(wire.dump_board(board)) == board


@given(SITES)
def test_a_site_reads_back(site: Site) -> None:
    """Every field survives, whatever text it holds."""
    assert wire.load_site(wire.dump_site(site)) == site


@given(TEXTS)
def test_escape_is_one_printable_line(text: str) -> None:
    """No text makes a second line, and it reads back."""
    line = wire.escape(text)
    assert line.isascii()
    assert line.isprintable() or not line
    assert wire.unescape(line) == text


def test_a_percent_that_is_no_escape_stands_for_itself() -> None:
    """A value written by hand is read kindly."""
    assert wire.unescape("100%") == "100%"
    assert wire.unescape("%4x%%41") == "%4x%A"


@given(REQUESTS, st.data())
def test_a_file_that_is_cut_off_is_refused(request: Request, data: st.DataObject) -> None:
    """A reader never takes half a file for a whole one."""
    whole = wire.dump_request(request)
    with pytest.raises(UserError):
        wire.load_request(whole[: data.draw(st.integers(0, len(whole) - 1))], 0)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"amlfs-request 2\nend=1\n", "format 1"),
        (b"amlfs-board 1\nend=1\n", "not an amlfs request"),
        (b"amlfs-request 1\nKind=setup\nend=1\n", "key=value"),
        (b"amlfs-request 1\nnothing\nend=1\n", "key=value"),
        (b"amlfs-request 1\nkind=setup\nend=1\n", "bad or missing value"),
        (b"amlfs-request 1\nkind=other\njob_id=1\nend=1\n", "bad or missing value"),
        (b"amlfs-request 1\nkind=setup\njob_id=x\nend=1\n", "bad or missing value"),
        (b"amlfs-request 1\nkind=setup\njob_id=1\n" + b"x" * wire.MAX_BYTES + b"=\nend=1\n", "at most"),
    ],
)
def test_a_malformed_request_is_refused(data: bytes, why: str) -> None:
    """What is no request is refused, and why is said."""
    with pytest.raises(UserError, match=why):
        wire.load_request(data, 0)


def test_unknown_keys_are_ignored() -> None:
    """An older daemon understands a newer hook."""
    data = b"amlfs-request 1\nkind=setup\njob_id=7\nfuture=x\nend=1\n"
    assert wire.load_request(data, 3) == Request(RequestKind.SETUP, 7, sender_uid=3)


def test_a_malformed_board_is_refused() -> None:
    """A board with a bad value is refused, not guessed at."""
    with pytest.raises(UserError, match="bad or missing value"):
        wire.load_board(b"amlfs-board 1\njob_id=1\nuid=x\nend=1\n")
