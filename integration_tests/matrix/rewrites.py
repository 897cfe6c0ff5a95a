"""What a fault makes of a good answer."""

import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from aiohttp import web

from integration_tests.matrix.spots import Spot
from sandbox import Sandbox
from sandbox.wire import Rewrite

if TYPE_CHECKING:
    from integration_tests.matrix.kinds import Scene

GONE = object()


def not_utf8(_: web.Request, body: Any) -> bytes:
    """A byte that no UTF-8 has, in a field more."""
    return json.dumps({**body, "note": "#"}).encode().replace(b'"#"', b'"\xff"')


def rows(value: Callable[[bool], Any]) -> Callable[[Spot, "Scene"], Rewrite]:
    """Something else where the rows, or the one row, should be. `value` is told whether they are a list."""

    def change_of(spot: Spot, _: "Scene") -> Rewrite:
        assert spot.operation
        *above, last = spot.operation.rows
        other = value(spot.operation.is_list)

        def change(_: web.Request, body: Any) -> Any:
            found = _inside(body, above)
            found[last] = other
            if other is GONE:
                del found[last]
            return body

        return change

    return change_of


def repeated_token(spot: Spot, _: "Scene") -> Rewrite:
    """The page names itself as the next one."""
    assert spot.pages and spot.pages.cursor
    cursor, (*above, last) = spot.pages.cursor, spot.next_page

    def change(request: web.Request, body: Any) -> Any:
        _inside(body, above)[last] = request.query[cursor]
        return body

    return change


def empty_page(spot: Spot, scene: "Scene") -> Rewrite:
    """A page without rows that names a next one, on which the rows come with its own."""
    assert spot.pages and spot.pages.cursor and spot.operation
    cursor, (*above, last), (*outside, where) = spot.pages.cursor, spot.next_page, spot.operation.rows
    held: dict[str, list[Any]] = {}
    emptied = 0

    def change(request: web.Request, body: Any) -> Any:
        nonlocal emptied
        found = _inside(body, outside)
        # Not taken away: a page may be asked for twice.
        found[where] = held.get(request.query.get(cursor, ""), []) + found[where]
        token = _inside(body, above).get(last)
        if token and (scene.times is None or emptied < scene.times):
            emptied += 1
            held[token], found[where] = found[where], []
        return body

    return change


def expiring(sandbox: Sandbox) -> Rewrite:
    """After this answer the login's token is of no use any more."""

    def change(_: web.Request, body: Any) -> Any:
        sandbox.expire_tokens()
        return body

    return change


def junk_rows(spot: Spot, put: list[str]) -> Rewrite:
    """Rows that are none, behind the last one of a list: so that no other row's place changes. Notes where in `put`."""
    assert spot.operation
    *above, last = spot.operation.rows

    def change(request: web.Request, body: Any) -> Any:
        found = _inside(body, above)
        if _is_last(spot, request, body, len(found[last])):
            found[last] = [*found[last], None, 7, "junk", [], {}]
            put.append(request.path)
        return body

    return change


def _is_last(spot: Spot, request: web.Request, body: Any, rows: int) -> bool:
    pages, names = spot.pages, {"answer": body}
    if pages is None:
        return True
    if (pages.next and pages.next(names)) or (pages.more and pages.more(names)):
        return False
    total = pages.total(names) if pages.total else None
    return total is None or int(request.query.get(pages.offset or "", 0)) + rows >= int(total)


def _inside(body: Any, names: Iterable[str]) -> Any:
    for name in names:
        body = body[name]
    return body
