"""The source: the assembled manifest, built from the package's components."""

import json
import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

from airbyte_cdk.models import (
    AirbyteConnectionStatus,
    AirbyteMessage,
    AirbyteStateMessage,
    ConfiguredAirbyteCatalog,
    Status,
)
from airbyte_cdk.sources.declarative.concurrent_declarative_source import (
    ConcurrentDeclarativeSource,
)
from airbyte_cdk.utils.airbyte_secrets_utils import add_to_secrets, get_secrets

from source_recordings.check import check_providers
from source_recordings.components.errors import Skips
from source_recordings.components.factory import RecordingsComponentFactory
from source_recordings.manifest import build_manifest

DEFAULT_WORKERS = 16


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
        super().__init__(
            catalog=catalog,
            config=config,
            state=state,
            source_config=build_manifest(),
            config_path=config_path,
        )
        self._hide_secrets(config or {})
        workers = int((config or {}).get("num_workers") or DEFAULT_WORKERS)
        self._skips = Skips()
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="details")
        self._constructor = RecordingsComponentFactory(
            message_repository=self._constructor.get_message_repository(),
            connector_state_manager=self._connector_state_manager,
            configured_catalog=catalog,
            executor=self._executor,
            ahead=2 * workers,
            skips=self._skips,
        )

    def check(self, logger: logging.Logger, config: Mapping[str, Any]) -> AirbyteConnectionStatus:
        """Asks every connected provider once; the message lists all that failed, with what to do."""
        failures = check_providers(self._stream_configs(self._source_config), self._config)
        if failures:
            return AirbyteConnectionStatus(status=Status.FAILED, message=" ".join(failures))
        return AirbyteConnectionStatus(status=Status.SUCCEEDED)

    def read(
        self,
        logger: logging.Logger,
        config: Mapping[str, Any],
        catalog: ConfiguredAirbyteCatalog,
        state: list[AirbyteStateMessage] | None = None,
    ) -> Iterator[AirbyteMessage]:
        try:
            yield from super().read(logger, config, catalog, state)
        finally:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._skips.log()

    def _hide_secrets(self, config: Mapping[str, Any]) -> None:
        """Hides secrets from logs also in the forms that they take in a JSON body and in a URL."""
        spec = self._source_config["spec"]["connection_specification"]
        for secret in get_secrets(spec, config):
            for form in {str(secret), json.dumps(str(secret))[1:-1], quote(str(secret), safe="")}:
                add_to_secrets(form)
