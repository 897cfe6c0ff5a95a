"""A provider as data: what its provider.yaml says, in frozen dataclasses."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from source_recordings.expressions import Expression, Names


@dataclass(frozen=True)
class Limit:
    """So many requests per so many seconds; `key` is the config key that changes the number."""

    requests: int
    seconds: float
    key: str
    description: str


@dataclass(frozen=True)
class Ids:
    """The config key that lists single IDs, and the stream in whose rows the IDs stand."""

    key: str
    of: str
    field: str
    form: Mapping[str, Any]


@dataclass(frozen=True)
class Auth:
    """How a request is authorized: a header of text and expressions, or the token of a login."""

    when: Expression
    scheme: str
    value: Expression
    """The key or token; of a login's answer, where there is one."""
    basic: tuple[Expression, Expression] | None = None
    login: "Operation | None" = None


@dataclass(frozen=True)
class Operation:
    """One kind of request and what its answers mean."""

    method: str
    path: Callable[[Names], str]
    template: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Mapping[str, Expression] | None = None
    rows: tuple[str, ...] = ()
    """Where the rows stand in the answer; () for the answer itself."""
    is_list: bool = False
    valid_when: Expression | None = None
    skip: Mapping[int, str] = field(default_factory=dict)
    skip_when: tuple[tuple[Expression, str], ...] = ()
    refuse: Mapping[int, str] = field(default_factory=dict)
    text: str | None = None
    """The answer is text and no JSON: the name under which it stands in its row."""
    elsewhere: bool = False
    """Whether the answer may be a redirect to another host. It is followed without the credential."""
    apart: str | None = None
    """A field of megabytes that is kept out of memory."""


@dataclass(frozen=True)
class Pages:
    """How a list goes on. By cursor, by offset, by page number; by cursor or offset where there are both."""

    size_param: str
    size: int
    cursor: str | None = None
    next: Expression | None = None
    offset: str | None = None
    number: str | None = None
    total: Expression | None = None
    more: Expression | None = None
    single: bool = False
    """Whether the first page is enough, as for the connection check."""


@dataclass(frozen=True)
class Window:
    """The time of a row, and how a list is asked for those between two times: not at all without `since`."""

    field: str
    since: str | None = None
    until: str | None = None
    format: str = "iso"
    margin_days: int = 0
    newest_first: bool = False

    @property
    def is_exact(self) -> bool:
        """Whether the provider's choice stands: it filters, by more than whole days."""
        return self.since is not None and not self.margin_days


@dataclass(frozen=True)
class Match:
    """A list of the whole account, in which the rows of a unit are found by a field.

    It is walked once a sync; where the provider refuses that, `param` asks for one unit's rows at a time.
    """

    field: str
    param: str
    pages: Pages
    newest_first: str | None = None
    """The field with a row's time, if the list is sorted by it."""


@dataclass(frozen=True)
class Way:
    """How to ask about a unit: about a row of a list, or about an item that stands in the row."""

    operation: Operation
    ids: tuple[Expression, ...]
    """What is asked for. Several, where no document says which one the provider wants: a sync finds out."""
    when: Expression
    each: Expression | None = None
    match: Match | None = None


@dataclass(frozen=True)
class ForEach:
    """A request for each unit of a list's rows. A row goes the first way in which it has one."""

    row_of: str
    ways: tuple[Way, ...]
    version: tuple[Expression, ...] = ()


@dataclass(frozen=True)
class FileOf:
    """The file that a row names: an address in it, or an endpoint of the provider's own."""

    name: Expression
    """Tells the file from every other one of the stream; may be a tuple of parts."""
    dated: Expression
    when: Expression
    each: Expression | None = None
    url: Expression | None = None
    download: Callable[[Names], str] | None = None
    media_type: Expression | None = None
    media_bytes: Expression | None = None
    has_extension: bool = False
    """Whether the name is a file's name, with an extension; else it is an id, whatever it looks like."""
    authorized: bool = False
    """Whether an address at the provider's own host wants the credential."""
    renew: Operation | None = None
    """How to ask for a row of a list once more, for a new address in the place of one that has run out."""


@dataclass(frozen=True)
class Count:
    """How many rows a list has by the provider's own account, where the list itself does not tell."""

    operation: Operation
    value: Expression


