"""The HTTP server of the emulator: ARM and the control endpoint on one loopback port, in a thread of their own."""

from __future__ import annotations

import asyncio
import os
import threading

from aiohttp import web

from slurm_amlfs.emulator.arm import Arm
from slurm_amlfs.emulator.control_api import ControlApi
from slurm_amlfs.errors import PermanentError

HOST = "127.0.0.1"
"""ARM here asks for no credentials, so nobody else's machine may reach it."""

LONGEST_LINE_BYTES = 16_384
"""Operation URLs have 3.3 kB."""


class Server:
    """Serves from `start` to `stop`; `port` is the real one, also when 0 was asked for."""

    def __init__(self, arm: Arm, control: ControlApi, port: int) -> None:
        self.port = port
        self._arm = arm
        self._control = control
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="amlfs-http", daemon=True)
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Say where ARM is (config's `arm_url`)."""
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        """Listen.

        Raises:
            PermanentError: the port is taken.
        """
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()

    def stop(self) -> None:
        """Stop listening; open connections are closed."""
        if self._runner is not None:
            asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> None:
        app = web.Application()
        app.add_routes(self._control.routes())
        app.router.add_route("*", "/{path:.*}", self._arm.handle)
        runner = web.AppRunner(
            app,
            access_log=None,
            shutdown_timeout=1.0,
            max_line_size=LONGEST_LINE_BYTES,
            max_field_size=LONGEST_LINE_BYTES,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, HOST, self.port).start()
        except OSError as error:
            await runner.cleanup()
            raise PermanentError(
                f"port {self.port} cannot be used ({os.strerror(error.errno or 0)}); choose another --port"
            ) from error
        self.port = runner.addresses[0][1]
        self._runner = runner
