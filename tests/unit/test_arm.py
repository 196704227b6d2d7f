"""The ARM adapter against answers as the service gave them (recorded by azure-powershell and azure-cli-extensions)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

import pytest

from slurm_amlfs.adapters.arm import ArmFileSystem
from slurm_amlfs.domain.ask import Conflict
from slurm_amlfs.domain.view import ArchiveState, ImportState
from slurm_amlfs.errors import AmlfsError, InvariantError, PermanentError, TemporaryError, ThrottledError
from tests.fakes.counting import counted
from tests.fakes.http_server import Answer, ScriptedServer, serving

SUBSCRIPTION = "0b2d2d5c-0000-4000-8000-000000000001"
CORRELATION = {"x-ms-correlation-request-id": "c0ffee00-0000-4000-8000-000000000001"}
FILE_SYSTEM = {
    "name": "amlfs1",
    "location": "canadacentral",
    "properties": {
        "provisioningState": "Succeeded",
        "health": {"state": "Available", "statusDescription": "The cluster is available"},
        "hsm": {
            "settings": {"container": "/subscriptions/x/containers/data"},
            "archiveStatus": [
                {
                    "filesystemPath": "/jobs/",
                    "status": {
                        "state": "Completed",
                        "lastCompletionTime": "2026-05-12T03:56:21.7687379+00:00",
                        "lastStartedTime": "2026-05-12T03:55:23.032552+00:00",
                        "percentComplete": 100,
                    },
                }
            ],
        },
    },
}


def job(name: str, import_state: str, **status: object) -> dict[str, Any]:
    """Write an import job as the service does, its resource group upper-cased as in lists."""
    return {
        "name": name,
        "id": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/HPC/x/amlFilesystems/amlfs1/importJobs/{name}",
        "location": "canadacentral",
        "properties": {
            "provisioningState": "Succeeded",
            "importPrefixes": ["/path1", "/path2"],
            "conflictResolutionMode": "Fail",
            "maximumErrors": 0,
            "adminStatus": "Active",
            "status": {"state": import_state, **status},
        },
    }


def refusal(status: int, code: str, **headers: str) -> Answer:
    """Refuse as ARM does."""
    body = {"error": {"code": code, "message": "text that nothing may depend on"}}
    return Answer(status, body, {**CORRELATION, **{name.replace("_", "-"): value for name, value in headers.items()}})


def no_credential() -> NoReturn:
    """Fail: http on loopback needs none."""
    raise AssertionError


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with serving() as server:
        yield server


@pytest.fixture
def arm(server: ScriptedServer) -> ArmFileSystem:
    return ArmFileSystem(server.url, SUBSCRIPTION, "hpc", "amlfs1", no_credential, repeats=counted())


def test_file_system(server: ScriptedServer, arm: ArmFileSystem) -> None:
    """Health, archive status and container are read, and the correlation id is kept."""
    server.answers = [Answer(200, FILE_SYSTEM, CORRELATION)]
    view = arm.file_system()
    assert (view.health, view.health_text, view.provisioning_state) == (
        "Available",
        "The cluster is available",
        "Succeeded",
    )
    assert view.container.endswith("/data")
    assert view.correlation_id == CORRELATION["x-ms-correlation-request-id"]
    [archive] = view.archives
    assert (archive.path, archive.archive_state, archive.percent) == ("/jobs/", ArchiveState.COMPLETED, 100)
    assert archive.started == datetime(2026, 5, 12, 3, 55, 23, 32552, tzinfo=UTC)
    assert "authorization" not in {name.lower() for name in server.asked[0].headers}


@pytest.mark.parametrize(
    "resource", [{}, {"properties": None}, {"properties": {"hsm": None, "health": None}}, {"properties": {"hsm": {}}}]
)
def test_what_is_missing_is_unknown(server: ScriptedServer, arm: ArmFileSystem, resource: dict[str, Any]) -> None:
    """Fields that ARM leaves out are no error."""
    server.answers = [Answer(200, resource)]
    view = arm.file_system()
    assert (view.health, view.archives) == ("", ())


def test_imports_of_all_pages(server: ScriptedServer, arm: ArmFileSystem) -> None:
    """The list goes on behind nextLink; a state that is new to us is unknown, a job half told is told."""
    started = "2025-09-05T20:36:38.8295295Z"
    first = {
        "value": [job("one", "InProgress", lastStartedTime=started, totalBlobsImported=7, totalErrors=None)],
        "nextLink": f"{server.url}/next?page=2",
    }
    rest = {"value": [job("two", "Pondering", lastStartedTime="soon"), {"id": "/x/importJobs/three"}]}
    server.answers = [Answer(200, first), Answer(200, rest)]
    one, two, three = arm.imports()
    assert (one.name, one.import_state, one.prefixes) == ("one", ImportState.IN_PROGRESS, ("/path1", "/path2"))
    assert (one.blobs_imported, one.errors, one.completed) == (7, 0, None)
    assert one.started == datetime(2025, 9, 5, 20, 36, 38, 829529, tzinfo=UTC)
    assert (two.import_state, two.started) == (ImportState.UNKNOWN, None)
    assert (three.name, three.import_state, three.prefixes) == ("three", ImportState.UNKNOWN, ())
    assert server.asked[1].line.startswith("GET /next?page=2")


def test_auto_jobs_that_hold_the_slot(server: ScriptedServer, arm: ArmFileSystem) -> None:
    """Only a job that is off holds nothing; one in a state that we do not know holds."""
    exports = {"value": [job("nightly", "InProgress"), job("old", "Disabled")]}
    imports = {"value": [job("hourly", "Wobbling"), job("broken", "Failed")]}
    server.answers = [Answer(200, exports), Answer(200, imports)]
    assert arm.auto_jobs() == ("autoExport nightly", "autoImport hourly")


def test_create_import(server: ScriptedServer, arm: ArmFileSystem) -> None:
    """One PUT with the file system's own location, and nothing is polled."""
    operation = {"Azure-AsyncOperation": f"{server.url}/operation?t=1&c=2", **CORRELATION}
    server.answers = [Answer(200, FILE_SYSTEM), Answer(201, job("amlfs-7", "InProgress"), operation)]
    view = arm.create_import("amlfs-7", ["/a/", "/b"], Conflict.OVERWRITE_IF_DIRTY, 1000)
    assert (view.name, view.import_state) == ("amlfs-7", ImportState.IN_PROGRESS)
    assert view.correlation_id == CORRELATION["x-ms-correlation-request-id"]
    assert server.lines == ["GET /amlfs1", "PUT /amlfs1/importJobs/amlfs-7"]
    assert server.asked[1].body == {
        "location": "canadacentral",
        "properties": {
            "importPrefixes": ["/a/", "/b"],
            "conflictResolutionMode": "OverwriteIfDirty",
            "maximumErrors": 1000,
        },
    }


