"""The source: the assembled manifest, built from the package's components."""

import json
import logging
from collections.abc import Iterator, Mapping
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
from source_recordings.components.workers import Workers
from source_recordings.manifest import build_manifest

DEFAULT_WORKERS = 16
CDK_THREADS = 64


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
        self._hide_secrets(config or {})
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
        try:
            with self._workers:
                yield from super().read(logger, config, catalog, state)
        finally:
            self._skips.log()

    def _hide_secrets(self, config: Mapping[str, Any]) -> None:
        """Hides secrets from logs also in the forms that they take in a JSON body and in a URL."""
        spec = self._source_config["spec"]["connection_specification"]
        for secret in get_secrets(spec, config):
            for form in {str(secret), json.dumps(str(secret))[1:-1], quote(str(secret), safe="")}:
                add_to_secrets(form)
