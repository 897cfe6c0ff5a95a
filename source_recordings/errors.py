"""Errors in words for the person who reads them in a job's log."""

import logging
import traceback
from pathlib import Path
from typing import Any

from airbyte_cdk import AirbyteTracedException
from airbyte_cdk.models import AirbyteMessage, FailureType, StreamDescriptor

NEXT_STEP = "The rest of the sync goes on; the next one reads what was missed."


class Explained(AirbyteTracedException):
    """An error whose message is written for a person; the end of a sync repeats it instead of its internals."""

    origin: BaseException | None = None
    """What went wrong inside, where that tells more than this."""

    def __repr__(self) -> str:
        return self.message or ""

    def as_airbyte_message(self, stream_descriptor: StreamDescriptor | None = None) -> AirbyteMessage:
        message = super().as_airbyte_message(stream_descriptor)
        message.trace.error.stack_trace = stack_of(self.origin or self)  # type: ignore[union-attr]
        return message


class UserError(Explained):
    """A config error: the message says what to change, and there is no stack trace to distract from it."""

    def __init__(self, message: str, internal_message: str | None = None, **_: Any) -> None:
        super().__init__(
            message=message, internal_message=internal_message or message, failure_type=FailureType.config_error
        )

    def as_airbyte_message(self, stream_descriptor: StreamDescriptor | None = None) -> AirbyteMessage:
        message = super().as_airbyte_message(stream_descriptor)
        message.trace.error.stack_trace = None  # type: ignore[union-attr]
        return message


class PassingError(Explained):
    """An error that another sync may not meet."""

    def __init__(self, message: str, internal_message: str | None = None, **_: Any) -> None:
        super().__init__(
            message=message, internal_message=internal_message or message, failure_type=FailureType.transient_error
        )


class UnexpectedError(Explained):
    """An answer that no document explains, or a mistake of this program."""

    def __init__(
        self, message: str, internal_message: str | None = None, exception: BaseException | None = None, **_: Any
    ) -> None:
        super().__init__(
            message=message,
            internal_message=internal_message or message,
            failure_type=FailureType.system_error,
            exception=exception,
        )
        self.origin = exception


def is_config_error(error: BaseException | None) -> bool:
    """Whether no further request can mend it."""
    return isinstance(error, AirbyteTracedException) and error.failure_type == FailureType.config_error


def explained(error: Exception, title: str, stream_name: str) -> AirbyteTracedException:
    """The error with a message that names the provider, whatever it was before."""
    if isinstance(error, AirbyteTracedException):
        return error
    return UnexpectedError(
        f"{title}: stream {stream_name} met an answer that it can't read ({type(error).__name__}).",
        internal_message=place_of(error),
        exception=error,
    )


def named(error: AirbyteTracedException, title: str) -> AirbyteTracedException:
    """The error as it is shown: a passing one is a provider's, so that its message says whose."""
    if not isinstance(error, PassingError) or title in (error.message or ""):
        return error
    return PassingError(f"{title}: {error.message}", error.internal_message)


def stack_of(error: BaseException) -> str:
    """Where an error comes from: places and kinds, but no texts except ours. Others quote answers, addresses, keys."""
    parts: list[str] = []
    seen: set[int] = set()
    following: BaseException | None = error
    while following and id(following) not in seen:
        seen.add(id(following))
        kind = type(following)
        said = f": {following}" if isinstance(following, Explained) else ""
        parts.append(f"{''.join(traceback.format_tb(following.__traceback__))}{kind.__module__}.{kind.__name__}{said}")
        following = following.__cause__ or (None if following.__suppress_context__ else following.__context__)
    return "Traceback (most recent call last):\n" + "\n\n".join(reversed(parts)) + "\n"


def place_of(error: BaseException) -> str:
    """The kind of the error and the line that raised it, in place of a text that may quote anything."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"


def without_stack_trace(record: logging.LogRecord) -> bool:
    """A log filter: the line about a user's mistake stays, its stack trace goes."""
    if record.exc_info and is_config_error(record.exc_info[1]):
        record.exc_info = None
        record.exc_text = None
    return True
