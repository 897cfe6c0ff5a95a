"""The connection check: one cheap request per connected provider, side by side."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

from source_recordings.errors import NEXT_STEP, explained
from source_recordings.provider import Provider, Stream
from source_recordings.reading.windows import Slice
from source_recordings.sync import Sync, connected

DAY = timedelta(days=1)


def check_providers(providers: Mapping[str, Provider], config: Mapping[str, Any]) -> list[str]:
    """What keeps each connected provider from being read, in sentences for a person; empty if nothing.

    Of each provider the first stream is asked for one row, without a second try: a wrong key should not take minutes to
    be told.
    """
    names = [provider.name for provider, _ in connected(providers, config)]
    with ThreadPoolExecutor(max_workers=max(1, len(names))) as executor:
        answers = executor.map(lambda name: _ask(providers[name], config), names)
    return [answer for answer in answers if answer]


def _ask(provider: Provider, config: Mapping[str, Any]) -> str | None:
    provider = _with_small_pages(provider)
    section = {key: value[:1] if isinstance(value, list) else value for key, value in config[provider.name].items()}
    asked = {**config, provider.name: section, "num_workers": 1}
    sync = Sync({provider.name: provider}, asked, [], tries=1)
    try:
        connection, stream = next(iter(sync.streams()))
        reader = sync.reader(connection, stream)
        windows = sync.windows(provider, stream, {}) if reader.has_windows else None
        # A start within this very second leaves no window; the key is to be tried all the same.
        window = next(iter(windows.slices()), Slice(sync.span.now - DAY, sync.span.now)) if windows else None
        next(iter(reader.read(window)), None)
    except Exception as error:  # noqa: BLE001  a check answers, whatever happens
        message = explained(error, provider.title, provider.name).message or ""
        return message.removesuffix(NEXT_STEP).strip()
    finally:
        sync.close()
    return None


def _with_small_pages(provider: Provider) -> Provider:
    return replace(provider, streams=dict(_small(provider.streams)))


def _small(streams: Mapping[str, Stream]) -> Iterator[tuple[str, Stream]]:
    for name, stream in streams.items():
        pages = stream.pages
        yield name, replace(stream, pages=replace(pages, size=1, single=True)) if pages else stream
