"""What the general tests know of the providers: what their folders say, example.yaml above all.

No provider is named here, so that a new folder is covered by these tests as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from source_recordings import cdk
from source_recordings.expressions import Expression, compile_expression
from source_recordings.provider import Provider, Stream
from source_recordings.provider_yaml import load_provider, load_yaml, provider_folders

Row = dict[str, Any]

START, END = "2024-03-01T00:00:00Z", "2024-03-08T00:00:00Z"


def put(answer: Row, path: Sequence[str], value: Any) -> None:
    """Sets the value that stands at this place of the answer."""
    *above, last = path
    for name in above:
        answer = answer[name]
    answer[last] = value


@dataclass(frozen=True)
class Case:
    """One kind of request: the stream that makes it, its address and a good answer with one record."""

    owner: Provider = field(repr=False)
    stream: str
    url: str
    answer: Mapping[str, Any]
    section: Mapping[str, Any] = field(repr=False)
    by_id: str | None = None
    text: str | None = None
    """In the place of an answer that is JSON."""

    def __str__(self) -> str:
        return f"{self.stream}{'-by-id' if self.by_id else ''}"

    @property
    def reply(self) -> Row:
        """The answer as a mocked host gives it."""
        return {"json": self.answer} if self.text is None else {"text": self.text}

    @property
    def config(self) -> Row:
        """A config of the one provider, with the ID if there is one."""
        return {"start_date": START, "end_date": END, self.provider: deepcopy(dict(self.section))}

    @property
    def provider(self) -> str:
        return self.owner.name

    @property
    def of(self) -> Stream:
        return self.owner.streams[self.stream]

    @property
    def key(self) -> str:
        """The config key that a refused credential leads to."""
        return self.owner.credential[0]

    def with_rows(self, *rows: Any, **more: Any) -> Row:
        """The answer to a list with these rows in the place of its own."""
        answer: Row = {**deepcopy(dict(self.answer)), **more}
        put(answer, self.of.operation.rows, list(rows))
        return answer

    @property
    def next_token(self) -> str:
        """Where a list's answer names its next page."""
        return str(self.owner.definition["streams"][self.stream]["pages"]["next"]).removeprefix("answer.")

    def with_next(self, token: Any) -> Row:
        """The answer to a list that goes on."""
        answer = deepcopy(dict(self.answer))
        put(answer, self.next_token.split("."), token)
        return answer

    @property
    def row(self) -> Row:
        """The one row of a list's answer."""
        found: Any = self.answer
        for name in self.of.operation.rows:
            found = found[name]
        (row,) = found
        return dict(row)


@dataclass(frozen=True)
class Documented:
    """What a provider's document says that a row has."""

    url: str
    properties: list[str]
    elsewhere: list[str] = field(default_factory=list)
    """What another page says besides."""


@dataclass(frozen=True)
class Example:
    """A provider's example.yaml, beside what its provider.yaml says."""

    file: Path
    provider: Provider
    section: Row
    header: str
    """The Authorization header that the section leads to."""
    cases: list[Case]
    documented: Mapping[str, Documented]
    final: Mapping[str, Expression]
    """By stream, when an answer about one row will not change any more."""

    @property
    def lists(self) -> list[Case]:
        return [case for case in self.cases if not case.by_id and not self.provider.streams[case.stream].for_each]

    @property
    def details(self) -> list[Case]:
        """What is asked with an ID in the config: one request."""
        return [case for case in self.cases if case.by_id]

    @property
    def base_url(self) -> str:
        return str(self.section.get("base_url") or self.provider.base_url)

    @property
    def secrets(self) -> list[str]:
        return [str(secret) for secret in cdk.get_secrets(dict(self.provider.spec), self.section)]

    @property
    def streams(self) -> list[str]:
        """All but those of files."""
        return [name for name, stream in self.provider.streams.items() if not stream.file]

    def lacks(self) -> list[str]:
        """What a test would miss, each with the file in which it should be."""
        said = []
        for name in self.streams:
            stream = self.provider.streams[name]
            found = [case for case in self.cases if case.stream == name]
            if not found or (stream.by_id and not any(case.by_id for case in found)):
                said.append(f"answers has none {'by ID ' if found else ''}of stream {name}")
            if name not in self.documented:
                said.append(f"documented has no stream {name}")
            if stream.for_each and name not in self.final:
                said.append(f"final has no stream {name}")
        known = {*(case.stream for case in self.cases), *self.documented, *self.final}
        said += [f"there is no stream {name}" for name in sorted(known - set(self.provider.streams))]
        return [f"{self.file}: {text}" for text in said]


