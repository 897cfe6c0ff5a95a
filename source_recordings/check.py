"""The connection check: one cheap request per connected provider, side by side, and hints about what else will not work."""

import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import Any

from airbyte_cdk import AirbyteTracedException

from source_recordings.errors import NEXT_STEP, explained, is_config_error
from source_recordings.provider import Provider, Stream
from source_recordings.reading.windows import Slice
from source_recordings.sync import Sync, connected

logger = logging.getLogger("airbyte")

DAY = timedelta(days=1)
HINT_ROWS = 10
"""Calls in which to look for one that a request can be made about."""


def check_providers(providers: Mapping[str, Provider], config: Mapping[str, Any]) -> list[str]:
    """What keeps each connected provider from being read, in sentences for a person; empty if nothing.

    Of each provider the first stream is asked for one row, without a second try: a wrong key should not take minutes to
    be told. Streams that not every key or plan can read are tried as well; what they refuse is a warning, because nobody
    knows yet whether they will be selected.
    """
    names = [provider.name for provider, _ in connected(providers, config)]
    with ThreadPoolExecutor(max_workers=max(1, len(names))) as executor:
        answers = executor.map(lambda name: _ask(providers[name], config), names)
    return [answer for answer in answers if answer]


def _ask(provider: Provider, config: Mapping[str, Any]) -> str | None:
    section = {key: value[:1] if isinstance(value, list) else value for key, value in config[provider.name].items()}
    asked = {**config, provider.name: section, "num_workers": 1}
    first, *others = provider.offered(section)
    refusal = _try(_with_pages_of(1, provider), asked, first.name)
    if refusal:
        message = refusal.message or ""
        return message.removesuffix(NEXT_STEP).strip()
    provider = _with_pages_of(HINT_ROWS, provider)
    for stream in others:
        if stream.in_check and is_config_error(refusal := _try(provider, asked, stream.name)):
            assert refusal
            logger.warning("Stream %s can't be read with this config: %s", stream.name, refusal.message)
    return None


def _try(provider: Provider, config: Mapping[str, Any], name: str) -> AirbyteTracedException | None:
    """What keeps the stream's first row from coming; None if nothing."""
    sync = Sync({provider.name: provider}, config, [], tries=1)
    try:
        connection, stream = next((c, s) for c, s in sync.streams() if s.name == name)
        reader = sync.reader(connection, stream)
        windows = sync.windows(provider, stream, {}) if reader.has_windows else None
        # A start within this very second leaves no window; the key is to be tried all the same.
        window = next(iter(windows.slices()), Slice(sync.span.now - DAY, sync.span.now)) if windows else None
        with closing(reader.read(window)) as rows:
            next(rows, None)
    except Exception as error:  # noqa: BLE001  a check answers, whatever happens
        return explained(error, provider.title, provider.name)
    finally:
        sync.close()
    return None


def _with_pages_of(rows: int, provider: Provider) -> Provider:
    return replace(provider, streams=dict(_paged(provider.streams, rows)))


def _paged(streams: Mapping[str, Stream], rows: int) -> Iterator[tuple[str, Stream]]:
    for name, stream in streams.items():
        pages = stream.pages
        yield name, replace(stream, pages=replace(pages, size=rows, single=True)) if pages else stream
