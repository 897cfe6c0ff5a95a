"""From the command line to the source: what a command prints, and how it ends."""

import errno
import logging
import os
import sys
import threading
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from airbyte_cdk import AirbyteEntrypoint, AirbyteTracedException
from airbyte_cdk.models import AirbyteMessage, ConnectorSpecification, FailureType, Type

from source_recordings.cdk import PRINT_BUFFER, PrintBuffer, get_secrets, update_secrets
from source_recordings.config import problems, unknown_keys
from source_recordings.errors import Explained, UnexpectedError, UserError, place_of
from source_recordings.inputs import read_catalog, read_config, read_state
from source_recordings.provider_yaml import load_providers
from source_recordings.redact import LogFormatter, forms_of, is_for_the_log, redacted
from source_recordings.source import SourceRecordings
from source_recordings.stop import Stop, check_reader

logger = logging.getLogger("airbyte")


class Entrypoint(AirbyteEntrypoint):
    """The CDK's commands, with a config that is checked in words that name the key."""

    @staticmethod
    def validate_connection(source_spec: ConnectorSpecification, config: Mapping[str, Any]) -> None:
        """Raises a config error that lists everything to change."""
        found = problems(config, source_spec.connectionSpecification)
        if found:
            raise UserError(" ".join(found))
        for warning in unknown_keys(config, source_spec.connectionSpecification):
            logger.warning(warning)

    @staticmethod
    def set_up_secret_filter(config: Any, connection_specification: Mapping[str, Any]) -> None:
        """Hides secrets from the output, in each form that they may have there."""
        update_secrets(forms_of(str(secret) for secret in get_secrets(connection_specification, config)))

    def run(self, parsed: Namespace) -> Iterator[str]:
        """The lines of one command.

        The CDK's own keeps a copy of the config, with its keys, in a temporary folder, and fails where there is none.
        """
        if parsed.debug or os.environ.get("LOG_LEVEL", "").lower() == "debug":
            logger.setLevel(logging.DEBUG)
        spec = self.source.spec(logger)
        messages = [AirbyteMessage(type=Type.SPEC, spec=spec)] if parsed.command == "spec" else self._ask(parsed, spec)
        try:
            for message in messages:
                yield self.airbyte_message_to_string(redacted(message))
        finally:
            for message in self._emit_queued_messages(self.source):
                print_line(self.airbyte_message_to_string(redacted(message)))

    def _ask(self, parsed: Namespace, spec: ConnectorSpecification) -> Iterable[AirbyteMessage]:
        config = read_config(parsed.config)
        if parsed.command == "check":
            return self.check(spec, config)
        if parsed.command == "discover":
            return self.discover(spec, config)
        self.set_up_secret_filter(config, spec.connectionSpecification)
        if problems(config, spec.connectionSpecification):
            self.validate_connection(spec, config)
        assert isinstance(self.source, SourceRecordings)
        catalog = read_catalog(parsed.catalog)
        state = read_state(parsed.state, self.source.all_streams) if parsed.state else []
        return self.read(spec, config, catalog, state)


def run(args: list[str] | None = None) -> None:
    """Runs one command of the Airbyte protocol; all that it prints on stdout are protocol messages.

    Exits with 1 after a failure, 2 for a wrong command line. Without `args` it is the program itself, which a signal ends.
    """
    stop = Stop()
    if args is not None:
        code = _command(args, stop)
    else:
        with stop.listening():
            code = _program(stop)
    if code:
        sys.exit(code)


def _program(stop: Stop) -> int:
    if sys.__stdout__ is None:
        stop.output_lost(OSError(errno.EBADF, os.strerror(errno.EBADF)))
    try:
        try:
            code = _command(sys.argv[1:], stop)
        finally:
            sys.__stdout__.flush()
    except OSError as error:
        stop.output_lost(error)
    if stop.is_wanted:
        stop.leave(stop.code)
    return code


def _command(args: list[str], stop: Stop) -> int:
    parsed = AirbyteEntrypoint.parse_args(args)
    if not parsed.command:
        AirbyteEntrypoint.parse_args(["--help"])
    for handler in logging.getLogger().handlers:
        handler.setFormatter(LogFormatter())
        handler.addFilter(is_for_the_log)
    threading.excepthook = _log_failed_thread
    with PRINT_BUFFER, _flushed(PRINT_BUFFER, stop):
        try:
            for line in Entrypoint(SourceRecordings(providers=load_providers(), stop=stop)).run(parsed):
                print_line(line)
        except Exception as error:  # noqa: BLE001  whatever it is, it becomes a message of the protocol
            message = redacted(_as_explained(error).as_airbyte_message())
            print_line(AirbyteEntrypoint.airbyte_message_to_string(message))
            return 1
    return 0


def print_line(line: str) -> None:
    """In one piece: other threads print too."""
    print(f"{line}\n", end="")


@contextmanager
def _flushed(buffer: PrintBuffer, stop: Stop) -> Iterator[None]:
    """Writes out what the CDK's buffer holds every second: otherwise only the next message does, which may be far off."""
    over = threading.Event()

    def flush() -> None:
        try:
            while not over.wait(1):
                buffer.flush()
                check_reader()
        except OSError as error:
            if stop.is_listening:
                stop.output_lost(error)

    thread = threading.Thread(target=flush, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _log_failed_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value:
        logger.error("A thread has failed: %s.", place_of(args.exc_value), exc_info=args.exc_value)


def _as_explained(error: Exception) -> Explained:
    if isinstance(error, Explained):
        return error
    if not isinstance(error, AirbyteTracedException):
        logger.fatal("The connector met an error that it does not know.", exc_info=error)
        return UnexpectedError(
            f"The connector met an error that it does not know: {type(error).__name__}.", place_of(error), error
        )
    if error.failure_type == FailureType.config_error:
        return UserError(str(error), internal_message=error.internal_message)
    return UnexpectedError(str(error), error.internal_message, error)