def example_file(folder: Path) -> Path:
    return folder / "example.yaml"


def load_example(folder: Path) -> Example:
    """The example of the provider in this folder."""
    file = example_file(folder)
    provider, said = load_provider(folder), load_yaml(file)
    section: Row = said["config"]
    base_url = section.get("base_url") or provider.base_url

    def case(
        stream: str,
        path: str,
        answer: Row | None = None,
        id: str | None = None,  # noqa: A002  as in the file
        text: str | None = None,
    ) -> Case:
        assert not id or provider.ids, f"{file}: {provider.title} takes no list of IDs"
        ids = {provider.ids.key: [id]} if id and provider.ids else {}
        return Case(provider, stream, f"{base_url}{path}", answer or {}, {**section, **ids}, id, text)

    return Example(
        file=file,
        provider=provider,
        section=section,
        header=said["header"],
        cases=[case(**entry) for entry in said["answers"]],
        documented={name: Documented(**entry) for name, entry in said["documented"].items()},
        final={name: compile_expression(text) for name, text in said.get("final", {}).items()},
    )


def load_examples(root: Path | None = None) -> dict[str, Example]:
    """The examples by provider; one without is left out, which a test of its own tells."""
    folders = [folder for folder in provider_folders(root) if example_file(folder).is_file()]
    return {folder.name: load_example(folder) for folder in folders}


def lists_of(examples: Mapping[str, Example]) -> list[Case]:
    return [case for example in examples.values() for case in example.lists]


def details_of(examples: Mapping[str, Example]) -> list[Case]:
    return [case for example in examples.values() for case in example.details]


def first_of_each(cases: Iterable[Case]) -> list[Case]:
    """One case of each provider."""
    return list({case.provider: case for case in reversed(list(cases))}.values())[::-1]


EXAMPLES = load_examples()
LISTS = lists_of(EXAMPLES)
DETAILS = details_of(EXAMPLES)
CASES = LISTS + DETAILS
CURSOR_LISTS = [case for case in LISTS if case.of.pages and case.of.pages.cursor]
OFFSET_LISTS = [case for case in LISTS if case not in CURSOR_LISTS and case.of.pages and case.of.pages.offset]
STREAMS = {name: example.streams for name, example in EXAMPLES.items()}
ID_LISTS = {name: example.provider.ids.key for name, example in EXAMPLES.items() if example.provider.ids}


def a_list(stream: str) -> Case:
    """The case of this stream's list."""
    return next(case for case in LISTS if case.stream == stream)


def a_detail(stream: str) -> Case:
    """The case of this stream by ID."""
    return next(case for case in DETAILS if case.stream == stream)


def base_url(provider: str) -> str:
    return EXAMPLES[provider].base_url


def section(provider: str) -> Row:
    """The provider's part of a config."""
    return deepcopy(EXAMPLES[provider].section)


def config(*providers: str, **sections: Row) -> Row:
    """A config of these providers over one week; `sections` adds keys to a provider's section."""
    found: Row = {"start_date": START, "end_date": END}
    for name in dict.fromkeys((*providers, *sections)):
        found[name] = {**section(name), **sections.get(name, {})}
    return found
