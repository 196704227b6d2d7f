"""Whether a file system may be asked for a transfer now, by what Azure says of it, in words with the mend.

health.state and provisioningState are two axes: a file system that is being changed is often Available meanwhile. A
last change that failed says nothing of the present, so that is no reason to wait; what is not known is.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from slurm_amlfs.domain.view import FileSystemView

_GOES_ON = "it goes on by itself when that is over"
_PORTAL = "look at it in the Azure portal, it goes on by itself when Azure calls it Available"

_HEALTH: Mapping[str, str] = MappingProxyType({
    "maintenance": _GOES_ON,
    "transitioning": _GOES_ON,
    "expanding": _GOES_ON,
    "degraded": _PORTAL,
    "unavailable": f"{_PORTAL}; if that takes long, ask Azure's support",
})  # fmt: skip
"""The words of AmlFilesystemHealthStateType (azure-rest-api-specs, storagecache, models.tsp), but for Available."""

_CHANGES: Mapping[str, str] = MappingProxyType({
    "creating": "is being created",
    "updating": "is being changed",
    "deleting": "is being deleted",
})  # fmt: skip

_MOST_TEXT = 200


def hindrance(view: FileSystemView) -> str:
    """Say why nothing may be asked for; empty if something may."""
    health = view.health.lower()
    if not health:
        return "Azure does not say how the file system is; wait, it is asked again"
    if health != "available":
        said = f": {' '.join(view.health_text.split())[:_MOST_TEXT]}" if view.health_text else ""
        return f"the file system is in {view.health}{said}; {_HEALTH.get(health, _PORTAL)}"
    change = _CHANGES.get(view.provisioning_state.lower())
    return f"the file system {change}; {_GOES_ON}" if change else ""
