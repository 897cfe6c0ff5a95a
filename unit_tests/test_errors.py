"""The error handler's parts by themselves: what is tried how often, how long is waited, what is counted and said."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from airbyte_cdk.models import FailureType
from airbyte_cdk.sources.declarative.requesters.error_handlers import HttpResponseFilter
from airbyte_cdk.sources.streams.http.error_handlers import BackoffStrategy
from airbyte_cdk.sources.streams.http.error_handlers.response_models import ResponseAction
from airbyte_cdk.utils import AirbyteTracedException

from source_recordings.components.errors import (
    Capped,
    Explained,
    PatientErrorHandler,
    Skips,
    UserError,
    WhenAsked,
    explained,
    no_debug,
    terse,
    without_bodies,
    without_stack_trace,
)


def answer(status: int, **headers: str) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response._content = b"{}"
    response.headers.update(headers)
    return response


def handler(*filters: HttpResponseFilter, max_retries: int = 2) -> PatientErrorHandler:
    found = PatientErrorHandler(
        parameters={}, config={}, response_filters=list(filters), max_retries=max_retries
    )
    found.stream_name = "quo_calls"
    found.skips = Skips()
    return found


def on(status: int, action: str, message: str) -> HttpResponseFilter:
    kind = FailureType.transient_error if action == "RATE_LIMITED" else None
    return HttpResponseFilter(
        config={},
        parameters={},
        action=action,
        failure_type=kind,
        http_codes={status},
        error_message=message,
    )


class TestTries:
    def test_what_is_broken_is_tried_max_retries_times_again(self) -> None:
        patient = handler(on(500, "RETRY", "Quo has trouble."))
        actions = [patient.interpret_response(answer(500)).response_action for _ in range(3)]
        assert actions == [ResponseAction.RETRY, ResponseAction.RETRY, ResponseAction.FAIL]

    def test_the_last_word_names_provider_stream_tries_and_status(self) -> None:
        patient = handler(on(500, "RETRY", "It has trouble."), max_retries=0)
        last = patient.interpret_response(answer(500))
        assert last.failure_type == FailureType.transient_error
        for part in ("Quo", "quo_calls", "1 tries", "It has trouble", "HTTP 500", "next one reads"):
            assert part in str(last.error_message)

    def test_429_is_tried_for_hours(self) -> None:
        patient = handler(on(429, "RATE_LIMITED", "Quo says slow down."))
        actions = {patient.interpret_response(answer(429)).response_action for _ in range(900)}
        assert actions == {ResponseAction.RATE_LIMITED}
        assert patient.max_retries == 1000
        assert patient.max_time == 6 * 3600

    @pytest.mark.parametrize("between", [200, 429])
    def test_the_count_begins_anew_after_another_answer(self, between: int) -> None:
        """A request that was answered is over, and a provider that says 429 works."""
        patient = handler(on(500, "RETRY", "trouble"), on(429, "RATE_LIMITED", "slow"))
        for _ in range(4):
            for _ in range(2):
                found = patient.interpret_response(answer(500))
                assert found.response_action == ResponseAction.RETRY
            patient.interpret_response(answer(between))

    def test_the_next_request_of_the_thread_has_its_own_tries(self) -> None:
        patient = handler(on(500, "RETRY", "trouble"))
        actions = [patient.interpret_response(answer(500)).response_action for _ in range(6)]
        assert actions == [ResponseAction.RETRY, ResponseAction.RETRY, ResponseAction.FAIL] * 2

    def test_a_config_error_after_all_tries_keeps_its_words(self) -> None:
        refusal = on(503, "RETRY", "Check the thing.")
        patient = handler(refusal, max_retries=0)
        resolution = patient.interpret_response(answer(503))
        resolution.failure_type = FailureType.config_error
        last = patient._gave_up(resolution, answer(503))
        assert last.response_action == ResponseAction.FAIL
        assert last.failure_type == FailureType.config_error

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
    def test_a_network_error_is_told_in_words(
        self, error: requests.RequestException, said: str
    ) -> None:
        message = str(handler().interpret_response(error).error_message)
        assert said in message
        assert str(error) not in message


class Fixed(BackoffStrategy):
    """Remembers the attempts that it was asked for."""

    def __init__(self) -> None:
        self.attempts: list[int] = []

    def backoff_time(
        self,
        response_or_exception: requests.Response | requests.RequestException | None,
        attempt_count: int,
    ) -> float | None:
        self.attempts.append(attempt_count)
        return 7.0


def test_the_exponential_wait_stops_growing() -> None:
    inner = Fixed()
    for attempt in (1, 5, 6, 7, 500):
        Capped(inner).backoff_time(answer(429), attempt)
    assert inner.attempts == [1, 5, 6, 6, 6]


@pytest.mark.parametrize(
    ("given", "wait"),
    [
        (answer(429), 7.0),
        (answer(503), 7.0),
        (answer(500), None),
        (answer(200), None),
        (requests.exceptions.ConnectionError("no answer"), None),
        (None, None),
    ],
)
def test_a_header_counts_only_where_the_answer_asks_to_wait(given: Any, wait: float | None) -> None:
    """Bota sends X-RateLimit-Reset with every answer, a 500 included."""
    assert WhenAsked(Fixed()).backoff_time(given, 1) == wait


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """The package's log, whatever a test before has done to its logger."""
    with caplog.at_level(logging.INFO, "airbyte"):
        logging.getLogger("airbyte").addHandler(caplog.handler)
        yield caplog
        logging.getLogger("airbyte").removeHandler(caplog.handler)


