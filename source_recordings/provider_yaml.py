"""provider.yaml -> the dataclasses of provider.py. Nothing else reads these files; CONTRIBUTING.md describes their form."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft7Validator

from source_recordings.expressions import BadExpression, Expression, compile_expression, compile_path
from source_recordings.provider import (
    Auth,
    Count,
    Field,
    FileOf,
    ForEach,
    Ids,
    Limit,
    Match,
    Operation,
    Pages,
    Provider,
    Shape,
    Stream,
    Way,
    Window,
)
from source_recordings.unified import UNIFIED, helpers

PROVIDERS = Path(__file__).parent / "providers"
SCHEMA = PROVIDERS / "provider.schema.json"
SECONDS = {"second": 1.0, "minute": 60.0}


class BadProvider(ValueError):
    """A provider.yaml that can't be used: the message names the file, the place in it and what was expected."""


def provider_folders(root: Path | None = None) -> list[Path]:
    """The folders that hold a provider.yaml, by name; those of the package unless another root is given."""
    return sorted(file.parent for file in (root or PROVIDERS).glob("*/provider.yaml"))


def load_providers(root: Path | None = None) -> dict[str, Provider]:
    """All providers by name. Raises BadProvider."""
    return {folder.name: load_provider(folder) for folder in provider_folders(root)}


def load_provider(folder: Path) -> Provider:
    """Raises BadProvider."""
    file = folder / "provider.yaml"
    definition = load_yaml(file)
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    for error in Draft7Validator(schema).iter_errors(definition):
        raise BadProvider(f"{file}: {_in_words(error)}")
    try:
        return _Builder(folder, definition).provider()
    except BadExpression as error:
        raise BadProvider(f"{file}: no expression: {error}") from None


def load_yaml(file: Path) -> dict[str, Any]:
    """Raises BadProvider."""
    # libyaml, where PyYAML was built with it, takes a tenth of the time, which every command takes at its start.
    loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
    try:
        loaded: dict[str, Any] = yaml.load(file.read_text(encoding="utf-8"), loader)  # noqa: S506  both are safe
    except yaml.YAMLError as error:
        raise BadProvider(f"{file}: no YAML: {error}") from None
    return loaded


def _in_words(error: Any) -> str:
    """The deepest reason of a schema's complaint, with its place."""
    while error.context:
        error = max(error.context, key=lambda e: len(e.absolute_path))
    place = ".".join(str(part) for part in error.absolute_path) or "the file"
    hint = error.schema.get("description") if isinstance(error.schema, dict) else None
    return f"{place}: {error.message}" + (f" (expected: {hint})" if hint else "")


