"""Offset pagination over a list that grows and shrinks while it is read."""

from typing import Any

import pytest
import requests
from airbyte_cdk.sources.declarative.extractors import DpathExtractor
from airbyte_cdk.utils import AirbyteTracedException
from hypothesis import given, settings
from hypothesis import strategies as st

from source_recordings.components.pagination import OverlappingOffset

PAGE = 5


def strategy(**more: int) -> OverlappingOffset:
    extractor = DpathExtractor(field_path=["items"], config={}, parameters={})
    return OverlappingOffset(PAGE, extractor, "id", **more)


def answer(rows: list[int], total: int) -> requests.Response:
    response = requests.Response()
    response.status_code = 200
    response.json = lambda **_: {  # type: ignore[method-assign]
        "items": [{"id": i} for i in rows],
        "total": total,
    }
    response._content = (
        str({"items": [{"id": i} for i in rows], "total": total}).replace("'", '"').encode()
    )
    return response


def walk(
    a_list: list[int], changes: dict[int, Any] | None = None, **more: int
) -> tuple[list[int], int]:
    """All rows in the order they came and the number of requests; `changes` edit the list after a request."""
    pages, seen, token = strategy(**more), [], None
    for request in range(1, 1000):
        offset = int(token or 0)
        page = a_list[offset : offset + PAGE]
        seen += page
        token = pages.next_page_token(answer(page, len(a_list)), len(page), None, token)
        if not token:  # what ends a list for the CDK
            return seen, request
        for change in (changes or {}).get(request, []):
            change(a_list)
    raise AssertionError("the walk does not end")


@given(size=st.integers(0, 60))
def test_a_list_at_rest_is_read_once(size: int) -> None:
    """One row of overlap a page, and no page asked for after the last."""
    rows, requests_made = walk(list(range(size)))
    assert sorted(set(rows)) == list(range(size))
    assert requests_made <= max(1, -(-max(size - 1, 1) // (PAGE - 1)))


edits = st.one_of(
    st.builds(lambda at: ("insert", at), st.floats(0, 1)),
    st.builds(lambda at: ("delete", at), st.floats(0, 1)),
)


@settings(max_examples=400, deadline=None)
@given(
    size=st.integers(1, 60),
    changes=st.dictionaries(st.integers(1, 25), st.lists(edits, max_size=8), max_size=12),
)
def test_no_row_is_lost_from_a_list_that_changes(
    size: int, changes: dict[int, list[tuple[str, float]]]
) -> None:
    """Rows that are there from the first request to the last are all read, wherever others come and go."""
    a_list = list(range(size))
    fresh = iter(range(1000, 100_000))

    def edit(kind: str, at: float) -> Any:
        def change(rows: list[int]) -> None:
            if kind == "insert":
                rows.insert(int(at * len(rows)), next(fresh))
            elif rows:
                rows.pop(int(at * (len(rows) - 1)))

        return change

    rows, _ = walk(a_list, {n: [edit(*e) for e in es] for n, es in changes.items()})
    assert {i for i in a_list if i < 1000} <= set(rows)


def test_a_list_that_never_rests_is_an_error_in_the_end() -> None:
    def renew(rows: list[int]) -> None:
        rows[:] = [i + 100 for i in rows]

    with pytest.raises(AirbyteTracedException, match="changed faster"):
        walk(list(range(20)), {n: [renew] for n in range(1, 1000)}, max_steps_back=10)