def test_skips_are_one_line_per_stream_most_frequent_first(
    lines: pytest.LogCaptureFixture,
) -> None:
    skips = Skips()
    for reason in ("no recording", "gone", "no recording"):
        skips.add("quo_call_recordings", reason)
    skips.add("amigo_recording_urls", "gone")
    skips.log()
    said = list(dict.fromkeys(lines.messages))
    assert said == [
        "Stream amigo_recording_urls skipped 1 without a record: 1 x gone.",
        "Stream quo_call_recordings skipped 3 without a record: 2 x no recording, 1 x gone.",
    ]


def test_nothing_skipped_is_no_line(lines: pytest.LogCaptureFixture) -> None:
    Skips().log()
    assert lines.messages == []


def test_an_ignored_answer_is_counted() -> None:
    patient = handler(on(404, "IGNORE", "no recording"))
    patient.interpret_response(answer(404))
    patient.interpret_response(answer(404))
    assert patient.skips is not None
    assert dict(patient.skips._counts) == {("quo_calls", "no recording"): 2}


class TestExplained:
    def test_what_is_explained_stays(self) -> None:
        error = UserError("Check the key.")
        assert explained(error, "quo_calls") is error
        assert repr(error) == "Check the key."

    def test_a_header_that_can_not_be_sent_is_not_quoted(self) -> None:
        error = explained(requests.exceptions.InvalidHeader("SECRET\n"), "quo_calls")
        assert error.failure_type == FailureType.config_error
        assert "SECRET" not in f"{error.message}{error.internal_message}"

    def test_an_error_of_ours_is_a_system_error_with_its_kind(self) -> None:
        error = explained(KeyError("data"), "quo_calls")
        assert error.failure_type == FailureType.system_error
        assert "Quo" in str(error.message) and "KeyError" in str(error.message)

    def test_a_config_error_becomes_one_without_a_trace(self) -> None:
        cause = AirbyteTracedException(
            message="Check the key.",
            internal_message="401 Request (body): password",
            failure_type=FailureType.config_error,
        )
        error = explained(cause, "quo_calls")
        assert isinstance(error, UserError)
        assert error.internal_message == "401"
        trace = error.as_airbyte_message().trace
        assert trace and trace.error and trace.error.stack_trace is None

    def test_any_other_keeps_its_kind(self) -> None:
        cause = AirbyteTracedException(message="x", failure_type=FailureType.transient_error)
        error = explained(cause, "quo_calls")
        assert type(error) is Explained
        assert error.failure_type == FailureType.transient_error


def log_line(level: int, message: str, error: Exception | None = None) -> logging.LogRecord:
    info = (type(error), error, None) if error else None
    return logging.LogRecord("airbyte", level, "", 0, message, (), info)


def test_the_log_filters() -> None:
    """No line per ignored answer, no body of a request, no trace of a user's mistake; debug lines not for the login."""
    assert not terse(log_line(logging.INFO, "ignored"))
    assert terse(log_line(logging.DEBUG, "sent"))
    failed = log_line(logging.ERROR, "401 Request (body): password", KeyError())
    assert terse(failed)
    assert failed.getMessage() == without_bodies("401 Request (body): x") == "401"
    assert failed.exc_info is None
    assert not no_debug(log_line(logging.DEBUG, "password"))
    assert no_debug(log_line(logging.WARNING, "refused"))
    for error, kept in ((UserError("x"), False), (KeyError(), True)):
        line = log_line(logging.ERROR, "failed", error)
        assert without_stack_trace(line)
        assert bool(line.exc_info) is kept
