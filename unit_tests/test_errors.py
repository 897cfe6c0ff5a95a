"""What an answer means, how often and when it is asked for again, and what is counted and said."""

from __future__ import annotations

import logging
from base64 import b64encode
from collections.abc import Iterator
from time import monotonic
from typing import Any
from unittest.mock import patch

import pytest
import requests
import requests_mock
from airbyte_cdk import AirbyteTracedException
from airbyte_cdk.models import FailureType

from source_recordings.errors import (
    Explained,
    PassingError,
    UnexpectedError,
    UserError,
    explained,
    is_config_error,
    named,
    without_stack_trace,
)
from source_recordings.expressions import compile_expression
from source_recordings.http import asking as module
from source_recordings.http import waits
from source_recordings.http.answers import Answer
from source_recordings.http.asking import PASSING, RATE_LIMITED_SECONDS, TRIES, Later, ask
from source_recordings.tally import Tally
from unit_tests.parts import URL, a_client, an_asking, an_endpoint, operation

GOOD: dict[str, Any] = {"data": [{"id": "a"}]}
LIST = operation(rows=("data",), is_list=True)


class TestMeaning:
    def test_a_documented_answer_is_the_answer(self, api: requests_mock.Mocker) -> None:
        api.get(URL, json=GOOD)
        answer = ask(an_asking(an_endpoint(LIST)))
        assert (answer.value, answer.skipped) == (GOOD, None)
        assert answer.size == len(b'{"data": [{"id": "a"}]}')

    def test_a_status_of_skip_is_counted(self, api: requests_mock.Mocker, lines: pytest.LogCaptureFixture) -> None:
        api.get(URL, status_code=404)
        endpoint = an_endpoint(operation(skip={404: "no recording"}))
        assert [ask(an_asking(endpoint)).skipped for _ in range(2)] == ["no recording"] * 2
        endpoint.tally.log()
        assert "Stream quo_calls skipped 2 without a record: 2 x no recording." in lines.messages

    def test_content_of_skip_when_is_counted(self, api: requests_mock.Mocker) -> None:
        api.get(URL, json={"status": "restoring"})
        rule = (compile_expression("answer.status == 'restoring'"), "being restored")
        assert ask(an_asking(an_endpoint(operation(skip_when=(rule,))))).skipped == "being restored"

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_rejected_credential_is_a_config_error(self, api: requests_mock.Mocker, status: int) -> None:
        api.get(URL, status_code=status)
        with pytest.raises(UserError, match=r"`quo\.api_key`: it must be a current key"):
            ask(an_asking())
        assert api.call_count == 1

    @pytest.mark.parametrize("status", [402, 403, 401, 404])
    def test_a_status_of_refuse_is_a_config_error_in_its_words(self, api: requests_mock.Mocker, status: int) -> None:
        api.get(URL, status_code=status)
        with pytest.raises(UserError, match=r"Change the plan\."):
            ask(an_asking(an_endpoint(operation(refuse={status: "Change the plan."}))))
        assert api.call_count == 1

    def test_403_about_one_recording_after_an_answer_is_skipped_with_one_warning(
        self, api: requests_mock.Mocker, lines: pytest.LogCaptureFixture
    ) -> None:
        api.get(URL, [{"json": GOOD}, {"status_code": 403}])
        endpoint = an_endpoint(about_one=True)
        assert ask(an_asking(endpoint)).skipped is None
        for _ in range(3):
            assert "403" in str(ask(an_asking(endpoint)).skipped)
        warned = [r for r in lines.records if r.levelno == logging.WARNING]
        assert len({r.getMessage() for r in warned}) == 1

    @pytest.mark.parametrize(("about_one", "answered"), [(True, False), (False, True)])
    def test_any_other_403_is_a_config_error(self, api: requests_mock.Mocker, about_one: bool, answered: bool) -> None:
        api.get(URL, status_code=403)
        with pytest.raises(UserError):
            ask(an_asking(an_endpoint(about_one=about_one, answered=answered)))

    @pytest.mark.parametrize("status", [301, 302, 307, 308, 304])
    def test_a_redirect_is_not_followed(self, api: requests_mock.Mocker, status: int) -> None:
        api.get(URL, status_code=status, headers={"Location": "https://evil.example.com/"})
        with pytest.raises(UserError, match=r"quo\.base_url"):
            ask(an_asking())
        assert api.call_count == 1

    @pytest.mark.parametrize("status", [400, 404, 405, 409, 410, 418, 422, 505])
    @pytest.mark.parametrize("field", ["message", "detail", "error"])
    def test_what_no_document_explains_is_an_error_in_the_providers_words(
        self, api: requests_mock.Mocker, status: int, field: str
    ) -> None:
        api.get(URL, status_code=status, json={field: "Odd thing " + "x" * 5_000})
        with pytest.raises(UnexpectedError, match=f"Quo refused .*Odd thing.*HTTP {status}") as found:
            ask(an_asking())
        assert len(str(found.value.message)) < 400
        assert api.call_count == 1

    def test_a_refusal_without_a_reason(self, api: requests_mock.Mocker) -> None:
        api.get(URL, status_code=400, text="<html>")
        with pytest.raises(UnexpectedError, match="no reason given"):
            ask(an_asking())


