"""What each request is answered: reads and changes the engine, knows nothing of HTTP but status, body and headers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from slurm_amlfs.emulator import bodies, checks, signing
from slurm_amlfs.emulator.bodies import Body, Place
from slurm_amlfs.emulator.checks import AutoAdmin, ImportAdmin, Json
from slurm_amlfs.emulator.engine import Engine, ended
from slurm_amlfs.emulator.faults import Faults, Name
from slurm_amlfs.emulator.jobs import AutoKind, Operation
from slurm_amlfs.emulator.refusal import RefusalError, not_found
from slurm_amlfs.emulator.routes import Target

AVAILABLE = ("Available", "The cluster is available")
MAINTENANCE = ("Maintenance", "The cluster is under maintenance")
"""The first pair is recorded; the second's text is not."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request that was understood. `base` is scheme and host; `path` the URL's path."""

    target: Target
    version: str
    base: str
    path: str
    query: Mapping[str, str]
    body: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back. `body` is None for an empty one. `operation_id` becomes x-ms-request-id (recorded so)."""

    status: int
    body: Body | None = None
    headers: dict[str, str] = field(default_factory=dict)
    operation_id: str = ""


class Answers:
    """Answers requests for one file system."""

    def __init__(self, engine: Engine, faults: Faults, place: Place) -> None:
        self._engine = engine
        self._faults = faults
        self._place = place
        self._secret = place.path().encode()

    def answer(self, request: Request) -> Answer:
        """Answer one request.

        Raises:
            RefusalError: it is refused.
        """
        target = request.target
        if target.subscription.lower() != self._place.subscription.lower():
            raise RefusalError(
                404, "SubscriptionNotFound", f"The subscription '{target.subscription}' could not be found."
            )
        if target.operation == "ascOperations.get":
            return self._operation(request)
        if target.group and target.group.lower() != self._place.group.lower():
            raise RefusalError(404, "ResourceGroupNotFound", f"Resource group '{target.group}' could not be found.")
        if target.operation == "amlFilesystems.list":
            return Answer(200, {"value": [self._file_system(upper=True)]})
        if target.amlfs.lower() != self._place.amlfs.lower():
            raise not_found("amlFilesystems", target.amlfs, target.group)
        if target.kind in set(AutoKind):
            return self._auto(request, AutoKind(target.kind))
        return self._manual(request)

    def _manual(self, request: Request) -> Answer:
        match request.target.operation:
            case "amlFilesystems.get":
                return Answer(200, self._file_system())
            case "archive.post":
                self._engine.archives.begin(checks.archive_path(request.body))
                return Answer(200)
            case "cancelArchive.post":
                self._engine.archives.cancel()
                return Answer(200)
            case "importJobs.list":
                now = datetime.now(UTC)
                jobs = self._engine.imports.all()
                values = [bodies.import_job(self._place, job, now, request.version, upper=True) for job in jobs]
                return Answer(200, {"value": values})
            case _:
                return self._import_job(request)

    def _import_job(self, request: Request) -> Answer:
        imports, name, now = self._engine.imports, request.target.name, datetime.now(UTC)
        operation: Operation | None = None
        match request.target.operation:
            case "importJobs.put":
                made, operation = imports.create(checks.import_wish(name, request.body))
                body = bodies.import_job(self._place, made, now, request.version)
                return self._started(request, 201, body, operation) if operation else Answer(200, body)
            case "importJobs.delete":
                operation = imports.delete(name)
                return self._accepted(request, operation) if operation else Answer(204)
            case "importJobs.patch":
                wish = checks.import_patch(request.body)
                if "tags" in request.body:
                    imports.tag(name, checks.tags(request.body))
                if wish is ImportAdmin.CANCEL:
                    _, operation = imports.cancel(name)
        job = imports.find(name)
        if job is None:
            raise not_found(f"{self._place.amlfs}/importJobs", name, self._place.group)
        if operation:
            return self._accepted(request, operation)
        return Answer(200, bodies.import_job(self._place, job, now, request.version))

    def _auto(self, request: Request, kind: AutoKind) -> Answer:
        autos, name, now = self._engine.autos, request.target.name, datetime.now(UTC)
        operation: Operation | None = None
        match request.target.operation.rpartition(".")[2]:
            case "list":
                values = [bodies.auto_job(self._place, job, now, upper=True) for job in autos.all(kind)]
                return Answer(200, {"value": values})
            case "put":
                made, operation = autos.create(checks.auto_wish(kind, name, request.body))
                body = bodies.auto_job(self._place, made, now)
                return self._started(request, 201, body, operation) if operation else Answer(200, body)
            case "delete":
                operation = autos.delete(kind, name)
                return self._accepted(request, operation) if operation else Answer(204)
            case "patch":
                wish = checks.auto_patch(request.body)
                if "tags" in request.body:
                    autos.tag(kind, name, checks.tags(request.body))
                if wish is AutoAdmin.DISABLE:
                    _, operation = autos.disable(kind, name)
        job = autos.find(kind, name)
        if job is None:
            raise not_found(f"{self._place.amlfs}/{kind}", name, self._place.group)
        if operation:
            return self._accepted(request, operation)
        return Answer(200, bodies.auto_job(self._place, job, now))

    def _operation(self, request: Request) -> Answer:
        """Answer a poll; with monitor=true (the Location of a DELETE) 200 and nothing at the end (recorded)."""
        if not signing.genuine(self._secret, request.path, request.query):
            raise RefusalError(
                400, "InvalidOperationUrl", "The query arguments t, c, s and h have to be those that were given."
            )
        operation = self._engine.operation(request.target.name)
        if operation is None:
            raise not_found("ascOperations", request.target.name, self._place.group)
        if request.query.get("monitor") == "true":
            return Answer(200 if ended(operation) else 202)
        return Answer(200, bodies.operation(operation, datetime.now(UTC)))

    def _file_system(self, *, upper: bool = False) -> Body:
        under_maintenance = self._faults.take(Name.MAINTENANCE, "amlFilesystems.get")
        health = MAINTENANCE if under_maintenance else AVAILABLE
        return bodies.file_system(self._place, self._engine.archives.status(), health, upper=upper)

    def _started(self, request: Request, status: int, body: Body, operation: Operation) -> Answer:
        """201 with Azure-AsyncOperation; no Retry-After, no Location (recorded)."""
        return Answer(status, body, {"Azure-AsyncOperation": self._url(request, operation)}, operation.id)

    def _accepted(self, request: Request, operation: Operation) -> Answer:
        """202 with Location and Azure-AsyncOperation, nothing in the body (recorded for DELETE)."""
        url = self._url(request, operation)
        return Answer(
            202,
            None,
            {"Azure-AsyncOperation": url, "Location": url.replace("?", "?monitor=true&", 1)},
            operation.id,
        )

    def _url(self, request: Request, operation: Operation) -> str:
        path = (
            f"/subscriptions/{self._place.subscription}/providers/{bodies.PROVIDER}/locations/{self._place.location}"
            f"/ascOperations/{operation.id}"
        )
        args = signing.signed(self._secret, path, request.version, operation.started)
        return signing.address(request.base, path, args)
