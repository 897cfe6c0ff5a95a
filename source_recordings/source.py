"""The source: which streams there are, and the reading of those that a catalog asks for."""

import logging
from collections.abc import Iterator, Mapping
from queue import Queue
from typing import Any

from airbyte_cdk import AirbyteTracedException, ConcurrentSource, ConnectorStateManager, InMemoryMessageRepository
from airbyte_cdk.models import (
    AirbyteCatalog,
    AirbyteConnectionStatus,
    AirbyteErrorTraceMessage,
    AirbyteMessage,
    AirbyteStateMessage,
    ConfiguredAirbyteCatalog,
    ConnectorSpecification,
    FailureType,
    Status,
)

from source_recordings.cdk import BaseSource, ConcurrentMessageRepository, DebugSliceLogger
from source_recordings.check import check_providers
from source_recordings.errors import Explained, PassingError, UserError
from source_recordings.provider import Provider
from source_recordings.provider_yaml import load_providers
from source_recordings.spec import DOCUMENTATION_URL, build_spec
from source_recordings.streams import WindowPartitions, as_cdk_stream
from source_recordings.sync import Sync, connected

CDK_THREADS = 128
"""The CDK's threads hand on, and wait for those that make requests: there must be enough that a slow provider's windows
leave some to the others."""

GENERATORS = 32


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
    ) -> None:
        """`config` must have passed `config.problems`; without one, the source can only tell its spec.

        `providers` are those of the package unless others are given.
        """
        self._providers = load_providers() if providers is None else providers
        self._config = config or {}
        self._state = state
        self._queue: Queue[Any] = Queue(maxsize=10_000)
        self.message_repository = ConcurrentMessageRepository(self._queue, InMemoryMessageRepository())

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
        states = ConnectorStateManager(state if self._state is None else self._state)
        wanted = {configured.stream.name: configured for configured in catalog.streams}
        sync = Sync(self._providers, config, wanted)
        try:
            offered = {stream.name: (c, stream) for c, stream in sync.streams()}
            streams = [
                sync.cdk_stream(*offered[name], configured, states, self.message_repository)
                for name, configured in wanted.items()
                if name in offered
            ]
            if streams:
                for message in self._concurrent(logger).read(list(streams)):
                    _note_failure(message, failures)
                    yield message
        except AirbyteTracedException as error:
            # The CDK calls the end of any sync with an error a config error, and quotes the errors' internals.
            if not failures:
                raise
            raise _summary(failures) from error
        finally:
            sync.close()
        missing = sorted(wanted.keys() - offered.keys())
        if missing:
            raise UserError(
                f"The config does not offer: {', '.join(missing)}. Check the name, connect the provider, take away its list "
                "of IDs, or take these streams out of the sync. What else was selected has been synced."
            )

    def _concurrent(self, logger: logging.Logger) -> ConcurrentSource:
        return ConcurrentSource.create(
            num_workers=CDK_THREADS,
            initial_number_of_partitions_to_generate=GENERATORS,
            logger=logger,
            slice_logger=DebugSliceLogger(),
            message_repository=self.message_repository,
            queue=self._queue,
        )


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
