"""Pagination where a list can repeat a cursor, changes while it is read, or pages in one of two ways."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import InitVar, dataclass
from typing import Any, TypeVar

import requests
from airbyte_cdk.models import FailureType
from airbyte_cdk.sources.declarative.extractors.record_extractor import RecordExtractor
from airbyte_cdk.sources.declarative.requesters.paginators.strategies import (
    CursorPaginationStrategy,
)
from airbyte_cdk.sources.declarative.requesters.paginators.strategies.pagination_strategy import (
    PaginationStrategy,
)
from airbyte_cdk.sources.types import Config, Record, StreamSlice
from airbyte_cdk.utils import AirbyteTracedException

Key = TypeVar("Key")


class Trail(OrderedDict[Key, None]):
    """What a walk through a list has seen last. It goes along in the page token: the paginator is shared by all windows.

    Bounded: a cursor that comes back, or rows that moved between two requests, were met not long ago. The CDK deep-copies
    a token with every request; one trail serves the whole walk all the same.
    """

    LENGTH = 10_000

    def add(self, key: Key) -> None:
        self[key] = None
        if len(self) > self.LENGTH:
            self.popitem(last=False)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Trail[Key]":
        return self


class Walk(dict[str, Any]):
    """A page token that remembers the cursors before it."""

    def __init__(self, token: Mapping[str, Any], seen: Trail[str]) -> None:
        super().__init__(token)
        self.seen = seen


class CursorToken(str):
    """A cursor, sent as it came, that remembers the cursors before it."""

    seen: Trail[str]


def _next_seen(cursor: str, last: Any) -> Trail[str]:
    seen: Trail[str] = getattr(last, "seen", None) or Trail()
    if cursor in seen:
        raise AirbyteTracedException(
            message=(
                "The provider sent a page cursor for the second time, so its list would never end. What was read is kept; "
                "the next sync tries again. If it happens again, tell the provider."
            ),
            internal_message="repeated page cursor",
            failure_type=FailureType.transient_error,
        )
    seen.add(str(cursor))  # without the trail that a token carries
    return seen


@dataclass
class CursorOrOffset(PaginationStrategy):
    """Bota's two revisions: `next_cursor` when present, else `offset` while `has_more`.

    Sources: https://docs.bota.dev/api-reference/pagination (offset), github.com/bota-dev/examples (cursor).
    The token is {"cursor": ...} or {"offset": ...}; raises a transient error for a cursor that repeats.
    """

    config: Config
    parameters: InitVar[Mapping[str, Any]]
    page_size: int = 100

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        pass

    @property
    def initial_token(self) -> None:
        return None

    def get_page_size(self) -> int:
        return self.page_size

    def next_page_token(
        self,
        response: requests.Response,
        last_page_size: int,
        last_record: Record | None,
        last_page_token_value: Any = None,
        page_size_override: int | None = None,
        stream_slice: StreamSlice | None = None,
    ) -> Walk | None:
        body = response.json()
        if cursor := body.get("next_cursor"):
            return Walk({"cursor": cursor}, _next_seen(str(cursor), last_page_token_value))
        if body.get("has_more") and body["data"]:
            offset = (last_page_token_value or {}).get("offset", 0) + len(body["data"])
            return Walk({"offset": offset}, Trail())
        return None


@dataclass
class OnceOnlyCursor(CursorPaginationStrategy):
    """The CDK's cursor pagination, with an error instead of an endless loop for a cursor that repeats."""

    def next_page_token(
        self,
        response: requests.Response,
        last_page_size: int,
        last_record: Record | None,
        last_page_token_value: Any = None,
        page_size_override: int | None = None,
        stream_slice: StreamSlice | None = None,
    ) -> CursorToken | None:
        value = super().next_page_token(
            response,
            last_page_size,
            last_record,
            last_page_token_value,
            page_size_override,
            stream_slice,
        )
        if value is None:
            return None
        token = CursorToken(value)
        token.seen = _next_seen(token, last_page_token_value)
        return token


class Offset(int):
    """An offset that remembers which rows the walk has seen, as hashes, and how often it went back."""

    seen: Trail[int]
    steps_back: int

    def __bool__(self) -> bool:
        """The CDK takes a token that is false for the end of the list; 0 is where a walk may have to go back to."""
        return True


@dataclass
class OverlappingOffset(PaginationStrategy):
    """Offset pagination over a list that grows and shrinks while it is read: no row is lost.

    A row that leaves the list moves all later ones up, past the next offset. So each page starts with the last row of the
    page before; when its first row has not been seen, rows were passed over and the walk goes back a page. Rows that come
    twice are dropped by the reader of the pages. Source of `total`: the lists of Amigo and Tether both document it.
    """

    page_size: int
    extractor: RecordExtractor
    row_key: str
    max_steps_back: int = 100

    @property
    def initial_token(self) -> None:
        return None

    def get_page_size(self) -> int:
        return self.page_size

    def next_page_token(
        self,
        response: requests.Response,
        last_page_size: int,
        last_record: Record | None,
        last_page_token_value: Any = None,
        page_size_override: int | None = None,
        stream_slice: StreamSlice | None = None,
    ) -> Offset | None:
        here = int(last_page_token_value or 0)
        seen: Trail[int] = getattr(last_page_token_value, "seen", None) or Trail()
        steps_back: int = getattr(last_page_token_value, "steps_back", 0)
        keys = [hash(row.get(self.row_key)) for row in self.extractor.extract_records(response)]
        if here and (not keys or keys[0] not in seen):
            steps_back += 1
            if steps_back > self.max_steps_back:
                raise AirbyteTracedException(
                    message="The provider's list changed faster than it could be read; the next sync tries again.",
                    internal_message=f"{steps_back} steps back in one walk",
                    failure_type=FailureType.transient_error,
                )
            target = max(0, here - self.page_size + 1)
        else:
            for key in keys:
                seen.add(key)
            end = here + len(keys)
            total = response.json().get("total")
            if not keys or (end >= total if isinstance(total, int) else len(keys) < self.page_size):
                return None
            # A page of one row can't overlap and go on, so it goes on.
            target = end - 1 if len(keys) > 1 else end
        token = Offset(target)
        token.seen, token.steps_back = seen, steps_back
        return token
