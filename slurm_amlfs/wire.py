"""The inbox and board formats, shared with the Lua side (etc/amlfs.lua). Pure.

One format for all: a first line `amlfs-KIND 1`, then `key=value` lines, then `end=1`, by which a reader knows that
the file is whole. A key is `[a-z_]+` and may be repeated where the record says so. In a value every byte outside
printable ASCII, and `%`, is `%XX`, so no text of a user's can make a second line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from slurm_amlfs.errors import UserError
from slurm_amlfs.escaping import escape, unescape

MAX_BYTES = 64 * 1024
"""Longest file that a reader takes: eight times Slurm's own limit on directives (8 KiB)."""


class RequestKind(StrEnum):
    """What a hook or a user asks of the daemon. The first six are Slurm's own words for its burst buffer hooks."""

    SETUP = "setup"
    DATA_IN = "data_in"
    PRE_RUN = "pre_run"
    POST_RUN = "post_run"
    DATA_OUT = "data_out"
    TEARDOWN = "teardown"
    ENDED = "ended"
    RETRY = "retry"
    CANCEL = "cancel"
    PIN = "pin"
    UNPIN = "unpin"
    EVICT = "evict"


OF_LEASES = frozenset({RequestKind.PIN, RequestKind.UNPIN, RequestKind.EVICT})
"""Requests that name a file system and a prefix, and no job."""


@dataclass(frozen=True, slots=True)
class Request:
    """One file of the inbox.

    `sender_uid` is not in the file: it is the file's owner, which the reader fills in. `uid` and `gid` are the job's
    as the hook knows them (-1 where Slurm did not tell it). `directives` are the `#AMLFS` lines without `#AMLFS `.
    `token` names this ask, so that its hook can tell an answer to it from an older one; what EpilogSlurmctld writes
    names the run, "run-N", and only there is `absent`: nodes of the run were not up at its end, so that it never began.
    `fs` and `prefix` are only in requests about leases, which have no job (0) and nothing else.
    """

    kind: RequestKind
    job_id: int
    token: str = ""
    uid: int = -1
    gid: int = -1
    hurry: bool = False
    exit_code: int = -1
    directives: tuple[str, ...] = ()
    sender_uid: int = -1
    fs: str = ""
    prefix: str = ""
    absent: bool = False


class Answer(StrEnum):
    """What the hook that waits tells Slurm."""

    BUSY = "busy"
    DONE = "done"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Board:
    """One job's board. Times are whole seconds since 1970 UTC, 0 for unknown; sizes are bytes.

    `token_in` and `token_out` name the asks that `answer_in` and `answer_out` belong to. `epoch` is the store's (see
    `Site`). `poll_seconds` is how soon a waiting hook need look again. `charge_bytes` are what stage-ins with
    capacity= take of Slurm's pool, 0 without any. `env` are NAME=value lines for the job, `directives` in hold mode its
    own, for EpilogSlurmctld. `timeline` are "EPOCH WORD" lines.
    """

    job_id: int
    uid: int
    epoch: str
    token_in: str = ""
    answer_in: Answer = Answer.BUSY
    phase_in: str = ""
    token_out: str = ""
    answer_out: Answer = Answer.BUSY
    phase_out: str = ""
    message: str = ""
    files_done: int = 0
    files_total: int = 0
    bytes_done: int = 0
    bytes_total: int = 0
    eta: int = 0
    updated: int = 0
    poll_seconds: int = 1
    env: tuple[str, ...] = ()
    timeline: tuple[str, ...] = ()
    charge_bytes: int = 0
    directives: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Site:
    """What Lua may know of the configuration.

    `epoch` changes when the daemon's database is new, so that hooks whose asks it no longer knows ask again.
    `file_systems`: "NAME MOUNT", the default first. `mode` is "hold" where jobs wait in Slurm's hold, else
    "burst-buffer". `import_grants`, `export_grants`: "FS UID PREFIX", UID may be "*".
    """

    epoch: str
    file_systems: tuple[str, ...] = ()
    import_grants: tuple[str, ...] = ()
    export_grants: tuple[str, ...] = ()
    mode: str = "burst-buffer"


Pairs = Iterable[tuple[str, str]]


def dump(kind: str, pairs: Pairs) -> bytes:
    """Write one file's bytes."""
    body = "".join(f"{key}={escape(value)}\n" for key, value in pairs)
    return f"amlfs-{kind} 1\n{body}end=1\n".encode("ascii")


def load(kind: str, data: bytes) -> Iterator[tuple[str, str]]:
    """Read one file's bytes.

    Raises:
        UserError: too long, cut off, of another kind, or not of this format.
    """
    if len(data) > MAX_BYTES:
        raise UserError(f"a file of {len(data)} bytes is no {kind}; at most {MAX_BYTES} are taken")
    lines = data.decode("ascii", "replace").split("\n")
    if lines[0] != f"amlfs-{kind} 1":
        raise UserError(f"not an amlfs {kind} of format 1; it begins with {lines[0][:40]!r}")
    if lines[-2:] != ["end=1", ""]:
        raise UserError(f"the amlfs {kind} is cut off; it has to end with end=1")
    for line in lines[1:-2]:
        key, equals, value = line.partition("=")
        if not (equals and key.isascii() and key.replace("_", "a").isalpha() and key == key.lower()):
            raise UserError(f"not a key=value line of an amlfs {kind}: {line[:40]!r}")
        yield key, unescape(value)


