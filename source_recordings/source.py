"""The source: the assembled manifest, built from the package's components."""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from airbyte_cdk.models import (
    AirbyteConnectionStatus,
    AirbyteErrorTraceMessage,
    AirbyteMessage,
    AirbyteStateMessage,
    ConfiguredAirbyteCatalog,
    FailureType,
    Status,
)
from airbyte_cdk.sources.declarative.concurrent_declarative_source import (
    ConcurrentDeclarativeSource,
)
from airbyte_cdk.utils import AirbyteTracedException

from source_recordings.check import check_providers
from source_recordings.components import templates
from source_recordings.components.errors import Explained, Skips, UserError
from source_recordings.components.factory import RecordingsComponentFactory
from source_recordings.components.workers import Workers
from source_recordings.manifest import build_manifest

DEFAULT_WORKERS = 16
CDK_THREADS = 128

templates.install()


class SourceRecordings(ConcurrentDeclarativeSource):
    """Recordings of Bird, Amigo, Quo, Bota and Tether as an Airbyte source."""

    def __init__(
        self,
        catalog: ConfiguredAirbyteCatalog | None = None,
        config: Mapping[str, Any] | None = None,
        state: list[AirbyteStateMessage] | None = None,
        config_path: str | None = None,
    ) -> None:
        """`config` must have passed `config.problems`; without one, the source can only tell its spec."""
        manifest = build_manifest()
        # The CDK's threads list, and wait for those of `Workers`, which limits the requests: there must be enough that a
        # slow provider's windows leave some to the others.
        manifest["concurrency_level"]["default_concurrency"] = CDK_THREADS
        super().__init__(
            catalog=catalog,
            config=config,
            state=state,
            source_config=manifest,
            config_path=config_path,
        )
        workers = int((config or {}).get("num_workers") or DEFAULT_WORKERS)
        self._skips = Skips()
        self._workers = Workers(workers)
        self._constructor = RecordingsComponentFactory(
            message_repository=self._constructor.get_message_repository(),
            connector_state_manager=self._connector_state_manager,
            configured_catalog=catalog,
            workers=self._workers,
            skips=self._skips,
        )

    def check(self, logger: logging.Logger, config: Mapping[str, Any]) -> AirbyteConnectionStatus:
        """Asks every connected provider once; the message lists all that failed, with what to do."""
        failures = check_providers(self._stream_configs(self._source_config), self._config)
        if failures:
            return AirbyteConnectionStatus(status=Status.FAILED, message="\n".join(failures))
        return AirbyteConnectionStatus(status=Status.SUCCEEDED)

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
        try:
            with self._workers:
                for message in super().read(logger, config, catalog, state):
                    _note_failure(message, failures)
                    yield message
        except AirbyteTracedException as error:
            # The CDK calls the end of any sync with an error a config error, and quotes the errors' internals.
            if not failures:
                raise
            raise _summary(failures) from error
        finally:
            self._skips.log()
        offered = {stream["name"] for stream in self._stream_configs(self._source_config)}
        missing = sorted({s.stream.name for s in catalog.streams} - offered)
        if missing:
            raise UserError(
                f"The config does not offer: {', '.join(missing)}. Check the name, connect the provider, take away its list "
                "of IDs, or take these streams out of the sync. What else was selected has been synced."
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
    return Explained(message=message, failure_type=FailureType.transient_error)
