"""Errors in words for the person who reads them in a job's log."""

import logging
from collections import Counter
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


class UserError(AirbyteTracedException):
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


def not_info(record: logging.LogRecord) -> bool:
    """A log filter: drops the information, keeps debugging, warnings and errors."""
    return record.levelno != logging.INFO


def explained(error: Exception, stream_name: str) -> AirbyteTracedException:
    """The error as a traced one whose message names the provider and says what happens next."""
    vendor = stream_name.split("_", 1)[0].title()
    if not isinstance(error, AirbyteTracedException):
        return AirbyteTracedException(
            message=f"{vendor}: stream {stream_name} met an answer that it can't read ({type(error).__name__}).",
            internal_message=repr(error),
            failure_type=FailureType.system_error,
            exception=error,
        )
    cause = error._exception
    if error.failure_type == FailureType.config_error:
        text = cause_text(cause) if isinstance(cause, BaseBackoffException) else str(error)
        return UserError(text, internal_message=error.internal_message)
    if not isinstance(cause, BaseBackoffException):
        return error
    message = (
        f"{vendor} did not give an answer to a request of stream {stream_name}: {cause_text(cause)} "
        "The rest of the sync went on; the next one reads what was missed."
    )
    return AirbyteTracedException(
        message=message,
        internal_message=error.internal_message,
        failure_type=error.failure_type,
        exception=error,
    )


def cause_text(error: BaseBackoffException) -> str:
    """What the last try met, without the request's URL: it may carry a signature."""
    answer = error.response
    if isinstance(answer, requests.Response):
        said = str(error).split("Error: ", 1)[-1]
        return f"{said} (HTTP {answer.status_code})" if "HTTP" not in said else said
    if isinstance(answer, requests.exceptions.SSLError):
        return "the TLS connection failed; check `base_url` and the host's certificate."
    if isinstance(answer, requests.exceptions.Timeout):
        return "no answer in time."
    if isinstance(answer, requests.exceptions.ConnectionError):
        return "the host could not be reached or broke the connection; check `base_url` and the network."
    return f"{type(answer).__name__}."


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
