"""What the five providers have in common."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_right
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from aiohttp import web

from ..media import Media
from ..world import HOUR, MINUTE, World

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ..knobs import Knobs
    from ..storage import Storage

Row = dict[str, Any]
Key = tuple[Any, ...]
Ref = TypeVar("Ref")


class RefusalError(Exception):
    """An answer that is an error, in the provider's own envelope."""

    def __init__(self, status: int, body: Row, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers = dict(headers or {})


@dataclass(frozen=True)
class Stream(Generic[Ref]):
    """What a complete sync must deliver now: references, and the key and row of each."""

    refs: Callable[[], Iterable[Ref]]
    key: Callable[[Ref], Key]
    row: Callable[[Ref], Row]

    def keys(self) -> Iterator[Key]:
        return map(self.key, self.refs())

    def rows(self) -> Iterator[Row]:
        return map(self.row, self.refs())


class Provider(ABC):
    name: str
    quantum = 1000  # resolution of creation times in microseconds

    def __init__(self, world: World, knobs: Knobs, storage: Storage) -> None:
        self.world = world
        self.knobs = knobs
        self.storage = storage
        self.base_url = ""
        storage.lookups[self.name] = self.media

    @abstractmethod
    def routes(self) -> list[web.RouteDef]: ...

    @abstractmethod
    def error(self, request: web.Request, status: int, message: str) -> Row:
        """The provider's error envelope."""

    @abstractmethod
    def authorize(self, request: web.Request) -> None:
        """Raise a RefusalError unless the request carries the documented credential."""

    @abstractmethod
    def config(self) -> Row:
        """The connector's section for this provider."""

    @abstractmethod
    def streams(self) -> dict[str, Stream[Any]]: ...

    @abstractmethod
    def media(self, media_id: str) -> Media | None:
        """The file of that id, if it is there now."""

    def rate_headers(self, limit: int, remaining: int, reset: int) -> dict[str, str]:
        """Headers about the rate limit on every answer, if the provider documents some."""
        return {}

    def limit_headers(self, reset: int) -> dict[str, str]:
        """Further headers of a 429."""
        return {}

    # --- for the routes ---------------------------------------------------------------------

    def refuse(
        self, request: web.Request, status: int, message: str, headers: Mapping[str, str] | None = None
    ) -> RefusalError:
        return RefusalError(status, self.error(request, status, message), headers)

    def integer(self, request: web.Request, name: str, default: int, low: int, high: int, status: int) -> int:
        """A whole number in a range from the query, else a refusal."""
        text = request.query.get(name)
        if text is None:
            return default
        if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
            raise self.refuse(request, status, f"{name} must be an integer from {low} to {high}")
        return int(text)

    # --- for the data -----------------------------------------------------------------------

    def created(self, index: int) -> int:
        return self.world.times(self.name, self.quantum)[index]

    def count(self) -> int:
        return self.world.visible(self.name, self.quantum)

    def between(self, start: int | None, end: int | None) -> range:
        return self.world.between(self.name, start, end, quantum=self.quantum)

    def known(self, kind: str, text: str) -> int | None:
        """The index of a visible item by the changing part of its id."""
        index = self.world.find(kind, text)
        return index if index is not None and index < self.count() else None

    def rank(self, index: int) -> int:
        """Position in a list whose order the documents leave open."""
        if self.knobs.undocumented_order == "shuffled":
            return self.world.scramble(f"{self.name}-order", index)
        return index if self.knobs.undocumented_order == "oldest" else -index

    def arrange(self, indices: Sequence[int]) -> Sequence[int]:
        """Ascending indices in the list's order."""
        if self.knobs.undocumented_order == "shuffled":
            return sorted(indices, key=self.rank)
        return indices if self.knobs.undocumented_order == "oldest" else indices[::-1]

    def make_media(self, media_id: str, content_type: str) -> Media:
        typical = self.knobs.media_bytes * (0.5 + self.world.chance(media_id, 0))
        size = self.knobs.media_sizes.get(media_id, int(typical))
        return Media(f"{self.world.seed}/{self.name}/{media_id}", content_type, size)

    def media_row(self, media: Media | None, **keys: Any) -> Row:
        """A row of a file stream."""
        if media is None:
            return {**keys, "media_status": "missing"}
        return {
            **keys,
            "media_status": "stored",
            "media_type": media.content_type,
            "media_bytes": media.size,
            "media_sha256": media.sha256(),
        }


def page(
    items: Sequence[int],
    rank: Callable[[int], Any],
    after: int | None,
    limit: int,
    keep: Callable[[int], bool] | None = None,
) -> tuple[list[int], int | None]:
    """The items that follow `after` in a list sorted by `rank`, and where the next page starts.

    The position is an item, not an offset: rows that come or go meanwhile shift nothing.
    """
    start = 0 if after is None else bisect_right(items, rank(after), key=rank)
    following = (items[position] for position in range(start, len(items)))
    found = list(islice(following if keep is None else filter(keep, following), limit + 1))
    return found[:limit], found[limit - 1] if len(found) > limit else None


def encode_token(index: int) -> str:
    """An opaque page token that must be quoted in a URL (`+`, `/` and `=` do occur)."""
    return urlsafe_b64encode(f"after>>{index:>7}??".encode()).decode() + "=/+"


def decode_token(token: str) -> int | None:
    if not token.endswith("=/+"):
        return None
    try:
        text = urlsafe_b64decode(token[:-3]).decode()
        return int(text.removeprefix("after>>").removesuffix("??"))
    except ValueError:
        return None


def delay(dice: random.Random) -> int:
    """How long a recording takes to be there: mostly minutes, some hours, a few nearly two days."""
    roll = dice.random()
    if roll < 0.85:
        return dice.randrange(MINUTE, 90 * MINUTE)
    return dice.randrange(90 * MINUTE, (8 if roll < 0.97 else 40) * HOUR)


def soon(dice: random.Random) -> int:
    """How long it takes from there to the next step, so that all is settled after two days."""
    return dice.randrange(MINUTE, 90 * MINUTE)


def talk(dice: random.Random) -> int:
    """How long people talk, in whole seconds: mostly minutes, some not at all, a few for hours."""
    roll = dice.random()
    if roll < 0.02:
        return 0
    return dice.randrange(1, 900) if roll < 0.99 else dice.randrange(2 * 3600, 4 * 3600)


def answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    text = json.dumps(body, ensure_ascii=False)
    return web.Response(text=text, status=status, content_type="application/json", headers=headers)
