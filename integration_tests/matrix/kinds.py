"""The kinds of faults: how the sandbox makes each, where it can be, and what a sync makes of it."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any, Literal

from integration_tests.matrix import rewrites
from integration_tests.matrix.spots import FILES, Spot
from sandbox import Sandbox

Ending = Literal["fails", "refused", "survives", "missing"]
"""What becomes of a sync whose requests meet the fault for ever: its streams end incomplete, with an error that another
sync may not meet (fails) or that the user has to mend (refused); it has all rows all the same (survives); or all rows, and
some of them without their files (missing)."""

READ_SECONDS = 0.4
"""The time-out, where a fault is about it."""


@dataclass(frozen=True)
class Scene:
    """What a fault may need to know."""

    sandbox: Sandbox
    foreign: str
    """An address that nobody may ask."""
    times: int | None
    """How often the fault strikes; None: for ever."""


Fault = Mapping[str, Any]


@dataclass(frozen=True)
class Kind:
    """One kind of fault."""

    name: str
    fault: Callable[[Spot, Scene], Fault]
    """The arguments of `Sandbox.fault`."""
    applies: Callable[[Spot], bool] = lambda _: True
    lasting: Ending | None = "fails"
    """None: it can't last."""
    lasting_file: Ending | None = None
    """The same for a file, where that differs."""
    passes: bool = True
    """Whether the request is made again."""
    takes_host: bool = False
    """Whether other requests to the host fail too."""
    read_seconds: float = 60.0
    nap: float = 0.002
    """What a wait takes in the place of its seconds."""
    asked: tuple[float, float] | None = None
    """The wait that the answer asks for is between these."""

    def ending(self, spot: Spot) -> Ending | None:
        return self.lasting_file or self.lasting if spot.role in FILES else self.lasting


def status(code: int, headers: Callable[[], Mapping[str, str]] = dict, body: Any = None) -> Callable[..., Fault]:
    return lambda *_: {"status": code, "headers": headers(), "body": body}


def wire(kind: str, **more: Any) -> Callable[..., Fault]:
    return lambda *_: {"kind": kind, **more}


def rewritten(change: Callable[[Spot, Scene], Any], **more: Any) -> Callable[[Spot, Scene], Fault]:
    return lambda spot, scene: {"kind": "rewrite", "rewrite": change(spot, scene), **more}


def always(body: Any) -> Callable[[Spot, Scene], Fault]:
    """The same body in the place of any good answer's."""
    return rewritten(lambda *_: lambda *_: body)


def goes_down(_: Spot, scene: Scene) -> Fault:
    return {"kind": "down", "seconds": None if scene.times is None else 0.1, "times": scene.times and 1}


def redirected(spot: Spot, scene: Scene) -> Fault:
    # Of a file, or of a text at another host, it is followed, without a credential, but not without encryption.
    address = "http://foreign.example.com/file" if spot.follows else scene.foreign
    return {"status": 307, "headers": {"Location": address}}


def expires(_: Spot, scene: Scene) -> Fault:
    return {"kind": "rewrite", "rewrite": rewrites.expiring(scene.sandbox), "times": 1}


def comes_with_a_cursor(spot: Spot) -> str:
    """The requests for a list's second page and those after it."""
    assert spot.pages and spot.pages.cursor
    return spot.path.removesuffix("$") + rf"\?(.*&)?{re.escape(spot.pages.cursor)}="


# Where a fault can be


def in_json(spot: Spot) -> bool:
    return spot.role not in FILES and not is_text(spot)


def is_text(spot: Spot) -> bool:
    return bool(spot.operation and spot.operation.text)


def not_in_text(spot: Spot) -> bool:
    """Where any text is an answer, none is broken."""
    return not is_text(spot)


def in_rows(spot: Spot) -> bool:
    return bool(spot.operation and spot.operation.rows)


def at_the_provider(spot: Spot) -> bool:
    """A storage host that refuses says that the address has run out."""
    return spot.role != "storage"


def with_cursors(spot: Spot) -> bool:
    return bool(spot.next_page and spot.pages and spot.pages.cursor)


def by_offset(spot: Spot) -> bool:
    """Where an answer says how many rows there are, and not where the next ones are."""
    return bool(spot.pages and spot.pages.offset and not spot.pages.cursor)


def behind_a_login(spot: Spot) -> bool:
    return spot.role in ("list", "details") and any(auth.login for auth in spot.provider.auth)


KINDS = [
    Kind("429", status(429)),
    Kind("429-seconds", status(429, lambda: {"Retry-After": "7"}), asked=(7, 8)),
    Kind("429-date", status(429, lambda: {"Retry-After": formatdate(time.time() + 100, usegmt=True)}), asked=(80, 101)),
    Kind("429-reset", status(429, lambda: {"X-RateLimit-Reset": str(int(time.time()) + 100)}), asked=(80, 101)),
    Kind("500", status(500)),
    Kind("502", status(502, body="<html>Bad gateway</html>")),
    Kind("503", status(503)),
    Kind("503-seconds", status(503, lambda: {"Retry-After": "7"}), asked=(7, 8)),
    Kind("refused", goes_down, takes_host=True, nap=0.2),
    Kind("reset", wire("reset")),
    Kind("reset-inside", wire("reset_inside")),
    Kind("slow-start", wire("late", seconds=2 * READ_SECONDS), read_seconds=READ_SECONDS),
    Kind("drip", wire("drip", seconds=READ_SECONDS / 4), lasting="survives", read_seconds=READ_SECONDS),
    Kind("truncated", wire("truncate")),
    Kind("empty", always(b""), not_in_text, lasting_file="missing"),
    Kind("page", always(b"<!DOCTYPE html><html>Welcome</html>"), not_in_text, lasting_file="missing"),
    Kind("not-utf8", rewritten(lambda *_: rewrites.not_utf8), in_json),
    Kind("rows-null", rewritten(rewrites.rows(lambda _: None)), in_rows),
    Kind("rows-text", rewritten(rewrites.rows(lambda _: "none")), in_rows),
    Kind("rows-object", rewritten(rewrites.rows(lambda is_list: {"id": "1"} if is_list else ["1"])), in_rows),
    Kind("rows-gone", rewritten(rewrites.rows(lambda _: rewrites.GONE)), in_rows),
    Kind("whole-list", always([]), in_json),
    Kind("whole-number", always(7), in_json),
    Kind("repeated-token", rewritten(rewrites.repeated_token, path=comes_with_a_cursor), with_cursors),
    Kind("empty-page", rewritten(rewrites.empty_page, times=None), with_cursors, lasting="survives"),
    Kind("no-rows", rewritten(rewrites.rows(lambda _: [])), by_offset),
    Kind("redirect", redirected, lasting="refused", passes=False),
    Kind("401", status(401), at_the_provider, lasting="refused", passes=False),
    Kind("403", status(403), at_the_provider, lasting="refused", passes=False),
    Kind("expired-login", expires, behind_a_login, lasting=None),
]
