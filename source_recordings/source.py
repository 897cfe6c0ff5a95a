"""The source: which streams there are, and the reading of those that a catalog asks for."""

import logging
import time
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from queue import Queue
from typing import Any

from airbyte_cdk import AirbyteTracedException, ConcurrentSource, ConnectorStateManager, InMemoryMessageRepository
from airbyte_cdk.models import (
    AirbyteCatalog,
    AirbyteConnectionStatus,
    AirbyteErrorTraceMessage,
    AirbyteLogMessage,
    AirbyteMessage,
    AirbyteStateMessage,
    AirbyteStreamStatus,
    AirbyteStreamStatusTraceMessage,
    AirbyteTraceMessage,
    ConfiguredAirbyteCatalog,
    ConnectorSpecification,
    FailureType,
    Level,
    Status,
    StreamDescriptor,
    TraceType,
    Type,
)

from source_recordings.cdk import BaseSource, ConcurrentMessageRepository, DebugSliceLogger
from source_recordings.check import check_providers
from source_recordings.errors import Explained, PassingError, UserError, place_of
from source_recordings.provider import Provider
from source_recordings.provider_yaml import load_providers
from source_recordings.redact import redacted
from source_recordings.spec import DOCUMENTATION_URL, build_spec
from source_recordings.stop import Stop
from source_recordings.streams import UnifiedPartitions, WindowPartitions, as_cdk_stream
from source_recordings.sync import Sync, connected
from source_recordings.unified import UNIFIED

CDK_THREADS = 128
"""The CDK's threads hand on, and wait for those that make requests: there must be enough that a slow provider's windows
leave some to the others."""

GENERATORS = 32

WINDING_UP_SECONDS = 1.5
"""After a stop: so long the windows under way may still say how far they are. They look once a second."""


class SourceRecordings(BaseSource):
    """Call and voice recordings as an Airbyte source."""

    def __init__(
        self,
        catalog: ConfiguredAirbyteCatalog | None = None,
        config: Mapping[str, Any] | None = None,
        state: list[AirbyteStateMessage] | None = None,
        config_path: str | None = None,
        *,
        providers: Mapping[str, Provider] | None = None,
        stop: Stop | None = None,
    ) -> None:
        """As the CDK makes a source. `state` goes before the one that is given to `read`; the rest comes with each command.

        `providers` are those of the package unless others are given. `stop` ends a `read` before its time.
        """
        self._providers = load_providers() if providers is None else providers
        self._state = state
        self._stop = stop or Stop()
        self._last: AirbyteMessage | None = None
        """What is said when a stop has wound up; nothing comes after it."""
        self._queue: Queue[Any] = Queue(maxsize=10_000)
        self.message_repository = ConcurrentMessageRepository(self._queue, InMemoryMessageRepository())

    @property
    def all_streams(self) -> Collection[str]:
        """The names of all streams, whatever a config connects."""
        return [*(name for provider in self._providers.values() for name in provider.streams), *UNIFIED]

    def spec(self, logger: logging.Logger) -> ConnectorSpecification:
        return ConnectorSpecification(
            connectionSpecification=build_spec(self._providers), documentationUrl=DOCUMENTATION_URL
        )

    def check(self, logger: logging.Logger, config: Mapping[str, Any]) -> AirbyteConnectionStatus:
        """Asks every connected provider once; the message lists all that failed, with what to do."""
        failures = check_providers(self._providers, config)
        if failures:
            return AirbyteConnectionStatus(status=Status.FAILED, message="\n".join(failures))
        return AirbyteConnectionStatus(status=Status.SUCCEEDED)

    def discover(self, logger: logging.Logger, config: Mapping[str, Any]) -> AirbyteCatalog:
        """The streams of the connected providers."""
        found = []
        for provider, section in connected(self._providers, config):
            for stream in provider.offered(section):
                none = WindowPartitions(provider, stream, list, lambda _: [])
                incremental = provider.is_incremental(stream, section)
                as_cdk = as_cdk_stream(stream, none, None, self.message_repository, incremental=incremental)
                found.append(as_cdk.as_airbyte_stream())
        for name in UNIFIED:
            parts = [
                (provider.is_incremental(part, section), part)
                for provider, section in connected(self._providers, config)
                if (part := provider.part_of(name, section))
            ]
            if parts:
                incremental = any(is_incremental for is_incremental, _ in parts)
                nothing = UnifiedPartitions([])
                as_cdk = as_cdk_stream(parts[0][1], nothing, None, self.message_repository, incremental=incremental)
                found.append(as_cdk.as_airbyte_stream())
        return AirbyteCatalog(streams=found)

    def read(
        self,
        logger: logging.Logger,
        config: Mapping[str, Any],
        catalog: ConfiguredAirbyteCatalog,
        state: list[AirbyteStateMessage] | None = None,
    ) -> Iterator[AirbyteMessage]:
        """Raises a config error at the end if the catalog asks for streams that the config does not offer."""
        failures: dict[str, AirbyteErrorTraceMessage] = {}
        if not catalog.streams:
            logger.warning("The catalog selects no stream: there is nothing to sync.")
        states = _states_of(state if self._state is None else self._state)
        wanted = {configured.stream.name: configured for configured in catalog.streams}
        sync = Sync(self._providers, config, wanted)
        try:
            own = {stream.name: (c, stream) for c, stream in sync.streams()}
            unified = [name for name in UNIFIED if any(sync.parts(name))]
            offered = {*own, *unified}
            streams = [
                sync.cdk_stream(*own[name], configured, states, self.message_repository)
                if name in own
                else sync.unified_stream(name, configured, states, self.message_repository)
                for name, configured in wanted.items()
                if name in offered
            ]
            if streams:
                with self._stop.calls(partial(self._wind_up, sync), sync.drop_files):
                    for message in self._until_stopped(self._concurrent(logger).read(list(streams))):
                        _note_failure(message, failures)
                        yield redacted(message)
        except AirbyteTracedException as error:
            # The CDK calls the end of any sync with an error a config error, and quotes the errors' internals.
            if not failures:
                raise
            raise _summary(failures) from error
        finally:
            sync.close()
        if self._stop.is_wanted:
            return
        missing = sorted(wanted.keys() - offered)
        if missing:
            raise UserError(
                f"The config does not offer: {', '.join(missing)}. Check the name, connect the provider, take away its list "
                "of IDs, or take these streams out of the sync. What else was selected has been synced."
            )

    def _wind_up(self, sync: Sync) -> None:
        """Takes the work away from the threads, and a little later the main thread from them."""
        sync.stop()
        time.sleep(WINDING_UP_SECONDS)
        text = f"Stopped by {self._stop.by}. The next sync goes on from the last state."
        log = AirbyteLogMessage(level=Level.WARN, message=text)
        self._last = AirbyteMessage(type=Type.LOG, log=log)
        self._queue.put(self._last)

    def _until_stopped(self, messages: Iterator[AirbyteMessage]) -> Iterator[AirbyteMessage]:
        """All that has been read before a stop: every record comes before the state that counts it."""
        open_streams: dict[str, bool] = {}
        for message in messages:
            status = message.trace.stream_status if message.trace else None
            if status:
                open_streams[status.stream_descriptor.name] = status.status in _UNDER_WAY
            yield message
            # Only here: between other messages the CDK holds a record that it has taken from the queue.
            if message is self._last:
                break
        else:
            return
        yield from (_incomplete(name) for name, is_open in open_streams.items() if is_open)

    def _concurrent(self, logger: logging.Logger) -> ConcurrentSource:
        return ConcurrentSource.create(
            num_workers=CDK_THREADS,
            initial_number_of_partitions_to_generate=GENERATORS,
            logger=logger,
            slice_logger=DebugSliceLogger(),
            message_repository=self.message_repository,
            queue=self._queue,
        )


