"""The client of a running emulator's control endpoint, for tests, benchmarks and the demo.

control = Control("http://127.0.0.1:8080")
control.stall("import")           # hold every import up
control.let_go()                  # and let it go on
control.journal().most_at_once    # how many actions ran at once, at most
"""

from __future__ import annotations

import http.client
from collections.abc import Iterable
from dataclasses import replace
from urllib.parse import urlsplit

from slurm_amlfs.emulator.control_api import FAULT, FAULTS, NAMES, PAGE, RATES, ROOT
from slurm_amlfs.emulator.faults import Fault, Name
from slurm_amlfs.emulator.journal import Action, Page
from slurm_amlfs.emulator.rates import Rates
from slurm_amlfs.errors import PermanentError, TemporaryError

TIMEOUT_SECONDS = 10.0


class Control:
    """Talks to the emulator at `arm_url`. Each call is one request.

    Raises:
        TemporaryError: the emulator does not answer.
        PermanentError: it does not understand the request.
    """

    def __init__(self, arm_url: str) -> None:
        self._host = urlsplit(arm_url).netloc

    def set(self, fault: Fault) -> None:
        """Set a fault, in place of one of the same name."""
        self._call("PUT", "faults", FAULT.dump_json(fault))

    def stall(self, operation: str = "import", seconds: float = 0.0) -> None:
        """Hold actions up until `let_go`, or for `seconds`."""
        self.set(Fault(Name.STALL, operation, seconds=seconds))

    def clear(self, names: Iterable[Name] = ()) -> None:
        """Clear these faults, or all."""
        self._call("POST", "faults/clear", NAMES.dump_json(tuple(names)))

    def let_go(self, *names: Name) -> None:
        """Clear these faults, or all; what STALL held goes on."""
        self.clear(names)

    def faults(self) -> tuple[Fault, ...]:
        """List the faults that are set, with how often each has happened."""
        return FAULTS.validate_json(self._call("GET", "faults"))

    def hits(self, name: Name) -> int:
        """Say how often a fault has happened since it was set."""
        return sum(fault.hits for fault in self.faults() if fault.name is name)

    def journal(self) -> Page:
        """Read the journal."""
        page = PAGE.validate_json(self._call("GET", "journal"))
        requests = {(one.operation, one.status): one.count for one in page.requests}
        return Page(requests, page.actions, page.most_at_once)

    def imports(self) -> tuple[Action, ...]:
        """List the imports that ran, with their prefixes and times."""
        return tuple(action for action in self.journal().actions if action.kind == "import")

    def count(self, operation: str) -> int:
        """Say how many requests of this operation were made, whatever became of them."""
        return sum(count for (one, _), count in self.journal().requests.items() if one == operation)

    def rates(self) -> Rates:
        """Read the speeds."""
        return RATES.validate_json(self._call("GET", "rates"))

    def set_rates(self, **changes: float) -> Rates:
        """Change speeds (names of `Rates`) for actions that begin from now on; return all of them."""
        wanted = replace(self.rates(), **changes)
        self._call("PUT", "rates", RATES.dump_json(wanted))
        return wanted

    def _call(self, method: str, path: str, body: bytes = b"") -> bytes:
        connection = http.client.HTTPConnection(self._host, timeout=TIMEOUT_SECONDS)
        try:
            connection.request(method, f"{ROOT}/{path}", body or None)
            response = connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise TemporaryError(f"the emulator at {self._host} does not answer ({error}); is it running?") from error
        finally:
            connection.close()
        if response.status >= http.client.BAD_REQUEST:
            text = answer.decode("utf-8", "replace")[:200]
            raise PermanentError(f"the emulator at {self._host} refused {method} {path}: {response.status} {text}")
        return answer
