"""Answers of ARM that are not as they should be: fields missing, null, or with words that nobody knows.

An alteration is `PATH=JSON`, or `PATH` alone to take the field away. A path is names joined by dots; where it meets a
list it goes on in each element: `value.properties.status.state="Pondering"`.
"""

from __future__ import annotations

import copy
import json
from typing import Any


def altered(body: Any, alteration: str) -> Any:  # noqa: ANN401 - any JSON
    """Give a body with a field altered; as it is, if it has no such place.

    Raises:
        ValueError: what stands behind "=" is no JSON.
    """
    path, has_value, text = alteration.partition("=")
    value = json.loads(text) if has_value else None
    changed = copy.deepcopy(body)
    _alter(changed, path.split("."), value, remove=not has_value)
    return changed


def _alter(place: Any, names: list[str], value: Any, *, remove: bool) -> None:  # noqa: ANN401 - any JSON
    if isinstance(place, list):
        for element in place:
            _alter(element, names, value, remove=remove)
    elif isinstance(place, dict) and len(names) > 1:
        _alter(place.get(names[0]), names[1:], value, remove=remove)
    elif isinstance(place, dict) and remove:
        place.pop(names[0], None)
    elif isinstance(place, dict):
        place[names[0]] = value
