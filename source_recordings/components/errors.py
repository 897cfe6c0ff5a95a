"""Errors in words for the person who reads them in a job's log."""

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from threading import Lock, local
from typing import Any

import requests
from airbyte_cdk.models import AirbyteMessage, FailureType, StreamDescriptor
from airbyte_cdk.sources.declarative.requesters.error_handlers import (
    DefaultErrorHandler,
    HttpResponseFilter,
)
from airbyte_cdk.sources.streams.http.error_handlers import BackoffStrategy, ErrorResolution
from airbyte_cdk.sources.streams.http.error_handlers.response_models import ResponseAction
from airbyte_cdk.sources.streams.http.exceptions import BaseBackoffException
from airbyte_cdk.utils import AirbyteTracedException

logger = logging.getLogger("airbyte")

NEXT_STEP = "The rest of the sync goes on; the next one reads what was missed."


class Explained(AirbyteTracedException):
    """An error whose message is written for a person; the end of a sync repeats it instead of its internals."""

    def __repr__(self) -> str:
        return self.message or ""


class UserError(Explained):
    """A config error: the message says what to change, and there is no stack trace to distract from it."""

    def __init__(self, message: str, internal_message: str | None = None, **kwargs: Any) -> None:
        super().__init__(
            message=message,
            internal_message=internal_message or message,
            failure_type=FailureType.config_error,
        )

    def as_airbyte_message(
        self, stream_descriptor: StreamDescriptor | None = None
    ) -> AirbyteMessage:
        message = super().as_airbyte_message(stream_descriptor)
        message.trace.error.stack_trace = None  # type: ignore[union-attr]
        return message


def without_stack_trace(record: logging.LogRecord) -> bool:
    """A log filter: the line about a user's mistake stays, its stack trace goes."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, AirbyteTracedException) and error.failure_type == FailureType.config_error:
        record.exc_info = None
        record.exc_text = None
    return True


def terse(record: logging.LogRecord) -> bool:
    """A log filter for the CDK's HTTP client: no line per ignored answer, no stack trace and no body per failed request.

    A login's body is a password, and the CDK's filter of secrets does not know it by the form that it has there.
    """
    if record.levelno == logging.INFO:
        return False
    if record.levelno > logging.INFO:
        record.msg, record.args = without_bodies(record.getMessage()), ()
        record.exc_info = None
        record.exc_text = None
    return True


def without_bodies(text: str) -> str:
    """The CDK's account of a failed request up to the body of the request."""
    return text.split(" Request (body):", 1)[0]


def vendor_of(stream_name: str) -> str:
    """The provider's name as people write it."""
    return stream_name.split("_", 1)[0].title()


def explained(error: Exception, stream_name: str) -> Explained:
    """The error with a message that names the provider and says what to do or what happens next."""
    if isinstance(error, Explained):
        return error
    vendor = vendor_of(stream_name)
    if isinstance(error, requests.exceptions.InvalidHeader):
        # Its text is the header, the credential that is.
        return UserError(
            f"{vendor}'s credential has characters that a request can't carry. Copy it again."
        )
    if not isinstance(error, AirbyteTracedException):
        return Explained(
            message=f"{vendor}: stream {stream_name} met an answer that it can't read ({type(error).__name__}).",
            internal_message=repr(error),
            failure_type=FailureType.system_error,
            exception=error,
        )
    text = str(error)
    # The connection check has no second try, and then the CDK gives the last try's error.
    if isinstance(error._exception, BaseBackoffException):
        said = str(error._exception).split("Error: ", 1)[-1]
        text = f"{vendor} did not give an answer: {said}"
    internal = without_bodies(error.internal_message or "")
    if error.failure_type == FailureType.config_error:
        return UserError(text, internal_message=internal)
    return Explained(
        message=text, internal_message=internal, failure_type=error.failure_type, exception=error
    )


def _network_account(error: Exception) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        return "The TLS connection failed; check `base_url` and the host's certificate."
    if isinstance(error, requests.exceptions.Timeout):
        return "There was no answer in time."
    if isinstance(error, requests.exceptions.ConnectionError):
        return "The host could not be reached, or broke the connection; check `base_url` and the network."
    return f"The request failed ({type(error).__name__})."