def asked_again(endpoint_of: Any, **answer: Any) -> tuple[Explained, int]:
    """The last word about an answer that always comes, and how many tries there were."""
    with requests_mock.Mocker() as mocker, patch("requests.Session.get_adapter", lambda *_: mocker._adapter):
        mocker.get(URL, **answer)
        with pytest.raises((PassingError, UserError)) as caught:
            ask(an_asking(endpoint_of))
        return caught.value, mocker.call_count


class TestTries:
    @pytest.mark.parametrize("status", sorted(PASSING))
    def test_what_is_broken_is_tried_a_few_times(self, status: int) -> None:
        error, tries = asked_again(an_endpoint(), status_code=status)
        assert tries == TRIES
        assert error.failure_type == FailureType.transient_error
        for part in ("Quo", "quo_calls", f"{TRIES} tries", f"HTTP {status}", "next one reads"):
            assert part in str(error.message)

    def test_it_is_over_with_the_first_good_answer(self, api: requests_mock.Mocker) -> None:
        api.get(URL, [*[{"status_code": 500}] * (TRIES - 1), {"json": GOOD}])
        assert ask(an_asking()).value == GOOD

    @pytest.mark.parametrize(
        "answer",
        [
            {"text": ""},
            {"text": "<html>"},
            {"text": '{"data": [{"id": "a"}'},
            {"json": ["a"]},
            {"json": None},
            {"json": {}},
            {"json": {"data": None}},
            {"json": {"data": {}}},
            {"json": {"data": "x"}},
        ],
        ids=str,
    )
    def test_another_content_is_tried_again(self, answer: dict[str, Any]) -> None:
        error, tries = asked_again(an_endpoint(LIST), **answer)
        assert tries == TRIES
        assert "without the documented content" in str(error.message)

    def test_an_answer_that_calls_itself_invalid_is_tried_again(self) -> None:
        valid = operation(valid_when=compile_expression("answer.success"))
        error, tries = asked_again(an_endpoint(valid), json={"success": False})
        assert (tries, error.failure_type) == (TRIES, FailureType.transient_error)

    def test_refuse_has_the_word_after_all_tries(self) -> None:
        """A 503 may pass; if it doesn't, the documents know what it means."""
        error, tries = asked_again(an_endpoint(operation(refuse={503: "Check the thing."})), status_code=503)
        assert tries == TRIES
        assert isinstance(error, UserError) and error.message == "Check the thing."

    @pytest.mark.parametrize(
        ("error", "said"),
        [
            (requests.exceptions.SSLError("self-signed"), "TLS"),
            (requests.exceptions.ReadTimeout("slow"), "in time"),
            (requests.exceptions.ConnectTimeout("slow"), "in time"),
            (requests.exceptions.ConnectionError("refused"), "could not be reached"),
            (requests.exceptions.ChunkedEncodingError("cut"), "ChunkedEncodingError"),
        ],
    )
    def test_a_network_error_is_told_in_words(self, error: requests.RequestException, said: str) -> None:
        found, tries = asked_again(an_endpoint(), exc=error)
        assert tries == TRIES
        assert said in str(found.message)
        assert str(error) not in str(found.message)

    @pytest.mark.parametrize("answer", [{"status_code": 500}, {"status_code": 429}, {"text": "x"}])
    def test_a_check_tries_once(self, answer: dict[str, Any]) -> None:
        _, tries = asked_again(an_endpoint(tries=1), **answer)
        assert tries == 1


