"""The sandbox's data is a function of seed and clock, and of nothing else."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import pytest

from sandbox import Sandbox, World
from sandbox.media import Media
from sandbox.providers import PROVIDERS
from sandbox.world import DAY, SECOND, iso, parse_time

NOW = datetime(2026, 6, 1, 12, 0, 0, 500_000, tzinfo=timezone.utc)
KINDS = [provider.name for provider in PROVIDERS]


def everything(sandbox: Sandbox) -> dict[str, list[dict[str, Any]]]:
    return {name: list(sandbox.rows(name)) for name in sandbox.streams}


def test_same_seed_same_rows_other_seed_other_rows() -> None:
    # Not started: without ports in the URLs nothing differs from run to run.
    first, second = (everything(Sandbox(seed=3, size=60, now=NOW)) for _ in range(2))
    other = everything(Sandbox(seed=4, size=60, now=NOW))
    assert first == second
    assert all(first[name] != other[name] for name in first)


def test_rows_do_not_depend_on_how_the_clock_got_there() -> None:
    walked, jumped = Sandbox(seed=3, size=40, now=NOW), Sandbox(seed=3, size=40, now=NOW)
    for _ in range(7):
        walked.advance(timedelta(days=10, microseconds=1))
        everything(walked)
    jumped.advance(timedelta(days=70, microseconds=7))
    assert everything(walked) == everything(jumped)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [0, 1, 7, 500])
def test_size_is_what_is_visible_now(kind: str, size: int) -> None:
    world = World(5, size, NOW, days=30)
    assert world.visible(kind) == size
    assert all(world.clock - 30 * DAY <= at <= world.clock for at in world.times(kind)[:size])
    world.advance(timedelta(days=30))
    assert world.visible(kind) >= size + max(50, size // 5)


def test_an_item_is_visible_from_its_own_microsecond_on() -> None:
    world = World(5, 10, NOW)
    world.advance(timedelta(seconds=1))  # makes the next month
    following = world.times("bird")[10]
    world.clock = following - 1
    assert world.visible("bird") == 10
    world.clock = following
    assert world.visible("bird") > 10


@pytest.mark.parametrize("kind", KINDS)
def test_times_are_sorted_with_equal_fractional_and_midnight_ones(kind: str) -> None:
    times = World(6, 2000, NOW).times(kind)
    assert list(times) == sorted(times)
    assert any(before == after for before, after in pairwise(times))
    assert any(at % SECOND for at in times)
    assert any(at % SECOND == 0 for at in times)
    assert any(at % DAY == 0 for at in times)
    assert any(world_close(before, after) for before, after in pairwise(times))


def world_close(before: int, after: int) -> bool:
    return 0 < after - before < 20 * SECOND


def test_ids_are_unique_and_lead_back() -> None:
    world = World(7, 1, NOW)
    ids = [world.uuid("x", index) for index in range(5000)]
    assert len(set(ids)) == 5000
    assert [world.find("x", text) for text in ids] == list(range(5000))
    assert world.find("x", world.id("x", 77, 20)) == 77
    assert world.find("y", ids[0]) is None
    assert world.find("x", ids[0][:-1] + ("0" if ids[0][-1] != "0" else "1")) is None
    assert world.find("x", "no hex at all") is None
    assert world.find("x", "") is None


def test_chance_is_even() -> None:
    world = World(8, 1, NOW)
    rolls = [world.chance("x", index) for index in range(4000)]
    assert min(rolls) >= 0
    assert max(rolls) < 1
    assert all(350 < sum(low <= 10 * roll < low + 1 for roll in rolls) < 450 for low in range(10))


@pytest.mark.parametrize(
    ("text", "digits", "expected"),
    [
        ("2026-06-01T12:00:00Z", 0, "2026-06-01T12:00:00Z"),
        ("2026-06-01T12:00:00.5Z", 3, "2026-06-01T12:00:00.500Z"),
        ("2026-06-01t14:00:00.123456789+02:00", 6, "2026-06-01T12:00:00.123456Z"),
        ("1969-12-31T23:59:59.999999Z", 6, "1969-12-31T23:59:59.999999Z"),
    ],
)
def test_times_are_read_and_written(text: str, digits: int, expected: str) -> None:
    moment = parse_time(text)
    assert moment is not None
    assert iso(moment, digits) == expected


@pytest.mark.parametrize("text", ["", "2026-06-01", "2026-06-01T12:00:00", "2026-02-30T12:00:00Z", "2026-06-01T12:00Z"])
def test_what_is_no_rfc3339_time_is_refused(text: str) -> None:
    assert parse_time(text) is None


def test_a_clock_never_goes_back() -> None:
    with pytest.raises(ValueError, match="forward"):
        World(1, 1, NOW).advance(timedelta(seconds=-1))
    with pytest.raises(ValueError, match="zone"):
        World(1, 1, NOW.replace(tzinfo=None))


@pytest.mark.parametrize("content_type", ["audio/mpeg", "audio/wav", "audio/opus", "image/jpeg"])
@pytest.mark.parametrize("size", [0, 3, 44, 1000, 65_536, 200_001])
def test_media_ranges_are_slices_of_the_whole(content_type: str, size: int) -> None:
    media = Media("1/x/y", content_type, size)
    whole = b"".join(media.read())
    assert len(whole) == size
    for start, stop in ((0, size), (1, size), (size // 2, size), (65_535, 65_537), (7, 8)):
        assert b"".join(media.read(start, stop)) == whole[start:stop]


def test_no_two_blocks_of_a_media_file_are_equal() -> None:
    whole = b"".join(Media("1/x/y", "audio/mpeg", 300_000).read())
    blocks = [whole[start : start + 65_536] for start in range(0, 262_144, 65_536)]
    assert len(set(blocks)) == 4


def test_media_differ_by_key_and_nothing_else() -> None:
    assert Media("a", "audio/mpeg", 5000).sha256() == Media("a", "audio/mpeg", 5000).sha256()
    assert Media("a", "audio/mpeg", 5000).sha256() != Media("b", "audio/mpeg", 5000).sha256()


def test_large_worlds_are_cheap() -> None:
    began = time.process_time()
    with Sandbox(seed=1, size=100_000, now=NOW) as sandbox:
        assert sandbox.config()["bird"]["base_url"].startswith("http://127.0.0.1:")
        assert sandbox.world.visible("quo") == 100_000
    assert time.process_time() - began < 2
