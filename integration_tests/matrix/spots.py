"""Where a fault can strike: what the providers' own definitions say that is asked for."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from source_recordings.provider import Operation, Pages, Provider, Stream

Role = Literal["login", "list", "details", "media", "storage"]
FILES: tuple[Role, ...] = ("media", "storage")
"""A file at the provider's own host, and one behind a signed address."""

_HOLE = re.compile(r"\{[^{}]+\}")
_FIELD = re.compile(r"answer\.(\w+(?:\.\w+)*)")


@dataclass(frozen=True)
class Spot:
    """One kind of request of one provider."""

    provider: Provider = field(repr=False)
    role: Role
    path: str
    """A regular expression."""
    streams: frozenset[str]
    """Those that can't be whole when no such request is answered."""
    operation: Operation | None = field(default=None, repr=False)
    pages: Pages | None = field(default=None, repr=False)
    next_page: tuple[str, ...] = ()
    """Where an answer names the next page, if it does in a field."""
    is_certain: bool = True
    """Whether the definition alone says that there are such requests."""

    @property
    def follows(self) -> bool:
        """Whether a redirect is followed."""
        return self.role in FILES or bool(self.operation and self.operation.elsewhere)

    @property
    def host(self) -> str:
        return "storage" if self.role == "storage" else self.provider.name


def spots_of(provider: Provider) -> list[Spot]:
    """All that the provider is asked for."""
    found = [*_logins(provider), *_lists(provider), *_details(provider)]
    return [*found, *_own_files(provider, found), *_stored_files(provider)]


def _logins(provider: Provider) -> Iterator[Spot]:
    for auth in provider.auth:
        if auth.login:
            yield Spot(provider, "login", _path(auth.login.template), frozenset(provider.streams), auth.login)


def _lists(provider: Provider) -> Iterator[Spot]:
    for root in provider.streams.values():
        if provider.root_of(root) is root:
            readers = frozenset(name for name, s in provider.streams.items() if provider.root_of(s) is root)
            definition = provider.definition["streams"][root.name].get("pages", {})
            names = _FIELD.fullmatch(definition.get("next", ""))
            following = tuple(names[1].split(".")) if names else ()
            yield Spot(provider, "list", _path(root.operation.template), readers, root.operation, root.pages, following)


def _details(provider: Provider) -> Iterator[Spot]:
    readers: dict[int, list[Stream]] = {}
    for stream in provider.streams.values():
        if stream.for_each:
            readers.setdefault(id(stream.operation), []).append(stream)
    for streams in readers.values():
        operation = streams[0].operation
        yield Spot(provider, "details", _path(operation.template), frozenset(s.name for s in streams), operation)


def _own_files(provider: Provider, others: list[Spot]) -> Iterator[Spot]:
    # An address that only an answer names: none of those that the definition names.
    named = "|".join(spot.path.removesuffix("$") + r"(\?|$)" for spot in others)
    unnamed = f"^(?!{named})"
    for name, stream in provider.streams.items():
        download = provider.definition["streams"][name].get("download")
        if download:
            yield Spot(provider, "media", _path(download), frozenset([name]))
        elif stream.file and stream.file.authorized:
            yield Spot(provider, "media", unnamed, frozenset([name]))


def _stored_files(provider: Provider) -> Iterator[Spot]:
    files = {name: stream.file for name, stream in provider.streams.items() if stream.file}
    stored = frozenset(name for name, file in files.items() if not file.authorized)
    # A download endpoint of the provider's own may lead there, or not.
    certain = any(file.url and not file.authorized for file in files.values())
    if stored:
        yield Spot(provider, "storage", f"^/{provider.name}/", stored, is_certain=certain)


def _path(template: str) -> str:
    return f"^{'[^/]+'.join(map(re.escape, _HOLE.split(template)))}$"
