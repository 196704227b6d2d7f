"""Somebody else, who imports by the portal and knows nothing of us."""

from __future__ import annotations

import http.client
import json
from contextlib import suppress
from urllib.parse import urlsplit

from sandbox.emulator import AMLFS, RESOURCE_GROUP, SUBSCRIPTION

PREFIX = "/elsewhere/"
"""What is imported."""

_PLACE = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{RESOURCE_GROUP}/providers/Microsoft.StorageCache"
    f"/amlFilesystems/{AMLFS}/importJobs/{{name}}?api-version=2026-08-01"
)


def import_by_hand(arm_url: str, name: str) -> None:
    """Ask for an import, if the slot is free and Azure is well."""
    connection = http.client.HTTPConnection(urlsplit(arm_url).netloc, timeout=10)
    body = {"location": "eastus", "properties": {"importPrefixes": [PREFIX]}}
    with suppress(OSError, http.client.HTTPException):
        connection.request("PUT", _PLACE.format(name=name), json.dumps(body), {"Content-Type": "application/json"})
        connection.getresponse().read()
    connection.close()
