"""Ways to break an answer on the wire."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Callable
from typing import Any

from aiohttp import web

Rewrite = Callable[[web.Request, Any], Any]
"""Gets the request and the answer's body, as values where it is JSON, else as bytes; gives another one, in either form."""

PIECES = 5


def rewrite(request: web.Request, response: web.Response, change: Rewrite) -> None:
    body: Any = body_of(response)
    if response.content_type == "application/json":
        body = json.loads(body)
    body = change(request, body)
    response.body = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()


async def half(request: web.Request, response: web.Response, *, reset: bool) -> web.StreamResponse:
    """Half of the body that is announced."""
    body = body_of(response)
    broken = await _begun(request, response, len(body))
    await broken.write(body[: len(body) // 2])
    if reset:
        # A RST takes away what has come and is not read.
        await asyncio.sleep(0.05)
        cut(request, reset=True)
    elif request.transport is not None:
        request.transport.close()
    return broken


async def drip(request: web.Request, response: web.Response, seconds: float) -> web.StreamResponse:
    """All of the body, with a pause before each piece."""
    body = body_of(response)
    slow = await _begun(request, response, len(body))
    step = max(1, -(-len(body) // PIECES))
    for start in range(0, len(body), step):
        await asyncio.sleep(seconds)
        await slow.write(body[start : start + step])
    return slow


def cut(request: web.Request, *, reset: bool) -> None:
    """The connection's end, at once: with a RST, or as the system ends it."""
    if reset:
        reset_connection(request.transport)
    elif request.transport is not None:
        request.transport.abort()


def reset_connection(transport: asyncio.Transport | None) -> None:
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def body_of(response: web.Response) -> bytes:
    return response.body if isinstance(response.body, bytes) else b""


async def _begun(request: web.Request, response: web.Response, length: int) -> web.StreamResponse:
    begun = web.StreamResponse(status=response.status, headers=response.headers)
    begun.content_length = length
    await begun.prepare(request)
    return begun