class Skips:
    """Counts what a stream skipped and why, for one line at its end."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lock = Lock()

    def add(self, stream_name: str, reason: str) -> None:
        with self._lock:
            self._counts[stream_name, reason] += 1

    def log(self) -> None:
        """One line per stream that skipped something."""
        with self._lock:
            for stream_name in sorted({name for name, _ in self._counts}):
                reasons = [(n, r) for (name, r), n in self._counts.items() if name == stream_name]
                listed = ", ".join(f"{n} x {reason}" for n, reason in sorted(reasons, reverse=True))
                total = sum(n for n, _ in reasons)
                logger.info(
                    "Stream %s skipped %d without a record: %s.", stream_name, total, listed
                )


class PatientErrorHandler(DefaultErrorHandler):
    """The CDK's error handler, which tells "slow down" from "broken" and counts the answers that it ignores.

    The CDK has one number of tries for both, so that a provider that says 429 six times fails the sync. Here a 429 is
    waited out for hours; everything else is tried `max_retries` times again and then fails with words for a person.
    """

    RATE_LIMITED_TRIES = 1000
    RATE_LIMITED_SECONDS = 6 * 60 * 60

    stream_name: str = ""
    skips: Skips | None = None

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        super().__post_init__(parameters)
        self._retries = int(self.max_retries or 0)
        self.max_retries = self.RATE_LIMITED_TRIES
        self.max_time = self.RATE_LIMITED_SECONDS
        self._thread = local()  # a thread tries one request at a time

    def interpret_response(
        self, response_or_exception: requests.Response | Exception | None
    ) -> ErrorResolution:
        resolution = super().interpret_response(response_or_exception)
        if isinstance(response_or_exception, Exception):
            resolution = replace(resolution, error_message=_network_account(response_or_exception))
        if resolution.response_action == ResponseAction.IGNORE and self.skips:
            self.skips.add(self.stream_name, resolution.error_message or "ignored")
        if resolution.response_action != ResponseAction.RETRY:
            self._thread.tries = 0
            return resolution
        self._thread.tries = getattr(self._thread, "tries", 0) + 1
        if self._thread.tries <= self._retries:
            return resolution
        self._thread.tries = 0
        return self._gave_up(resolution, response_or_exception)

    def _gave_up(
        self, resolution: ErrorResolution, last: requests.Response | Exception | None
    ) -> ErrorResolution:
        said = resolution.error_message or "no reason given"
        if resolution.failure_type == FailureType.config_error:
            return replace(resolution, response_action=ResponseAction.FAIL)
        if isinstance(last, requests.Response):
            said = f"{said.rstrip('.')} (HTTP {last.status_code})."
        return ErrorResolution(
            response_action=ResponseAction.FAIL,
            failure_type=FailureType.transient_error,
            error_message=(
                f"{vendor_of(self.stream_name)} did not give an answer to a request of stream {self.stream_name}, "
                f"{self._retries + 1} tries: {said} {NEXT_STEP}"
            ),
        )


class RetryThenFailFilter(HttpResponseFilter):
    """Lets `failure_type` say what an error is that stays after all retries, not only one that fails at once."""

    def matches(
        self, response_or_exception: requests.Response | Exception | None
    ) -> ErrorResolution | None:
        resolution = super().matches(response_or_exception)
        if resolution and self.failure_type and resolution.response_action == ResponseAction.RETRY:
            resolution.failure_type = FailureType(self.failure_type)
        return resolution


class WhenAsked(BackoffStrategy):
    """A wait from a header, only where the answer asks for one: Bota sends X-RateLimit-Reset with every answer."""

    def __init__(self, strategy: BackoffStrategy) -> None:
        self._strategy = strategy

    def backoff_time(
        self,
        response_or_exception: requests.Response | requests.RequestException | None,
        attempt_count: int,
    ) -> float | None:
        if not isinstance(response_or_exception, requests.Response):
            return None
        if response_or_exception.status_code not in (429, 503):
            return None
        return self._strategy.backoff_time(response_or_exception, attempt_count)


class Capped(BackoffStrategy):
    """An exponential wait that stops growing after about a minute."""

    def __init__(self, strategy: BackoffStrategy) -> None:
        self._strategy = strategy

    def backoff_time(
        self,
        response_or_exception: requests.Response | requests.RequestException | None,
        attempt_count: int,
    ) -> float | None:
        return self._strategy.backoff_time(response_or_exception, min(attempt_count, 6))


def no_debug(record: logging.LogRecord) -> bool:
    """A log filter for the login: its bodies are the password and the token."""
    return record.levelno != logging.DEBUG