class TestSlowDown:
    def test_429_is_tried_for_hours(self, api: requests_mock.Mocker) -> None:
        api.get(URL, status_code=429)
        asking = an_asking()
        assert all(isinstance(asking.once(), Later) for _ in range(900))
        over = monotonic() + RATE_LIMITED_SECONDS + 1
        with patch.object(module, "monotonic", lambda: over), pytest.raises(PassingError, match="slow down"):
            asking.once()

    def test_the_count_of_failures_begins_anew_after_a_429(self, api: requests_mock.Mocker) -> None:
        """A provider that says 429 works."""
        failures: list[dict[str, Any]] = [{"status_code": 500}] * (TRIES - 1)
        api.get(URL, [*failures, {"status_code": 429}, *failures, {"json": GOOD}])
        assert ask(an_asking()).value == GOOD

    @pytest.mark.parametrize("header", ["Retry-After", "X-RateLimit-Reset"])
    def test_it_waits_as_long_as_it_is_told(self, api: requests_mock.Mocker, naps: list[float], header: str) -> None:
        api.get(URL, [{"status_code": 429, "headers": {header: "17"}}, {"json": GOOD}])
        ask(an_asking())
        assert [17 <= nap <= 18 for nap in naps] == [True]

    def test_the_wait_grows_and_stops_growing(self, api: requests_mock.Mocker, naps: list[float]) -> None:
        api.get(URL, [*[{"status_code": 429}] * 12, {"json": GOOD}])
        ask(an_asking())
        assert naps[:5] == sorted(naps[:5])
        assert max(naps) <= waits.LONGEST_GROWN + 1

    @pytest.mark.parametrize(
        ("status", "header", "counts"),
        [(503, "Retry-After", True), (500, "Retry-After", False), (503, "X-RateLimit-Reset", False)],
    )
    def test_a_header_counts_only_where_the_answer_asks_to_wait(
        self, api: requests_mock.Mocker, naps: list[float], status: int, header: str, counts: bool
    ) -> None:
        """Bota sends X-RateLimit-Reset with every answer, a 500 included."""
        api.get(URL, [{"status_code": status, "headers": {header: "40"}}, {"json": GOOD}])
        ask(an_asking())
        assert (naps[0] >= 40) is counts

    @pytest.mark.parametrize(
        "value", ["", "soon", "-5", "1e3", "nan", "9" * 400, "Thu, 99 Nov 2026 25:00:00", "\u0663", "5, 7", "0x10"]
    )
    def test_a_header_that_can_not_be_read_makes_no_error_and_no_endless_wait(self, value: str) -> None:
        for reset in (False, True):
            for header in ("Retry-After", "X-RateLimit-Reset"):
                wait = waits.asked_for({header: value}, reset=reset)
                assert wait is None or 0 <= wait <= waits.LONGEST + 1

    def test_a_date_is_a_wait_too(self, frozen_now: float) -> None:
        headers = {"X-RateLimit-Reset": str(int(frozen_now) + 30)}
        assert 27 <= (waits.asked_for(headers, reset=True) or 0) <= 31
        assert waits.asked_for(headers, reset=False) is None
        past = {"Retry-After": "Sat, 01 Jan 2022 00:00:00 GMT"}
        assert 0 <= (waits.asked_for(past, reset=False) or 0) <= 1


class TestScout:
    """A config error is met by one request: see test_workers.py for many threads at once."""

    def test_no_further_request_after_a_config_error(self, api: requests_mock.Mocker) -> None:
        api.get(URL, status_code=401)
        endpoint = an_endpoint()
        errors = []
        for _ in range(3):
            with pytest.raises(UserError) as caught:
                ask(an_asking(endpoint))
            errors.append(caught.value)
        assert api.call_count == 1
        assert errors[0] is errors[1] is errors[2]

    @pytest.mark.parametrize("status", [500, 400])
    def test_an_error_that_may_pass_refuses_nobody(self, api: requests_mock.Mocker, status: int) -> None:
        failing = [{"status_code": status}] * (TRIES if status == 500 else 1)
        api.get(URL, [*failing, {"json": GOOD}])
        endpoint = an_endpoint()
        with pytest.raises(AirbyteTracedException):
            ask(an_asking(endpoint))
        assert isinstance(an_asking(endpoint).once(), Answer)


@pytest.mark.parametrize("key", ["k\u00fc", "a\nb", "\u2713", "a\0"])
def test_a_credential_that_can_not_be_sent_is_a_config_error_that_does_not_quote_it(
    api: requests_mock.Mocker, key: str
) -> None:
    with pytest.raises(UserError, match=r"Copy `quo\.api_key` again") as caught:
        ask(an_asking(client=a_client(api_key=key)))
    assert key not in f"{caught.value.message}{caught.value.internal_message}"
    assert b64encode(key.encode()).decode() not in str(caught.value.message)
    assert api.call_count == 0


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """The package's log, whatever a test before has done to its logger."""
    with caplog.at_level(logging.INFO, "airbyte"):
        logging.getLogger("airbyte").addHandler(caplog.handler)
        yield caplog
        logging.getLogger("airbyte").removeHandler(caplog.handler)


