"""The tables of README.md and docs/ say of the streams and providers what the providers' folders say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from source_recordings.provider_yaml import load_providers
from source_recordings.unified import UNIFIED

REPOSITORY = Path(__file__).parent.parent
FILES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
PROVIDERS = load_providers()
STREAMS = {name: stream for provider in PROVIDERS.values() for name, stream in provider.streams.items()}
WITHOUT_FILES = {name for name, stream in STREAMS.items() if not stream.file}
TITLES = {provider.title for provider in PROVIDERS.values()}


@dataclass(frozen=True)
class Table:
    """A table of a page, its rows as cells by the names of their columns."""

    place: str
    first: str
    rows: list[dict[str, str]]

    def __str__(self) -> str:
        return self.place

    @property
    def names(self) -> list[str]:
        """Its first column."""
        return [row[self.first] for row in self.rows]


def tables_in(file: Path) -> list[Table]:
    found: list[Table] = []
    lines = file.read_text(encoding="utf-8").splitlines()
    for number, (line, rule) in enumerate(pairwise(lines), 1):
        if line.startswith("|") and re.fullmatch(r"\|[-:| ]+\|", rule):
            head = [cell.lower() for cell in cells(line)]
            body = []
            for below in lines[number + 1 :]:
                if not below.startswith("|"):
                    break
                body.append(dict(zip(head, cells(below), strict=True)))
            found.append(Table(f"{file.name}:{number}", head[0], body))
    return found


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def lists_streams(table: Table) -> bool:
    """Whether the first column is of streams, or a name in it is one: the rest must be too."""
    return table.first == "stream" or any(name in STREAMS for text in table.names for name in quoted(text))


TABLES = [table for file in FILES for table in tables_in(file)]
STREAM_TABLES = [table for table in TABLES if lists_streams(table)]
PROVIDER_TABLES = [table for table in TABLES if table.first == "provider"]
every_stream_table = pytest.mark.parametrize("table", STREAM_TABLES, ids=str)


def test_the_tables_are_found() -> None:
    """What each page is for: the README has streams and what they cost, the connector's page has streams."""
    pages = [table.place.partition(":")[0] for table in STREAM_TABLES]
    assert sorted(pages) == ["README.md", "README.md", "recordings.md"]
    assert len(PROVIDER_TABLES) >= 4


@every_stream_table
def test_a_table_has_every_stream_once_and_no_other(table: Table) -> None:
    """All of them, or all but those of files."""
    names = [name for text in table.names for name in quoted(text)]
    assert len(names) == len(table.rows) == len(set(names))
    assert set(names) in (set(STREAMS), WITHOUT_FILES), {
        "missing": sorted(set(STREAMS) - set(names)),
        "no streams": sorted(set(names) - set(STREAMS)),
    }


@pytest.mark.parametrize("page", ["README.md", "recordings.md"])
def test_one_table_has_the_files_too(page: str) -> None:
    (table,) = (t for t in STREAM_TABLES if t.place.startswith(page) and "primary key" in t.rows[0])
    assert {name for text in table.names for name in quoted(text)} == set(STREAMS)


@pytest.mark.parametrize("table", [t for t in STREAM_TABLES if "primary key" in t.rows[0]], ids=str)
def test_keys_and_cursors_are_those_of_the_provider(table: Table) -> None:
    for row in table.rows:
        stream = STREAMS[quoted(row["stream"])[0]]
        assert tuple(quoted(row["primary key"])) == stream.primary_key, stream.name
        assert quoted(row["cursor"]) == ([stream.cursor] if stream.cursor else []), stream.name


@pytest.mark.parametrize("page", ["README.md", "recordings.md"])
def test_the_unified_streams_have_a_table(page: str) -> None:
    (table,) = (t for t in TABLES if t.place.startswith(page) and t.first == "unified stream")
    told = {quoted(row["unified stream"])[0]: row for row in table.rows}
    assert told.keys() == UNIFIED.keys()
    for name, unified in UNIFIED.items():
        assert tuple(quoted(told[name]["primary key"])) == unified.primary_key
        assert quoted(told[name]["cursor"]) == [unified.cursor]


def test_it_is_told_what_the_unified_streams_are_made_from() -> None:
    (table,) = (t for t in TABLES if t.first == "provider" and "`utterances`" in t.rows[0])
    for row in table.rows:
        (provider,) = (p for p in PROVIDERS.values() if p.title == row["provider"])
        assert {name: quoted(row[f"`{name}`"]) for name in UNIFIED} == {
            name: [provider.unified[name].base] for name in UNIFIED
        }


def test_every_status_is_told() -> None:
    (table,) = (t for t in TABLES if t.first == "provider's status")
    told: dict[str, dict[str, str]] = {}
    for row in table.rows:
        for status in quoted(row["provider's status"]):
            (word,) = quoted(row["`status`"])
            assert told.setdefault(row["provider"], {}).setdefault(status, word) == word
    words = {}
    for provider in PROVIDERS.values():
        shape = provider.unified["recordings"].shape
        assert shape
        if shape.fields["status"].words:
            words[provider.title] = dict(shape.fields["status"].words)
    assert told == words


@pytest.mark.parametrize("table", [t for t in STREAM_TABLES if "endpoint" in t.rows[0]], ids=str)
def test_endpoints_are_those_of_the_provider(table: Table) -> None:
    """Files are told in other words: their addresses stand in rows."""
    for row in table.rows:
        stream = STREAMS[quoted(row["stream"])[0]]
        if not stream.file:
            asked = f"{stream.operation.method} {stream.operation.template}"
            assert without_names(quoted(row["endpoint"])[0]) == without_names(asked), stream.name


def without_names(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path)


@pytest.mark.parametrize("table", PROVIDER_TABLES, ids=str)
def test_a_table_has_every_provider_once(table: Table) -> None:
    names = [re.sub(r"\[([^]]+)\].*", r"\1", text) for text in table.names]
    assert sorted(names) == sorted(TITLES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.name))
def test_no_page_names_a_stream_that_does_not_exist(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    named = set(re.findall(rf"\b(?:{'|'.join(PROVIDERS)})_[a-z_]+\b", text))
    assert named - set(STREAMS) == set()


def test_a_wrong_table_is_seen(tmp_path: Path) -> None:
    """If tables were not read as such, all of the above would be true by mistake."""
    page = tmp_path / "page.md"
    page.write_text("| Stream | Cursor |\n| :-- | :-- |\n| `quo_calls` | `x` |\n| `quo_cells` | `createdAt` |\n")
    (table,) = tables_in(page)

    assert lists_streams(table)
    with pytest.raises(AssertionError, match=r"no streams.*quo_cells"):
        test_a_table_has_every_stream_once_and_no_other(table)
