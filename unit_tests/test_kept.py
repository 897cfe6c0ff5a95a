"""What is kept of a window's rows while it is read."""

import errno
from collections.abc import Hashable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from source_recordings.errors import UserError
from source_recordings.reading.kept import Seen, Waiting


@given(st.lists(st.one_of(st.integers(-(2**63), 2**63 - 1), st.text())))
def test_a_key_is_new_once(keys: list[Hashable]) -> None:
    seen, known = Seen(), set[int]()
    for key in map(hash, keys):
        assert (key in seen) is (key in known)
        assert seen.add(key) is (key not in known)
        known.add(key)
        assert key in seen
    assert len(seen) == len(known)


def taken(waiting: Waiting) -> Iterator[tuple[int, Any]]:
    """The rest of the items, with their numbers."""
    while len(waiting):
        yield waiting.take()


items_and_memory = given(st.lists(st.tuples(st.integers(-1, 5), st.text())), st.sampled_from([1, 10_000]), st.data())


@items_and_memory
def test_items_come_as_they_were_added_and_sorted_by_their_time(
    items: list[tuple[int, str]], memory: int, data: st.DataObject
) -> None:
    """Some are taken while others are still added; what is left then goes by time, in memory or in a file."""
    with patch.object(Waiting, "MEMORY", memory), closing(Waiting()) as waiting:
        numbers = count()
        for time, item in items:
            waiting.add(time, item)
            if data.draw(st.booleans()):
                number = next(numbers)
                assert waiting.take() == (number, items[number][1])
        rest = list(enumerate(items))[next(numbers) :]
        assert len(waiting) == len(rest)
        waiting.sort()
        by_time = sorted(rest, key=lambda entry: entry[1][0])
        assert list(taken(waiting)) == [(number, item) for number, (_, item) in by_time]
        assert list(waiting.times) == [time for time, _ in items]


def test_none_left_is_an_index_error() -> None:
    with closing(Waiting()) as waiting:
        with pytest.raises(IndexError):
            waiting.take()
        waiting.add(0, "x")
        waiting.sort()
        assert waiting.take() == (0, "x")
        with pytest.raises(IndexError):
            waiting.take()


def test_the_file_is_gone_in_the_end(tmp_path: Path) -> None:
    with patch("tempfile.tempdir", str(tmp_path)), patch.object(Waiting, "MEMORY", 1):
        with closing(Waiting()) as waiting:
            waiting.add(0, "x" * 10_000)
        assert list(tmp_path.iterdir()) == []


def test_no_room_for_what_waits_is_said_in_words() -> None:
    with (
        closing(Waiting()) as waiting,
        patch("source_recordings.reading.kept.pickle.dump", side_effect=OSError(errno.ENOSPC, "")),
        pytest.raises(UserError, match=r"No space left on device.*TMPDIR"),
    ):
        waiting.add(0, "item")
