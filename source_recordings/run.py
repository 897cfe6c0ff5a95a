"""From the command line to the source: what the console script `source-recordings` calls."""

import json
import logging
import os
import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from threading import Event, Thread
from typing import Any
from urllib.parse import quote

from airbyte_cdk import AirbyteEntrypoint, AirbyteTracedException
from airbyte_cdk.models import ConnectorSpecification, FailureType

from source_recordings.cdk import PRINT_BUFFER, PrintBuffer, get_secrets, update_secrets
from source_recordings.config import problems, unknown_keys
from source_recordings.errors import UserError, without_stack_trace
from source_recordings.provider_yaml import load_providers
from source_recordings.source import SourceRecordings
from source_recordings.spec import build_spec

logger = logging.getLogger("airbyte")

SHORTEST_SECRET = 4
LONGEST_REASON = 500


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
        """Hides secrets from the output, also as they look in a JSON body and in a URL.

        Very short ones are left: to mask every "a" would mask the protocol itself.
        """
        secrets = [str(s) for s in get_secrets(connection_specification, config)]
        forms = {f for s in secrets for f in (s, json.dumps(s)[1:-1], quote(s, safe=""))}
        update_secrets([form for form in forms if len(form) >= SHORTEST_SECRET])


def run(args: list[str] | None = None) -> None:
    """Runs one command of the Airbyte protocol; all that it prints on stdout are protocol messages.

    Exits with 1 after a failure, 2 for a wrong command line.
    """
    parsed = AirbyteEntrypoint.parse_args(sys.argv[1:] if args is None else args)
    if not parsed.command:
        AirbyteEntrypoint.parse_args(["--help"])
    for handler in logging.getLogger().handlers:
        handler.addFilter(without_stack_trace)
    failed = False
    with PRINT_BUFFER, _flushed(PRINT_BUFFER), _without_pipes(parsed):
        try:
            for message in Entrypoint(create_source(parsed)).run(parsed):
                print(f"{message}\n", end="")
        except Exception as error:  # noqa: BLE001  whatever it is, it becomes a message of the protocol
            failed = True
            _as_traced(error).emit_message()
    if failed:
        sys.exit(1)


@contextmanager
def _flushed(buffer: PrintBuffer) -> Iterator[None]:
    """Writes out what the CDK's buffer holds every second: otherwise only the next message does, which may be far off."""
    over = Event()

    def flush() -> None:
        while not over.wait(1):
            buffer.flush()

    thread = Thread(target=flush, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def _without_pipes(parsed: Namespace) -> Iterator[None]:
    """Puts a file in the place of a pipe, as in `--config <(...)`: the CDK reads each more than once."""
    with ExitStack() as files:
        for what in ("config", "catalog", "state"):
            path = Path(getattr(parsed, what, None) or "")
            if path.is_fifo():
                file = files.enter_context(NamedTemporaryFile())  # its user's alone
                file.write(path.read_bytes())
                file.flush()
                setattr(parsed, what, file.name)
        yield


def _as_traced(error: Exception) -> AirbyteTracedException:
    if not isinstance(error, AirbyteTracedException):
        logger.fatal("The connector met an error that it does not know.", exc_info=error)
        return AirbyteTracedException.from_exception(
            error, message=f"The connector met an error that it does not know: {type(error).__name__}."
        )
    if error.failure_type == FailureType.config_error and not isinstance(error, UserError):
        return UserError(str(error), internal_message=error.internal_message)
    return error


def create_source(parsed: Namespace) -> SourceRecordings:
    """The source for a parsed command line; one without a config if the config is missing or wrong.

    Raises a config error for a file that can't be read.
    """
    config = _read("config", SourceRecordings.read_config, parsed)
    providers = load_providers()
    if config is None or problems(config, build_spec(providers)):
        return SourceRecordings(providers=providers)
    return SourceRecordings(
        catalog=_read("catalog", SourceRecordings.read_catalog, parsed),
        config=config,
        state=_read("state", SourceRecordings.read_state, parsed),
        config_path=parsed.config,
        providers=providers,
    )


def _read(what: str, reader: Any, parsed: Namespace) -> Any:
    path = getattr(parsed, what, None)
    if not path:
        return None
    try:
        return reader(path)
    except Exception as error:  # noqa: BLE001  the readers raise what they like
        raise UserError(
            f"The {what} file {path} can't be read as an Airbyte {what}: {_reason(what, error)}",
            internal_message=f"{type(error).__name__}: {error}",
        ) from None


def _reason(what: str, error: Exception) -> str:
    if isinstance(error, PermissionError):
        return "no permission. The user that runs this must be able to read it; in a container that is user 1000."
    if isinstance(error, OSError):
        return f"{os.strerror(error.errno or 0)}. Check the path."
    if isinstance(error.__context__, json.JSONDecodeError):
        place = error.__context__
        return f"it is no JSON, from line {place.lineno}, column {place.colno} on."
    # A config is not quoted: it holds secrets.
    return f"{error}"[:LONGEST_REASON] if what != "config" else "it must hold one JSON object."