def _states_of(messages: list[AirbyteStateMessage] | None) -> ConnectorStateManager:
    try:
        return ConnectorStateManager(messages)
    except (ValueError, TypeError, AttributeError) as error:  # from a program around ours: see inputs.py for files
        raise UserError(
            "The state can't be read. Give the connector the states that it printed, or no state to start again.",
            internal_message=place_of(error),
        ) from None


_UNDER_WAY = (AirbyteStreamStatus.STARTED, AirbyteStreamStatus.RUNNING)


def _incomplete(name: str) -> AirbyteMessage:
    status = AirbyteStreamStatusTraceMessage(
        stream_descriptor=StreamDescriptor(name=name), status=AirbyteStreamStatus.INCOMPLETE
    )
    trace = AirbyteTraceMessage(
        type=TraceType.STREAM_STATUS, emitted_at=time.time_ns() // 1_000_000, stream_status=status
    )
    return AirbyteMessage(type=Type.TRACE, trace=trace)


def _note_failure(message: AirbyteMessage, failures: dict[str, AirbyteErrorTraceMessage]) -> None:
    error = message.trace.error if message.trace else None
    if error and error.stream_descriptor:
        first = failures.setdefault(error.stream_descriptor.name, error)
        if first.failure_type == FailureType.config_error:
            failures[error.stream_descriptor.name] = error


def _summary(failures: dict[str, AirbyteErrorTraceMessage]) -> Explained:
    """The end of a sync in which streams failed: what each has said, and what kind of error it is as a whole."""
    said = "\n".join(f"{name}: {failures[name].message}" for name in sorted(failures))
    message = f"These streams could not be read to their end:\n{said}"
    if all(error.failure_type == FailureType.config_error for error in failures.values()):
        return UserError(message)
    return PassingError(message)