class _Builder:
    """Puts the dataclasses together out of a definition that the schema has accepted."""

    def __init__(self, folder: Path, definition: dict[str, Any]) -> None:
        self.folder = folder
        self.file = folder / "provider.yaml"
        self.definition = definition
        self.name = folder.name

    def provider(self) -> Provider:
        d = self.definition
        streams: dict[str, Stream] = {}
        for name, entry in d["streams"].items():
            streams[name] = self._stream(name, entry, streams)
        ids = d.get("ids")
        if ids and ids["of"] not in streams:
            raise BadProvider(f"{self.file}: ids.of: there is no stream {ids['of']}")
        limit = d.get("limit")
        return Provider(
            name=self.name,
            title=d["title"],
            base_url=d.get("base_url"),
            base_url_help=d.get("base_url_help")
            or f"Change it only to reach {d['title']} through a proxy of your own.",
            spec=d["spec"],
            auth=tuple(self._auth(a) for a in _list_of(d.get("auth", []))),
            credential=(f"{self.name}.{d['credential']['key']}", d["credential"]["help"]),
            streams=streams,
            unified={name: self._part(name, entry, streams) for name, entry in d.get("unified", {}).items()},
            ids=Ids(ids["key"], ids["of"], ids["field"], ids) if ids else None,
            limit=Limit(limit["requests"], SECONDS[limit["per"]], f"requests_per_{limit['per']}", limit["description"])
            if limit
            else None,
            quirks=self._quirks(),
            definition=d,
        )

    def _auth(self, entry: Mapping[str, Any]) -> Auth:
        kind = entry["type"]
        scheme = {"bearer": "Bearer", "login": "Bearer", "basic": "Basic"}.get(kind, "")
        basic = None
        if kind == "basic":
            basic = (compile_expression(entry["username"]), compile_expression(entry["password"]))
        return Auth(
            when=compile_expression(entry.get("when", "true")),
            scheme=entry.get("scheme", scheme),
            value=compile_expression(entry.get("token") or entry.get("key") or "none"),
            basic=basic,
            # An answer without a token is none.
            login=self._operation({**entry, "valid_when": entry["token"]}) if kind == "login" else None,
        )

    def _stream(self, name: str, entry: Mapping[str, Any], streams: Mapping[str, Stream]) -> Stream:
        of = entry.get("files_of")
        row_of = entry.get("for_each", {}).get("row_of") or of
        if row_of and row_of not in streams:
            raise BadProvider(f"{self.file}: streams.{name}: there is no stream {row_of} before it")
        rows = streams[of] if of else None
        operation = rows.operation if rows else self._operation(entry, self._refuse())
        for_each = self._for_each(entry, operation)
        if rows:
            for_each = rows.for_each
            if for_each and "version" in entry:
                for_each = replace(for_each, version=_compiled(entry["version"]))
        window = entry.get("window")
        keys = entry["primary_key"]
        return Stream(
            name=name,
            primary_key=(keys,) if isinstance(keys, str) else tuple(keys),
            operation=operation,
            settled_when=compile_expression(entry.get("settled_when", "false")),
            cursor=entry.get("cursor") or (window and window["field"]),
            pages=rows.pages if rows else self._pages(entry.get("pages")),
            window=rows.window if rows else self._window(window),
            by_id=rows.by_id if rows else self._operation(entry["by_id"], self._refuse()) if "by_id" in entry else None,
            for_each=for_each,
            keep={key: compile_expression(text) for key, text in entry.get("keep", {}).items()},
            set={key: compile_expression(text) for key, text in entry.get("set", {}).items()},
            file=self._file(entry),
            files_of=of,
            warn_when=_rules(entry.get("warn_when", [])),
            count=self._count(entry.get("count")),
            in_check=entry.get("in_check", False),
            schema_file=self.folder / "schemas" / f"{name}.json",
        )

    def _part(self, name: str, entry: Mapping[str, Any], streams: Mapping[str, Stream]) -> Stream:
        """The provider's part of a stream that all providers share."""
        base = streams.get(entry["of"])
        if base is None:
            raise BadProvider(f"{self.file}: unified.{name}.of: there is no stream {entry['of']}")
        unified = UNIFIED[name]
        unknown = [key for key in entry["fields"] if key not in unified.fields]
        if unknown:
            raise BadProvider(f"{self.file}: unified.{name}.fields: there is no field {unknown[0]}")
        fields = {key: self._field(value, unified.fields[key]) for key, value in entry["fields"].items()}
        return replace(
            base,
            name=name,
            primary_key=unified.primary_key,
            cursor=unified.cursor,
            count=None,
            warn_when=(),
            shape=Shape(fields, _optional(entry, "each"), helpers(self.name), unified.needed),
            base=base.name,
            own_key=base.primary_key[0],
            schema_file=unified.schema_file,
        )

    @staticmethod
    def _field(entry: str | Mapping[str, Any], convert: Callable[[Any], Any]) -> Field:
        if isinstance(entry, str):
            return Field(compile_expression(entry), convert)
        return Field(compile_expression(entry["of"]), convert, entry["words"])

    def _refuse(self) -> Mapping[int, str]:
        refuse: Mapping[int, str] = self.definition.get("refuse", {})
        return refuse

    def _operation(self, entry: Mapping[str, Any], refuse: Mapping[int, str] | None = None) -> Operation:
        method = next(m for m in ("get", "post") if m in entry)
        where = entry.get("rows") or entry.get("row")
        skip = entry.get("skip", {})
        own = entry.get("refuse", {})
        return Operation(
            method=method.upper(),
            path=compile_path(entry[method]),
            template=entry[method],
            params=entry.get("params", {}),
            headers=entry.get("headers", {}),
            json={key: compile_expression(text) for key, text in entry["json"].items()} if "json" in entry else None,
            rows=tuple(where.split(".")) if where else (),
            is_list="rows" in entry,
            valid_when=_optional(entry, "valid_when"),
            skip=skip,
            skip_when=_rules(entry.get("skip_when", [])),
            refuse={**(refuse or {}), **own},
            text=entry.get("text"),
            elsewhere=entry.get("elsewhere", False),
            apart=entry.get("apart"),
        )

    @staticmethod
    def _pages(entry: Mapping[str, Any] | None) -> Pages | None:
        if entry is None:
            return None
        ((size_param, size),) = entry["size"].items()
        return Pages(
            size_param=size_param,
            size=size,
            cursor=entry.get("cursor"),
            offset=entry.get("offset"),
            number=entry.get("number"),
            next=_optional(entry, "next"),
            total=_optional(entry, "total"),
            more=_optional(entry, "more"),
        )

    @staticmethod
    def _window(entry: Mapping[str, Any] | None) -> Window | None:
        if entry is None:
            return None
        return Window(
            field=entry["field"],
            since=entry.get("from"),
            until=entry.get("until"),
            format=entry.get("format", "iso"),
            margin_days=entry.get("margin_days", 0),
            newest_first=entry.get("newest_first", False),
        )

    def _for_each(self, entry: Mapping[str, Any], operation: Operation) -> ForEach | None:
        each = entry.get("for_each")
        if each is None:
            return None
        ways = [self._way(each, operation)]
        # What is not said anew is as in the first way.
        others = ({**_shared(entry), **other} for other in each.get("else", []))
        ways += [self._way(other, self._operation(other, self._refuse())) for other in others]
        return ForEach(row_of=each["row_of"], ways=tuple(ways), version=_compiled(each.get("version", [])))

    def _way(self, entry: Mapping[str, Any], operation: Operation) -> Way:
        return Way(
            operation=operation,
            ids=_compiled(_list_of(entry["id"])),
            when=compile_expression(entry.get("when", "true")),
            each=_optional(entry, "each"),
            match=self._match(entry.get("match")),
        )

    def _match(self, entry: Mapping[str, Any] | None) -> Match | None:
        if entry is None:
            return None
        pages = self._pages(entry["pages"])
        assert pages
        return Match(field=entry["field"], param=entry["param"], pages=pages, newest_first=entry.get("newest_first"))

    def _count(self, entry: Mapping[str, Any] | None) -> Count | None:
        return Count(self._operation(entry), compile_expression(entry["value"])) if entry else None

    def _file(self, entry: Mapping[str, Any]) -> FileOf | None:
        if "name" not in entry:
            return None
        return FileOf(
            name=compile_expression(entry["name"]),
            dated=compile_expression(entry.get("dated", "none")),
            when=compile_expression(entry.get("when", "true")),
            # Of a stream with a request of its own, `each` belongs to the request.
            each=_optional(entry, "each"),
            download=compile_path(entry["download"]) if "download" in entry else None,
            has_extension=entry.get("has_extension", False),
            authorized=entry.get("authorized", False),
            url=_optional(entry, "url"),
            media_type=_optional(entry, "media_type"),
            media_bytes=_optional(entry, "media_bytes"),
            renew=self._operation(entry["renew"], self._refuse()) if "renew" in entry else None,
        )

    def _quirks(self) -> Mapping[str, Any]:
        file = self.folder / "quirks.py"
        if not file.is_file():
            return {}
        spec = spec_from_file_location(f"source_recordings.providers.{self.name}.quirks", file)
        assert spec and spec.loader
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return {name: value for name, value in vars(module).items() if callable(value)}


def _list_of(entry: Any) -> list[Any]:
    return entry if isinstance(entry, list) else [entry]


def _shared(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Of a stream's request what does not say where it goes and what stands in the answer."""
    return {key: entry[key] for key in ("headers", "skip", "refuse") if key in entry}


def _rules(entries: list[Mapping[str, str]]) -> tuple[tuple[Expression, str], ...]:
    """Conditions with their reasons."""
    return tuple((compile_expression(rule["when"]), rule["reason"]) for rule in entries)


def _optional(entry: Mapping[str, Any], key: str) -> Expression | None:
    return compile_expression(entry[key]) if key in entry else None


def _compiled(texts: list[str]) -> tuple[Expression, ...]:
    return tuple(compile_expression(text) for text in texts)
