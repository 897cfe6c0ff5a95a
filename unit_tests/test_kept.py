"""What is kept of a window's rows while it is read."""

import errno
from collections.abc import Hashable
from contextlib import closing
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from source_recordings.components.errors import UserError
from source_recordings.components.kept import Seen, Waiting


@given(st.lists(st.one_of(st.integers(-(2**63), 2**63 - 1), st.text())))
def test_a_key_is_new_once(keys: list[Hashable]) -> None:
    seen, known = Seen(), set()
    for key in map(hash, keys):
        assert seen.add(key) is (key not in known)
        known.add(key)


@given(st.lists(st.tuples(st.integers(-1, 5), st.text())), st.sampled_from([1, 10_000]))
def test_items_come_by_their_time_and_otherwise_as_they_were_added(
    items: list[tuple[int, str]], memory: int
) -> None:
    with patch.object(Waiting, "MEMORY", memory), closing(Waiting[str]()) as waiting:
        for time, item in items:
            waiting.add(time, item)
        assert list(waiting) == sorted(items, key=lambda entry: entry[0])


def test_no_room_for_what_waits_is_said_in_words() -> None:
    with (
        closing(Waiting[str]()) as waiting,
        patch(
            "source_recordings.components.kept.pickle.dump", side_effect=OSError(errno.ENOSPC, "")
        ),
        pytest.raises(UserError, match=r"No space left on device.*TMPDIR"),
    ):
        waiting.add(0, "item")
