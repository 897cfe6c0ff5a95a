"""Answers that several streams need: asked for once, kept in bounded room, asked again once dropped; and strict JSON."""

from __future__ import annotations

import errno
import json
import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from time import sleep
from typing import Any
from unittest.mock import patch

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from source_recordings.errors import PassingError, UserError
from source_recordings.http import shared as module
from source_recordings.http.answers import LEVELS, Answer, Apart, Reply, Unreadable, parsed
from source_recordings.http.asking import Endpoint, Later, ask
from source_recordings.http.shared import Answers
from unit_tests.parts import URL, Answering, an_endpoint, operation

SIZE = 10_000


@pytest.fixture
def answers() -> Iterator[Answers]:
    found = Answers(SIZE, 10)
    yield found
    found.close()


def stored(answers: Answers) -> int:
    """Bytes on disk."""
    return answers._file.seek(0, 2) if answers._file else 0


class Asked:
    """A host whose answers are counted by address."""

    def __init__(self, answers: Answers, body: Callable[[str], bytes] = lambda _: b"{}") -> None:
        self.answers = answers
        self.body = body
        self.urls: list[str] = []
        self.error: Exception | None = None
        self.status = 200
        self.apart: Apart | None = None

    def asking(self, url: str = URL, endpoint: Endpoint | None = None, *, anew: bool = False) -> Any:
        def reply() -> Reply:
            self.urls.append(url)
            sleep(0.005)
            if self.error:
                raise self.error
            return Reply(self.status, {}, self.body(url), self.apart)

        own = Answering(reply, endpoint or an_endpoint(answered=True), url)
        return self.answers.asking(own, anew=anew)


class Long:
    """A long text beside an answer."""

    token, size = "apart:x", 5

    def pieces(self) -> Iterator[str]:
        yield "audio"

    def text(self) -> str:
        return "audio"


def test_streams_that_ask_at_once_make_one_request(answers: Answers) -> None:
    host = Asked(answers, lambda _: b'{"a": 1}')
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: ask(host.asking()), range(8)))
    assert host.urls == [URL]
    assert [answer.value for answer in found] == [{"a": 1}] * 8


def test_one_that_comes_later_gets_the_same_answer(answers: Answers) -> None:
    host = Asked(answers, lambda url: b'{"url": "%s"}' % url.encode())
    for _ in range(2):
        for url in (URL, f"{URL}?page=2"):
            assert ask(host.asking(url)).value == {"url": url}
    assert host.urls == [URL, f"{URL}?page=2"]


def test_each_stream_makes_of_the_answer_what_it_means_to_it(answers: Answers) -> None:
    """One stream skips a 404, for the other it is refused; both count for themselves."""
    host = Asked(answers)
    host.status = 404
    skips = an_endpoint(operation(skip={404: "none"}), answered=True)
    assert ask(host.asking(endpoint=skips)).skipped == "none"
    refuses = an_endpoint(operation(refuse={404: "no"}), answered=True)
    with pytest.raises(UserError):
        ask(host.asking(endpoint=refuses))
    assert len(host.urls) == 1


def test_an_error_is_met_by_all(answers: Answers) -> None:
    host = Asked(answers)
    host.error = PassingError("x")

    def one(_: int) -> Any:
        try:
            return ask(host.asking())
        except PassingError as error:
            return error

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(one, range(8))) == {host.error}
    assert len(host.urls) == 1


def test_anew_asks_again_and_the_others_get_the_new_one(answers: Answers) -> None:
    host = Asked(answers)
    ask(host.asking())
    host.body = lambda _: b'{"new": true}'
    assert ask(host.asking()).value == {}
    assert ask(host.asking(anew=True)).value == {"new": True}
    assert ask(host.asking()).value == {"new": True}
    assert len(host.urls) == 2


def test_one_that_is_given_up_is_left_to_who_waits_for_it(answers: Answers) -> None:
    host = Asked(answers)
    host.status = 429
    first, second = host.asking(), host.asking()
    assert isinstance(first.once(), Later)
    waits = second.once()
    assert isinstance(waits, Later) and waits.when_done
    woken = threading.Event()
    waits.when_done(woken.set)
    assert not woken.is_set()
    first.release()
    assert woken.is_set()
    host.status = 200
    assert isinstance(second.once(), Answer)
    assert len(host.urls) == 2


def test_who_asks_after_it_has_come_is_woken_at_once(answers: Answers) -> None:
    host = Asked(answers)
    host.status = 429
    first, second = host.asking(), host.asking()
    first.once()
    waits = second.once()
    assert isinstance(waits, Later) and waits.when_done
    host.status = 200
    assert isinstance(first.once(), Answer)
    woken = threading.Event()
    waits.when_done(woken.set)
    assert woken.is_set()


@pytest.mark.parametrize("length", [10, 900, 2_000])
def test_the_file_stays_within_its_size_and_what_was_dropped_is_asked_again(length: int) -> None:
    answers = Answers(SIZE, 10**6)
    host = Asked(answers, lambda url: b'{"url": "%s", "x": "%s"}' % (url.encode(), b"x" * length))
    urls = [f"{URL}?{n}" for n in range(3 * SIZE // length // 2)] if length > 10 else [URL]
    for url in (*urls, *urls):
        assert ask(host.asking(url)).value["url"] == url
    assert stored(answers) <= SIZE
    assert len(host.urls) > len(urls) or length == 10
    newest = len(host.urls)
    ask(host.asking(urls[-1]))
    assert len(host.urls) == newest, "the newest is still there"
    answers.close()


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 60)), max_size=80))
def test_whatever_is_dropped_each_gets_its_own_answer(asked: list[tuple[int, int]]) -> None:
    answers = Answers(200, 8)
    for number, length in asked:
        body = b'{"n": %d, "x": "%s"}' % (number, b"x" * length)
        own = Answering(lambda body=body: Reply(200, {}, body), an_endpoint(), f"{URL}?{number}")  # type: ignore[misc]
        assert ask(answers.asking(own)).value["n"] == number
    assert stored(answers) <= 200
    assert len(answers._entries) <= 8
    answers.close()


