"""The same controls over HTTP, for the command line and for tests in other processes."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .server import Sandbox


def routes(sandbox: Sandbox) -> list[web.RouteDef]:
    async def config(request: web.Request) -> web.StreamResponse:
        chosen = request.query.get("providers")
        login = request.query.get("login") == "true"
        return web.json_response(sandbox.config(chosen.split(",") if chosen else None, login=login))

    async def truth(request: web.Request) -> web.StreamResponse:
        return web.json_response(sandbox.truth(request.match_info["stream"]))

    async def rows(request: web.Request) -> web.StreamResponse:
        """One row a line."""
        response = web.StreamResponse(headers={"Content-Type": "application/jsonl"})
        found = sandbox.rows(request.match_info["stream"])
        await response.prepare(request)
        for row in found:
            await response.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        return response

    async def streams(request: web.Request) -> web.StreamResponse:
        return web.json_response(list(sandbox.streams))

    async def requests(request: web.Request) -> web.StreamResponse:
        return web.json_response([entry.as_row() for entry in sandbox.requests])

    async def clear_requests(request: web.Request) -> web.StreamResponse:
        sandbox.clear_requests()
        return web.Response(status=204)

    async def advance(request: web.Request) -> web.StreamResponse:
        sandbox.advance(timedelta(**await request.json()))
        return web.json_response({"now": sandbox.world.now.isoformat()})

    async def fault(request: web.Request) -> web.StreamResponse:
        sandbox.fault(**await request.json())
        return web.Response(status=204)

    async def clear_faults(request: web.Request) -> web.StreamResponse:
        sandbox.clear_faults()
        return web.Response(status=204)

    async def knobs(request: web.Request) -> web.StreamResponse:
        sandbox.knobs.turn(**await request.json())
        return web.Response(status=204)

    async def expire(request: web.Request) -> web.StreamResponse:
        {"tokens": sandbox.expire_tokens, "urls": sandbox.expire_urls}[request.match_info["what"]]()
        return web.Response(status=204)

    return [
        web.get("/config", _checked(config)),
        web.get("/streams", streams),
        web.get("/truth/{stream}", _checked(truth)),
        web.get("/rows/{stream}", _checked(rows)),
        web.get("/requests", requests),
        web.delete("/requests", clear_requests),
        web.post("/advance", _checked(advance)),
        web.post("/faults", _checked(fault)),
        web.delete("/faults", clear_faults),
        web.post("/knobs", _checked(knobs)),
        web.post("/expire/{what}", _checked(expire)),
    ]


def _checked(
    handler: Callable[[web.Request], Awaitable[Any]],
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """A wrong name or value is the caller's mistake, not ours."""

    async def checked(request: web.Request) -> web.StreamResponse:
        try:
            response = await handler(request)
        except (KeyError, TypeError, ValueError) as error:
            return web.json_response({"error": f"{type(error).__name__}: {error}"}, status=400)
        assert isinstance(response, web.StreamResponse)
        return response

    return checked