@dataclass(frozen=True)
class Field:
    """A field of a unified row: a value of the provider's, or the word that stands for it in all providers' rows."""

    value: Expression
    convert: Callable[[Any], Any]
    words: Mapping[str, str] | None = None

    def __call__(self, names: Names) -> Any:
        found = self.value(names)
        if self.words is not None:
            found = self.words.get(found) if isinstance(found, str) else None
        return self.convert(found)


@dataclass(frozen=True)
class Shape:
    """How rows of a provider become rows of a stream that is the same for all providers."""

    fields: Mapping[str, Field]
    each: Expression | None = None
    """A list, each item of which is a row."""
    helpers: Names = field(default_factory=dict)
    """Functions that the expressions may call."""
    needed: tuple[str, ...] = ()
    """Fields besides the key without which there is no row."""


@dataclass(frozen=True)
class Stream:
    """One stream: a list, the answers about each row of a list, or the files of either."""

    name: str
    primary_key: tuple[str, ...]
    operation: Operation
    settled_when: Expression
    cursor: str | None = None
    pages: Pages | None = None
    window: Window | None = None
    by_id: Operation | None = None
    for_each: ForEach | None = None
    keep: Mapping[str, Expression] = field(default_factory=dict)
    set: Mapping[str, Expression] = field(default_factory=dict)
    file: FileOf | None = None
    files_of: str | None = None
    warn_when: tuple[tuple[Expression, str], ...] = ()
    """What is odd about a record that goes out all the same: it is counted, and told at the end."""
    count: Count | None = None
    in_check: bool = False
    """Whether the connection check tries it: not every key or plan can read it."""
    shape: Shape | None = None
    base: str | None = None
    """The stream of the provider's own that this one is made from."""
    own_key: str | None = None
    """What tells the provider's own rows apart, where that is not the key of the records."""
    schema_file: Path = Path()

    @property
    def row_key(self) -> str:
        """What tells the provider's rows apart."""
        return self.own_key or self.primary_key[0]

    @property
    def needed(self) -> tuple[str, ...]:
        """The fields without which there is no row."""
        return (*self.primary_key, *self.shape.needed) if self.shape else self.primary_key

    @cached_property
    def schema(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.schema_file.read_text(encoding="utf-8"))
        return found


@dataclass(frozen=True)
class Provider:
    """A provider as its folder describes it."""

    name: str
    title: str
    base_url: str | None
    spec: Mapping[str, Any]
    auth: tuple[Auth, ...]
    credential: tuple[str, str]
    """The config key that a person checks after a 401, and what to look for."""
    streams: Mapping[str, Stream]
    unified: Mapping[str, Stream] = field(default_factory=dict)
    """Its part of the streams that all providers share, by their names."""
    ids: Ids | None = None
    limit: Limit | None = None
    base_url_help: str = ""
    quirks: Mapping[str, Any] = field(default_factory=dict)
    definition: Mapping[str, Any] = field(default_factory=dict)
    """The file's content, for the export."""

    def root_of(self, stream: Stream) -> Stream:
        """The list in whose windows the stream is read."""
        above = stream.for_each.row_of if stream.for_each else stream.files_of
        return self.streams[above] if above else stream

    def offered(self, config: Mapping[str, Any]) -> list[Stream]:
        """The streams that there are with this section of the config, in the order of the file."""
        if not self.is_by_id(config):
            return list(self.streams.values())
        return [s for s in self.streams.values() if self._has_ids(s)]

    def part_of(self, name: str, config: Mapping[str, Any]) -> Stream | None:
        """Its part of a stream that all providers share; None if it has none, or none of what the config's IDs lead to."""
        part = self.unified.get(name)
        return part if part and (not self.is_by_id(config) or self._has_ids(part)) else None

    def is_by_id(self, config: Mapping[str, Any]) -> bool:
        """Whether the section of the config lists IDs, to be read in the place of the lists."""
        return bool(self.ids and config.get(self.ids.key))

    def is_incremental(self, stream: Stream, config: Mapping[str, Any]) -> bool:
        """Whether there is a time to go by."""
        return self.root_of(stream).window is not None and not self.is_by_id(config)

    def _has_ids(self, stream: Stream) -> bool:
        root = self.root_of(stream)
        assert self.ids
        return (root.base or root.name) == self.ids.of and (stream.for_each is not None or root.by_id is not None)