def test_location_is_read_once(server: ScriptedServer, arm: ArmFileSystem) -> None:
    """The second import needs one request."""
    server.answers = [Answer(200, FILE_SYSTEM), *[Answer(201, job("amlfs-7", "InProgress"))] * 2]
    for name in ("amlfs-7", "amlfs-8"):
        arm.create_import(name, ["/a/"], Conflict.SKIP, 0)
    assert server.lines[2:] == ["PUT /amlfs1/importJobs/amlfs-8"]


@pytest.mark.parametrize("name", ["", "a", "-ab", "ab-", "a/b", "a" * 81, "a b", "ab\n"])
def test_names_that_arm_cannot_have(arm: ArmFileSystem, name: str) -> None:
    """A name of another form is our fault, and nothing is sent."""
    with pytest.raises(InvariantError):
        arm.create_import(name, ["/"], Conflict.SKIP, 0)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (refusal(429, "TooManyRequests", Retry_After="17"), (ThrottledError, "TooManyRequests", 17)),
        (refusal(503, "ServerTimeout", Retry_After="5"), (TemporaryError, "ServerTimeout", 5)),
        (refusal(500, "InternalServerError"), (TemporaryError, "InternalServerError", 0)),
        (refusal(408, "Timeout"), (TemporaryError, "Timeout", 0)),
        (refusal(409, "Conflict"), (TemporaryError, "Conflict", 0)),
        (refusal(401, "ExpiredAuthenticationToken"), (TemporaryError, "ExpiredAuthenticationToken", 30)),
        (refusal(403, "AuthorizationFailed"), (TemporaryError, "AuthorizationFailed", 30)),
        (refusal(400, "InvalidParameter"), (PermanentError, "InvalidParameter", 0)),
        (refusal(404, "ResourceNotFound"), (PermanentError, "ResourceNotFound", 0)),
        (Answer(502, "<html>bad\ngateway</html>"), (TemporaryError, "", 0)),
    ],
)
def test_errors_by_status_and_code(
    server: ScriptedServer, arm: ArmFileSystem, answer: Answer, expected: tuple[type[AmlfsError], str, int]
) -> None:
    """Each status is one kind of error, tried once, with its code, its correlation id and what it asks to wait."""
    server.answers = [answer]
    with pytest.raises(AmlfsError) as caught:
        arm.archive("/jobs/")
    error = caught.value
    wait = getattr(error, "retry_after", timedelta(0)).total_seconds()
    assert (type(error), error.code, wait) == expected
    assert error.message.isprintable()
    assert "text that nothing" not in error.message
    assert error.correlation_id == answer.headers.get("x-ms-correlation-request-id", "")
    assert len(server.asked) == 1


