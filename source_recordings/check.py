"""The connection check: one cheap request per connected provider, side by side."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from typing import Any

from airbyte_cdk.models import AirbyteStateMessage
from airbyte_cdk.sources.connector_state_manager import ConnectorStateManager
from airbyte_cdk.sources.declarative.models.declarative_component_schema import DeclarativeStream
from airbyte_cdk.sources.message import NoopMessageRepository

from source_recordings.components.errors import NEXT_STEP, Skips, explained
from source_recordings.components.factory import RecordingsComponentFactory
from source_recordings.components.workers import Workers

NO_STATE: list[AirbyteStateMessage] = []


def check_providers(streams: list[dict[str, Any]], config: Mapping[str, Any]) -> list[str]:
    """What keeps each connected provider from being read, in sentences for a person; empty if nothing.

    `streams` are the resolved definitions of the streams on offer. Of each provider the first one is asked for one row,
    without a second try: a wrong key should not take minutes to be told.
    """
    first: dict[str, dict[str, Any]] = {}
    for stream in streams:
        first.setdefault(stream["name"].split("_")[0], stream)
    with ThreadPoolExecutor(max_workers=max(1, len(first))) as executor:
        answers = executor.map(lambda name: _ask(name, first[name], config), first)
    return [answer for answer in answers if answer]


def _ask(provider: str, definition: dict[str, Any], config: Mapping[str, Any]) -> str | None:
    definition = deepcopy(definition)
    strategy = definition["retriever"].get("paginator", {}).get("pagination_strategy")
    if strategy:
        strategy["page_size"] = 1
    with Workers(1) as workers:
        factory = RecordingsComponentFactory(
            workers=workers,
            skips=Skips(),
            message_repository=NoopMessageRepository(),
            connector_state_manager=ConnectorStateManager(NO_STATE),
            limit_pages_fetched_per_slice=1,
            disable_retries=True,
        )
        try:
            stream = factory.create_component(
                DeclarativeStream, definition, _with_one_id(config, provider)
            )
            for partition in stream.generate_partitions():
                next(iter(partition.read()), None)
                break
        except Exception as error:  # noqa: BLE001  a check answers, whatever happens
            message = explained(error, definition["name"]).message or ""
            return message.removesuffix(NEXT_STEP).strip()
    return None


def _with_one_id(config: Mapping[str, Any], provider: str) -> dict[str, Any]:
    section = config[provider]
    shortened = {
        key: value[:1] if isinstance(value, list) else value for key, value in section.items()
    }
    return {**config, provider: shortened}
