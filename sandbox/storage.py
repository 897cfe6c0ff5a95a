"""The storage host (S3, R2): signed URLs, and the bytes behind them.

The form of the URLs follows the sample on
https://docs.bird.com/api/voice-api/recordings-api/get-a-recording
"""

from __future__ import annotations

import asyncio
import hmac
import re
from contextvars import ContextVar
from functools import lru_cache
from time import monotonic
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode
from xml.sax.saxutils import escape

from aiohttp import web

from .world import SECOND, World, iso, parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .knobs import Knobs
    from .media import Media

_RANGE = re.compile(r"bytes=(\d*)-(\d*)\Z", re.ASCII)

# Set for a request whose body a fault cuts in the middle (see faults.py).
cut_short: ContextVar[bool] = ContextVar("cut_short", default=False)
# Set for a request whose body a fault breaks in another way: then it needs all of it.
in_one_piece: ContextVar[bool] = ContextVar("in_one_piece", default=False)


class Storage:
    """Signs URLs with the world's clock: they expire when it is advanced, and only then."""

    def __init__(self, world: World, knobs: Knobs) -> None:
        self.world = world
        self.knobs = knobs
        self.base_url = ""
        self.lookups: dict[str, Callable[[str], Media | None]] = {}
        self.generation = 0  # signatures of an older generation have expired

    # --- signing ----------------------------------------------------------------------------

    def url(self, provider: str, media_id: str, extension: str, seconds: int = 600) -> str:
        path = f"/{provider}/{quote(media_id)}.{extension}"
        date = re.sub(r"[-:]", "", iso(self.world.clock, 0))
        query = _query(date, seconds, self.generation)
        return f"{self.base_url}{path}?{query}&X-Amz-Signature={self._signature(path, query)}"

    def _signature(self, path: str, query: str) -> str:
        key = f"sandbox/{self.world.seed}".encode()
        return hmac.digest(key, f"{path}?{query}".encode(), "sha256").hex()

    def _refusal(self, request: web.Request) -> web.Response | None:
        if "Authorization" in request.headers:
            # https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
            return _error(400, "InvalidArgument", "Only one auth mechanism allowed")
        signed, _, signature = request.rel_url.raw_query_string.rpartition("&X-Amz-Signature=")
        if not hmac.compare_digest(signature, self._signature(request.rel_url.raw_path, signed)):
            return _error(403, "SignatureDoesNotMatch", "The signature does not match")
        query = request.query
        date = query["X-Amz-Date"]
        since = parse_time(f"{date[:4]}-{date[4:6]}-{date[6:8]}T{date[9:11]}:{date[11:13]}:{date[13:15]}Z")
        assert since is not None, "our own signature covers the date"
        expires = since + int(query["X-Amz-Expires"]) * SECOND
        if query["X-Amz-Security-Token"] != _token(self.generation):
            return _error(403, "ExpiredToken", "The provided token has expired")
        if self.world.clock > expires:
            return _error(403, "AccessDenied", "Request has expired")
        return None

    # --- serving ----------------------------------------------------------------------------

    def routes(self) -> list[web.RouteDef]:
        # A URL that is signed for GET is not valid for HEAD.
        return [
            web.get("/{provider}/{file}", self.download, allow_head=False),
            web.head("/{provider}/{file}", self.head),
        ]

    async def head(self, request: web.Request) -> web.StreamResponse:
        return self._refusal(request) or _error(403, "SignatureDoesNotMatch", "signed for GET")

    async def download(self, request: web.Request) -> web.StreamResponse:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        lookup = self.lookups.get(request.match_info["provider"])
        media = lookup(request.match_info["file"].rpartition(".")[0]) if lookup else None
        if media is None:
            return _error(404, "NoSuchKey", "The specified key does not exist")
        return await self.serve(request, media)

    async def serve(self, request: web.Request, media: Media) -> web.StreamResponse:
        """The body, whole or the asked range of it, in small pieces."""
        start, stop, status = 0, media.size, 200
        headers = {"Content-Type": media.content_type, "ETag": media.etag}
        if self.knobs.ranges:
            headers["Accept-Ranges"] = "bytes"
            match = _RANGE.match(request.headers.get("Range", ""))
            if match and any(match.groups()) and _unchanged(request, media):
                first, last = match.groups()
                start = int(first) if first else max(0, media.size - int(last))
                stop = min(media.size, int(last) + 1) if first and last else media.size
                if start >= stop:
                    headers = {"Content-Range": f"bytes */{media.size}"}
                    return _error(416, "InvalidRange", "not satisfiable", headers)
                status = 206
                headers["Content-Range"] = f"bytes {start}-{stop - 1}/{media.size}"
        if in_one_piece.get():
            return web.Response(status=status, headers=headers, body=b"".join(media.read(start, stop)))
        response = web.StreamResponse(status=status, headers=headers)
        if self.knobs.content_length:
            response.content_length = stop - start
        else:
            response.enable_chunked_encoding()
        await response.prepare(request)
        end = (start + stop) // 2 if cut_short.get() else stop
        began, sent = monotonic(), 0
        for piece in media.read(start, end):
            await response.write(piece)
            sent += len(piece)
            if self.knobs.media_rate:
                await asyncio.sleep(max(0.0, began + sent / self.knobs.media_rate - monotonic()))
        if end < stop and request.transport is not None:
            request.transport.close()
        return response


@lru_cache(maxsize=64)
def _query(date: str, seconds: int, generation: int) -> str:
    query = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"SANDBOX/{date[:8]}/eu-west-1/s3/aws4_request",
        "X-Amz-Date": date,
        "X-Amz-Expires": str(seconds),
        "X-Amz-Security-Token": _token(generation),
        "X-Amz-SignedHeaders": "host",
        "x-id": "GetObject",
    }
    return urlencode(query)


def _token(generation: int) -> str:
    """With characters that must stay quoted."""
    return f"sandbox+token/{generation}=="


def _unchanged(request: web.Request, media: Media) -> bool:
    return request.headers.get("If-Range", media.etag) == media.etag


def _error(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    text = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    return web.Response(status=status, text=text, content_type="application/xml", headers=headers)
