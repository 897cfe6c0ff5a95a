"""The addresses that the sandbox listens on."""

from __future__ import annotations

import asyncio
import socket

from aiohttp import web

from . import wire

HOST = "127.0.0.1"


class Host:
    """One app at one port, which can go down and come up again."""

    def __init__(self, app: web.Application) -> None:
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        self._site: web.SockSite | None = None
        self._listener: socket.socket | None = None
        self._port = 0
        self._reserved: socket.socket | None = None

    async def start(self, port: int) -> str:
        """Its address. Port 0 is any that is free."""
        await self._runner.setup()
        self._port = port
        await self._listen()
        self._port = self._runner.addresses[0][1]
        return f"http://{HOST}:{self._port}"

    async def stop(self) -> None:
        self._release()
        await self._runner.cleanup()

    async def down(self, seconds: float | None = None) -> None:
        """Resets the connections and refuses new ones: for some seconds, or until it is told to come up."""
        if self._site is None:
            return
        site, self._site = self._site, None
        assert self._listener
        # A connection that asyncio has accepted and not yet given to the server would be left to the garbage collector.
        asyncio.get_running_loop().remove_reader(self._listener)
        await asyncio.sleep(0)
        await site.stop()
        self._reserve()
        assert self._runner.server
        for connection in self._runner.server.connections:
            wire.reset_connection(connection.transport)
        if seconds is not None:
            loop = asyncio.get_running_loop()
            loop.call_later(seconds, lambda: loop.create_task(self.up()))

    async def up(self) -> None:
        if self._site is None and self._runner.server:
            await self._listen()

    async def _listen(self) -> None:
        self._release()
        self._listener = _bound(self._port)
        self._site = web.SockSite(self._runner, self._listener)
        await self._site.start()

    def _reserve(self) -> None:
        """Nobody else may get the port meanwhile: a socket that is bound and does not listen refuses connections."""
        self._reserved = _bound(self._port)

    def _release(self) -> None:
        if self._reserved:
            self._reserved.close()
            self._reserved = None


def _bound(port: int) -> socket.socket:
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.bind((HOST, port))
    return found
