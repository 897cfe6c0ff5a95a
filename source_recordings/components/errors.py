"""Errors in words for the person who reads them in a job's log."""

import logging
from collections import Counter
from dataclasses import replace
from threading import Lock
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


def explained(error: Exception, stream_name: str) -> Explained:
    """The error with a message that names the provider and says what to do or what happens next."""
    if isinstance(error, Explained):
        return error
    vendor = stream_name.split("_", 1)[0].title()
    if not isinstance(error, AirbyteTracedException):
        return Explained(
            message=f"{vendor}: stream {stream_name} met an answer that it can't read ({type(error).__name__}).",
            internal_message=repr(error),
            failure_type=FailureType.system_error,
            exception=error,
        )
    internal = without_bodies(error.internal_message or "")
    last_try = error._exception if isinstance(error._exception, BaseBackoffException) else None
    if error.failure_type == FailureType.config_error:
        return UserError(_account(last_try) if last_try else str(error), internal_message=internal)
    if last_try:
        text = f"{vendor} did not give an answer to a request of stream {stream_name}: {_account(last_try)} {NEXT_STEP}"
    else:
        text = str(error)
    return Explained(
        message=text, internal_message=internal, failure_type=error.failure_type, exception=error
    )


def _account(last_try: BaseBackoffException) -> str:
    """What the last try met, without the request's URL: it may carry a signature."""
    said = str(last_try).split("Error: ", 1)[-1]
    answer = last_try.response
    if isinstance(answer, requests.Response) and "HTTP" not in said:
        return f"{said.rstrip('.')} (HTTP {answer.status_code})."
    return said


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


class CountingErrorHandler(DefaultErrorHandler):
    """The CDK's error handler, which also counts the answers that it ignores."""

    stream_name: str = ""
    skips: Skips | None = None

    def interpret_response(
        self, response_or_exception: requests.Response | Exception | None
    ) -> ErrorResolution:
        resolution = super().interpret_response(response_or_exception)
        if isinstance(response_or_exception, Exception):
            resolution = replace(resolution, error_message=_network_account(response_or_exception))
        if resolution.response_action == ResponseAction.IGNORE and self.skips:
            self.skips.add(self.stream_name, resolution.error_message or "ignored")
        return resolution


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
