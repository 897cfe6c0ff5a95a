"""A mistake in a provider.yaml is told with its file, its place and what was expected there."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from source_recordings.provider_yaml import BadProvider, load_provider, load_providers, provider_folders

Definition = dict[str, Any]

GOOD: Definition = {
    "title": "Example",
    "base_url": "https://other.example.com",
    "limit": {"requests": 60, "per": "minute", "description": "Example allows 60 a minute."},
    "auth": {"type": "bearer", "token": "config.api_key"},
    "credential": {"key": "api_key", "help": "it must be a current key."},
    "spec": {
        "required": ["api_key"],
        "properties": {"api_key": {"type": "string", "title": "API Key", "airbyte_secret": True}},
    },
    "streams": {
        "example_calls": {
            "primary_key": "id",
            "get": "/calls",
            "rows": "data",
            "pages": {"cursor": "after", "next": "answer.next", "size": {"limit": 50}},
            "window": {"field": "created", "from": "from", "until": "until"},
        },
        "example_recordings": {
            "primary_key": "id",
            "cursor": "callCreated",
            "for_each": {"row_of": "example_calls", "id": "parent.id"},
            "get": "/calls/{id}/recordings",
            "rows": "data",
            "keep": {"callCreated": "parent.created"},
        },
    },
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "example").mkdir()
    return tmp_path / "example"


def write(folder: Path, definition: Any) -> Path:
    file = folder / "provider.yaml"
    file.write_text(definition if isinstance(definition, str) else yaml.safe_dump(definition))
    return file


def test_a_good_one_is_read(folder: Path) -> None:
    write(folder, GOOD)
    provider = load_provider(folder)
    assert (provider.name, provider.title) == ("example", "Example")
    assert provider.limit and (provider.limit.requests, provider.limit.seconds) == (60, 60.0)
    calls, recordings = provider.streams.values()
    assert calls.primary_key == ("id",)
    assert calls.operation.is_list and calls.operation.rows == ("data",)
    assert (calls.cursor, recordings.cursor) == ("created", "callCreated")
    assert provider.root_of(recordings) is calls
    assert recordings.operation.path({"id": "a/b"}) == "/calls/a%2Fb/recordings"
    assert list(load_providers(folder.parent)) == ["example"]


def test_the_folders_own_providers_are_good() -> None:
    assert set(load_providers()) >= {"bird", "amigo", "quo", "bota", "tether"}
    assert all((folder / "provider.yaml").is_file() for folder in provider_folders())


def without(*path: str) -> Callable[[Definition], None]:
    def change(definition: Definition) -> None:
        *above, last = path
        for name in above:
            definition = definition[name]
        del definition[last]

    return change


def put(value: Any, *path: str) -> Callable[[Definition], None]:
    def change(definition: Definition) -> None:
        *above, last = path
        for name in above:
            definition = definition[name]
        definition[last] = value

    return change


CALLS = ("streams", "example_calls")
MISTAKES: list[tuple[Callable[[Definition], None], str]] = [
    (without("title"), "'title' is a required property"),
    (without("streams"), "'streams' is a required property"),
    (without("credential", "key"), "credential: 'key' is a required property"),
    (put("x", "tittle"), "'tittle' was unexpected"),
    (put("http://x.example.com", "base_url"), "base_url: .*expected: an https address"),
    (put("hour", "limit", "per"), "limit.per: 'hour' is not one of"),
    (put("60", "limit", "requests"), "limit.requests: '60' is not of type 'integer'"),
    (put(0, "limit", "requests"), "limit.requests: 0 is less than"),
    (put("magic", "auth", "type"), "auth"),
    (put(5, *CALLS, "get"), "streams.example_calls"),
    (put("x", *CALLS, "gett"), "streams.example_calls"),
    (put("big", *CALLS, "pages", "size"), "streams.example_calls.pages.size"),
    (without(*CALLS, "primary_key"), "streams.example_calls"),
    (put("row.", "streams", "example_recordings", "settled_when"), "no expression: .*row\\."),
    (put("/calls/{a b}", *CALLS, "get"), "no expression: .*a b"),
    (
        put("example_cals", "streams", "example_recordings", "for_each", "row_of"),
        "streams.example_recordings: there is no stream example_cals before it",
    ),
    (
        put(
            {
                "key": "call_ids",
                "of": "nothing",
                "field": "id",
                "title": "Only These",
                "description": "Sync only these.",
                "pattern": "^a$",
                "example": "a",
            },
            "ids",
        ),
        "ids.of: there is no stream nothing",
    ),
]


@pytest.mark.parametrize(("change", "said"), MISTAKES, ids=[said for _, said in MISTAKES])
def test_a_mistake_is_told_with_file_and_place(folder: Path, change: Callable[[Definition], None], said: str) -> None:
    definition = deepcopy(GOOD)
    change(definition)
    file = write(folder, definition)
    with pytest.raises(BadProvider, match=said) as caught:
        load_provider(folder)
    assert str(caught.value).startswith(f"{file}: ")
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize("text", ["", "[]", "5", "title", "- a"])
def test_what_is_no_mapping_is_told(folder: Path, text: str) -> None:
    file = write(folder, text)
    with pytest.raises(BadProvider) as caught:
        load_provider(folder)
    assert str(caught.value).startswith(f"{file}: the file: ")


@pytest.mark.parametrize("text", ["title: [", "a: b: c", "\ttitle: x", "title: !!python/object:os.x {}"])
def test_what_is_no_yaml_is_told(folder: Path, text: str) -> None:
    file = write(folder, text)
    with pytest.raises(BadProvider, match="no YAML") as caught:
        load_provider(folder)
    assert str(caught.value).startswith(f"{file}: ")