def test_retry_after_as_a_date(server: ScriptedServer, arm: ArmFileSystem) -> None:
    """A date is set against the answer's own clock; one that is out of bounds is cut."""
    at = "Sun, 22 Nov 2026 20:46:42 GMT"
    later = {"Retry-After": "Sun, 22 Nov 2026 20:47:12 GMT", "Date": at}
    never = {"Retry-After": "Mon, 22 Nov 2027 20:47:12 GMT", "Date": at}
    for headers, expected in ((later, timedelta(seconds=30)), (never, timedelta(hours=1))):
        server.answers = [refusal(429, "TooManyRequests", **headers)]
        with pytest.raises(ThrottledError) as caught:
            arm.imports()
        assert caught.value.retry_after == expected


@pytest.mark.parametrize("body", ["", "<html>", '{"value": [', '"text"', "[]"])
def test_an_answer_that_makes_no_sense_is_temporary(server: ScriptedServer, arm: ArmFileSystem, body: str) -> None:
    """What a proxy on the way says in Azure's place is no verdict either."""
    kind = {"Content-Type": "application/json"}
    for call in (arm.file_system, arm.imports):
        server.answers = [Answer(200, body, kind)]
        with pytest.raises(TemporaryError):
            call()


def test_a_broken_connection_is_temporary(server: ScriptedServer, arm: ArmFileSystem) -> None:
    """No answer is no verdict; it is not tried again in here."""
    server.answers = [Answer(0)]
    with pytest.raises(TemporaryError, match="no usable answer"):
        arm.imports()
    assert len(server.asked) == 1


def test_cancel_import(server: ScriptedServer, arm: ArmFileSystem) -> None:
    """The wish is one PATCH."""
    server.answers = [Answer(202, "", {"Azure-AsyncOperation": f"{server.url}/operation"})]
    arm.cancel_import("amlfs-7")
    assert server.lines == ["PATCH /amlfs1/importJobs/amlfs-7"]
    assert server.asked[0].body == {"properties": {"adminStatus": "Cancel"}}


@pytest.mark.parametrize("then", [Answer(200, job("amlfs-7", "Completed")), refusal(404, "ResourceNotFound")])
@pytest.mark.parametrize("status", [400, 404, 409])
def test_cancel_of_what_is_over(server: ScriptedServer, arm: ArmFileSystem, status: int, then: Answer) -> None:
    """However a cancel of a finished or gone import is refused, it is success."""
    server.answers = [refusal(status, "Whatever"), then]
    arm.cancel_import("amlfs-7")
    assert server.lines[1:] == ["GET /amlfs1/importJobs/amlfs-7"]


def test_cancel_that_is_refused(server: ScriptedServer, arm: ArmFileSystem) -> None:
    """A cancel that a running import refuses is an error."""
    server.answers = [refusal(409, "Conflict"), Answer(200, job("amlfs-7", "InProgress"))]
    with pytest.raises(TemporaryError):
        arm.cancel_import("amlfs-7")


def test_delete_import(server: ScriptedServer, arm: ArmFileSystem) -> None:
    """Deleted, or gone already, is success; running is not."""
    server.answers = [Answer(202), Answer(204), refusal(404, "ResourceNotFound"), refusal(409, "Conflict")]
    for _ in range(3):
        arm.delete_import("amlfs-7")
    with pytest.raises(TemporaryError):
        arm.delete_import("amlfs-7")


def test_archive(server: ScriptedServer, arm: ArmFileSystem) -> None:
    """The path goes as it is; what comes back is only a correlation id."""
    server.answers = [Answer(200, "", CORRELATION)]
    assert arm.archive("/jobs/run 7/") == CORRELATION["x-ms-correlation-request-id"]
    assert server.lines == ["POST /amlfs1/archive"]
    assert server.asked[0].body == {"filesystemPath": "/jobs/run 7/"}


def test_cancel_archive(server: ScriptedServer, arm: ArmFileSystem) -> None:
    """Refused while nothing runs is success; refused while something runs is an error."""
    running = {
        "location": "x",
        "properties": {"hsm": {"archiveStatus": [{"filesystemPath": "/", "status": {"state": "InProgress"}}]}},
    }
    server.answers = [Answer(200), refusal(400, "Whatever"), Answer(200, FILE_SYSTEM)]
    arm.cancel_archive()
    arm.cancel_archive()
    server.answers = [refusal(409, "Conflict"), Answer(200, running)]
    with pytest.raises(TemporaryError):
        arm.cancel_archive()


@pytest.mark.parametrize("url", ["http://management.azure.com", "http://10.0.0.1:80", "ftp://127.0.0.1"])
def test_nothing_in_the_clear(url: str) -> None:
    """Only this machine is spoken to without TLS."""
    with pytest.raises(PermanentError, match="use https"):
        ArmFileSystem(url, SUBSCRIPTION, "hpc", "amlfs1", no_credential, repeats=counted())