def test_an_answer_that_is_too_large_is_not_kept(answers: Answers) -> None:
    host = Asked(answers, lambda _: b'{"x": "%s"}' % (b"x" * SIZE))
    for _ in range(2):
        assert len(ask(host.asking()).value["x"]) == SIZE
    assert len(host.urls) == 2
    assert stored(answers) == 0


def test_a_bounded_number_of_answers_is_kept(answers: Answers) -> None:
    host = Asked(answers)
    for number in range(30):
        ask(host.asking(f"{URL}?{number}"))
    assert len(answers._entries) <= 10
    ask(host.asking(f"{URL}?0"))
    assert len(host.urls) == 31


def test_long_texts_go_with_their_answers_a_few_at_once() -> None:
    answers = Answers()
    host = Asked(answers)
    host.apart = Long()
    for number in range(module.APARTS + 1):
        assert ask(host.asking(f"{URL}?{number}")).apart is host.apart
    assert ask(host.asking(f"{URL}?{module.APARTS}")).apart is host.apart
    before = len(host.urls)
    assert ask(host.asking(f"{URL}?0")).apart is host.apart
    assert len(host.urls) == before + 1, "asked again, with its text"
    answers.close()


def test_a_full_disk_is_said_in_words(answers: Answers) -> None:
    host = Asked(answers)
    with (
        patch("os.pwrite", side_effect=OSError(errno.ENOSPC, "")),
        pytest.raises(UserError, match=r"No space left on device.*TMPDIR"),
    ):
        ask(host.asking())


def test_nobody_waits_for_ever_when_the_disk_is_full(answers: Answers) -> None:
    host = Asked(answers)
    host.status = 429
    first, second = host.asking(), host.asking()
    first.once()
    waits = second.once()
    assert isinstance(waits, Later) and waits.when_done
    woken = threading.Event()
    waits.when_done(woken.set)
    host.status = 200
    with patch("os.pwrite", side_effect=OSError(errno.ENOSPC, "")), pytest.raises(UserError):
        first.once()
    first.release()
    assert woken.is_set()


# --- JSON -----------------------------------------------------------------------------------

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(values, st.booleans())
def test_any_json_is_its_value(value: Any, ascii_only: bool) -> None:
    assert parsed(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"n": 123456789012345678901234567890}', {"n": 123456789012345678901234567890}),
        (b'{"n": NaN, "i": [-Infinity, Infinity]}', {"n": None, "i": [None, None]}),
        (b'{"n": 1e999}', {"n": None}),
        (rb'{"s": "a\ud800"}', {"s": "a\ud800"}),
        (b"[" + b"9" * 5000 + b"]", ["9" * 5000]),
        (rb'{"s": "a\u0000b"}', {"s": "a\0b"}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
    ],
)
def test_what_is_readable_all_the_same_keeps_its_value(text: bytes, value: Any) -> None:
    assert parsed(text) == value


@pytest.mark.parametrize("levels", [201, 255, 600, 1_200, 100_000])
def test_what_is_nested_too_deep_is_text_from_there_on(levels: int) -> None:
    """No part of the program and no destination has to follow it; brackets in strings are none."""
    opening = '["]", "\\"[", '
    text = f'{{"a]}}": "[[{{", "deep": {opening * levels}1{"]" * levels}, "n": 1}}'

    value = parsed(text.encode())

    assert (value["a]}"], value["n"]) == ("[[{", 1)
    orjson.dumps(value)
    pickle.dumps(value)
    deep, depth = value["deep"], 0
    while isinstance(deep, list):
        assert deep[:2] == ["]", '"[']
        deep, depth = deep[2], depth + 1
    if levels < 250:
        assert (depth, deep) == (levels, 1)
    else:
        more = levels - depth
        assert depth == LEVELS - 1
        assert deep == f"{opening * more}1{']' * more}"


def test_many_brackets_beside_each_other_are_not_deep() -> None:
    rows = [{"id": [n, {}]} for n in range(1_000)]
    assert parsed(json.dumps(rows).encode()) == rows
    assert parsed(json.dumps([*rows, 10**30]).encode()) == [*rows, 10**30]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xef\xbb\xbf{}",
        b" ",
        b"<html>",
        b'{"a": 1',
        b'{"a": 1}}',
        b"{'a': 1}",
        b'{"a": 1,}',
        b'{"a": \xff"x"}',
        b'{"a": "\xff"}',
        b'{"a": "x\ny"}',
        b"{}\n{}",
        b"[" * 100_000,
        b"[" * 5_000 + b"]" * 4_999,
        b'["' + rb"\"[{" * 100_000,
    ],
    ids=lambda text: repr(text[:12]),
)
def test_what_is_no_json_is_unreadable(text: bytes) -> None:
    with pytest.raises(Unreadable):
        parsed(text)