class TestTally:
    def test_skips_are_one_line_most_frequent_first(self, lines: pytest.LogCaptureFixture) -> None:
        tally = Tally("quo_call_recordings")
        for reason in ("no recording", "gone", "no recording"):
            tally.skip(reason)
        tally.log()
        assert set(lines.messages) == {
            "Stream quo_call_recordings: 0 records, 0 requests.",
            "Stream quo_call_recordings skipped 3 without a record: 2 x no recording, 1 x gone.",
        }

    def test_what_came_is_one_line(self, lines: pytest.LogCaptureFixture) -> None:
        tally = Tally("quo_calls")
        for _ in range(1200):
            tally.recorded()
        tally.requested()
        tally.log()
        assert set(lines.messages) == {"Stream quo_calls: 1,200 records, 1 request."}

    def test_the_providers_own_count_stands_beside_it(self, lines: pytest.LogCaptureFixture) -> None:
        """Two windows with a list of their own, one of them read twice."""
        tally = Tally("amigo_calls", "Amigo")
        for which, total, came in (("January", 100, 100), ("February", 52, 51), ("February", 52, 52)):
            tally.compare(which, total, came)
        tally.log()
        assert set(lines.messages) == {
            "Stream amigo_calls: 0 records, 0 requests; Amigo counts 152 rows in what was listed, and 152 came."
        }

    def test_a_count_of_its_own_is_compared_with_all_that_was_listed(self, lines: pytest.LogCaptureFixture) -> None:
        tally = Tally("bird_recordings", "Bird")
        tally.listed(99)
        tally.listed(1)
        tally.counted(101)
        tally.log()
        assert set(lines.messages) == {
            "Stream bird_recordings: 0 records, 0 requests; Bird counts 101 rows in what was listed, and 100 came."
        }

    def test_a_warning_comes_once(self, lines: pytest.LogCaptureFixture) -> None:
        tally = Tally("quo_calls")
        for text in ("a", "b", "a"):
            tally.warn_once(text)
        assert list(dict.fromkeys(lines.messages)) == ["Stream quo_calls: a", "Stream quo_calls: b"]
        assert lines.messages.count("Stream quo_calls: a") == lines.messages.count("Stream quo_calls: b")


class TestExplained:
    @pytest.mark.parametrize("kind", [UserError, PassingError, UnexpectedError])
    def test_what_is_explained_stays(self, kind: Any) -> None:
        error = kind("Check the key.")
        assert explained(error, "Quo", "quo_calls") is error
        assert repr(error) == "Check the key."

    def test_a_passing_error_is_shown_with_the_provider(self) -> None:
        error = PassingError("The list never ends.", "the token")
        shown = named(error, "Quo")
        assert isinstance(shown, PassingError)
        assert (shown.message, shown.internal_message) == ("Quo: The list never ends.", "the token")
        assert named(shown, "Quo") is shown
        assert named(other := UserError("The disk is full."), "Quo") is other

    def test_an_error_of_ours_is_a_system_error_with_its_kind(self) -> None:
        error = explained(KeyError("data"), "Quo", "quo_calls")
        assert error.failure_type == FailureType.system_error
        for part in ("Quo", "quo_calls", "KeyError"):
            assert part in str(error.message)
        assert "data" not in str(error.message)

    def test_a_config_error_has_no_trace_and_others_have(self) -> None:
        for error, has in ((UserError("x"), False), (UnexpectedError("x", exception=KeyError()), True)):
            trace = error.as_airbyte_message().trace
            assert trace and trace.error
            assert bool(trace.error.stack_trace) is has
            assert is_config_error(error) is not has

    def test_only_a_config_error_is_one(self) -> None:
        assert not is_config_error(None)
        assert not is_config_error(KeyError())
        assert not is_config_error(PassingError("x"))
        assert is_config_error(AirbyteTracedException(failure_type=FailureType.config_error))


def test_the_log_has_no_trace_of_a_users_mistake() -> None:
    for error, kept in ((UserError("x"), False), (KeyError(), True)):
        info = (type(error), error, None)
        line = logging.LogRecord("airbyte", logging.ERROR, "", 0, "failed", (), info)
        assert without_stack_trace(line)
        assert bool(line.exc_info) is kept
    assert without_stack_trace(logging.LogRecord("airbyte", logging.INFO, "", 0, "ok", (), None))