def dump_request(request: Request) -> bytes:
    """Write a request as the hooks do."""
    if request.kind in OF_LEASES:
        return dump("request", [("kind", request.kind.value), ("fs", request.fs), ("prefix", request.prefix)])
    return dump(
        "request",
        [
            ("kind", request.kind.value),
            ("job_id", str(request.job_id)),
            ("token", request.token),
            ("uid", str(request.uid)),
            ("gid", str(request.gid)),
            ("hurry", "true" if request.hurry else "false"),
            ("exit_code", str(request.exit_code)),
            *([("absent", "true")] if request.absent else []),
            *(("directive", line) for line in request.directives),
        ],
    )


def load_request(data: bytes, sender_uid: int) -> Request:
    """Read a request. Unknown keys are ignored, so that an older daemon understands a newer hook.

    Raises:
        UserError: malformed, or a value is not of its type.
    """
    one, many = _collect("request", data)
    try:
        if RequestKind(one["kind"]) in OF_LEASES:
            return Request(RequestKind(one["kind"]), 0, fs=one["fs"], prefix=one["prefix"], sender_uid=sender_uid)
        return Request(
            kind=RequestKind(one["kind"]),
            job_id=int(one["job_id"]),
            token=one.get("token", ""),
            uid=int(one.get("uid", "-1")),
            gid=int(one.get("gid", "-1")),
            hurry=one.get("hurry") == "true",
            exit_code=int(one.get("exit_code", "-1")),
            directives=tuple(many.get("directive", ())),
            sender_uid=sender_uid,
            absent=one.get("absent") == "true",
        )
    except (KeyError, ValueError) as error:
        raise UserError(f"a request with a bad or missing value: {error}") from error


def dump_board(board: Board) -> bytes:
    """Write a board."""
    return dump(
        "board",
        [
            ("job_id", str(board.job_id)),
            ("uid", str(board.uid)),
            ("epoch", board.epoch),
            ("token_in", board.token_in),
            ("answer_in", board.answer_in.value),
            ("phase_in", board.phase_in),
            ("token_out", board.token_out),
            ("answer_out", board.answer_out.value),
            ("phase_out", board.phase_out),
            ("message", board.message),
            ("files_done", str(board.files_done)),
            ("files_total", str(board.files_total)),
            ("bytes_done", str(board.bytes_done)),
            ("bytes_total", str(board.bytes_total)),
            ("eta", str(board.eta)),
            ("updated", str(board.updated)),
            ("poll_seconds", str(board.poll_seconds)),
            ("charge_bytes", str(board.charge_bytes)),
            *(("env", line) for line in board.env),
            *(("directive", line) for line in board.directives),
            *(("timeline", line) for line in board.timeline),
        ],
    )


def load_board(data: bytes) -> Board:
    """Read a board.

    Raises:
        UserError: malformed, or a value is not of its type.
    """
    one, many = _collect("board", data)
    try:
        return Board(
            job_id=int(one["job_id"]),
            uid=int(one["uid"]),
            epoch=one["epoch"],
            token_in=one.get("token_in", ""),
            answer_in=Answer(one["answer_in"]),
            phase_in=one.get("phase_in", ""),
            token_out=one.get("token_out", ""),
            answer_out=Answer(one["answer_out"]),
            phase_out=one.get("phase_out", ""),
            message=one.get("message", ""),
            files_done=int(one.get("files_done", "0")),
            files_total=int(one.get("files_total", "0")),
            bytes_done=int(one.get("bytes_done", "0")),
            bytes_total=int(one.get("bytes_total", "0")),
            eta=int(one.get("eta", "0")),
            updated=int(one.get("updated", "0")),
            poll_seconds=int(one.get("poll_seconds", "1")),
            charge_bytes=int(one.get("charge_bytes", "0")),
            env=tuple(many.get("env", ())),
            directives=tuple(many.get("directive", ())),
            timeline=tuple(many.get("timeline", ())),
        )
    except (KeyError, ValueError) as error:
        raise UserError(f"a board with a bad or missing value: {error}") from error


def dump_site(site: Site) -> bytes:
    """Write the site file."""
    return dump(
        "site",
        [
            ("epoch", site.epoch),
            ("mode", site.mode),
            *(("fs", line) for line in site.file_systems),
            *(("import_grant", line) for line in site.import_grants),
            *(("export_grant", line) for line in site.export_grants),
        ],
    )


def load_site(data: bytes) -> Site:
    """Read the site file.

    Raises:
        UserError: malformed.
    """
    one, many = _collect("site", data)
    return Site(
        epoch=one.get("epoch", ""),
        file_systems=tuple(many.get("fs", ())),
        import_grants=tuple(many.get("import_grant", ())),
        export_grants=tuple(many.get("export_grant", ())),
        mode=one.get("mode", "burst-buffer"),
    )


def _collect(kind: str, data: bytes) -> tuple[dict[str, str], dict[str, list[str]]]:
    one: dict[str, str] = {}
    many: dict[str, list[str]] = {}
    for key, value in load(kind, data):
        one[key] = value
        many.setdefault(key, []).append(value)
    return one, many
