"""The streams of a provider.yaml as components of the CDK, for the exported manifest."""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from source_recordings.provider import Provider, Stream

Component = dict[str, Any]
Entry = Mapping[str, Any]

_NAME = re.compile(
    r"(?P<text>'[^']*'|\"[^\"]*\")|(?<![\w.])(?P<root>row|answer|parent|id|config)(?P<path>(?:\.\w+)*)\b"
)
_HOLE = re.compile(r"\{([^{}]+)\}")
_CHOICE = re.compile(r"(?P<value>.+?) if (?P<when>.+?)(?: else (?P<other>.+))?")
_EQUAL = re.compile(r"config\.(?P<path>[\w.]+) == '(?P<value>[^']*)'")
_TIME_OUTS = {"connect_timeout_in_seconds": 10, "read_timeout_in_seconds": 60}
_BY_ID = "_by_id"


def condition(expression: str) -> str:
    return f"{{{{ {expression} }}}}"


def _got(name: str, path: list[str]) -> str:
    """A field that may be missing, as may any on the way to it."""
    for number, key in enumerate(path):
        name = f"{f'({name} or {{}})' if number else name}.get('{key}')"
    return name


class Streams:
    """One provider's components; `$ref`s lead to the common ones and from one of its streams to another."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.components: dict[str, Component] = {}
        self.listed: list[str] = []
        self.by_id: list[str] = []
        self.paths: list[str] = []
        """The templates of all paths, for the budget."""
        self._auth = self._authenticator()
        entries = provider.definition["streams"]
        ids = provider.ids
        for name, stream in provider.streams.items():
            if stream.file or (stream.for_each and stream.for_each.each):
                continue
            entry = entries[name]
            self._add(name, self._listed(stream, entry), self.listed)
            if not (ids and provider.root_of(stream).name == ids.of):
                continue
            if "for_each" in entry or "by_id" in entry:
                self._add(name + _BY_ID, self._of_ids(stream, entry), self.by_id)

    def _add(self, name: str, component: Component, names: list[str]) -> None:
        self.components[name] = component
        names.append(name)

    # Expressions

    def _text(self, expression: str, answer: str = "response", parent: str = "") -> str:
        """An expression of ours in the CDK's words: `answer` and `parent` are called differently in different places."""

        def word(match: re.Match[str]) -> str:
            if match["text"]:
                return match["text"]
            path: list[str] = match["path"].split(".")[1:]
            if match["root"] == "config":
                return self._config(path)
            if match["root"] == "id":
                return "stream_partition['id']"
            if match["root"] == "parent" and not parent:
                return f"stream_slice.extra_fields['{path[0]}']"
            return _got({"row": "record", "answer": answer, "parent": parent}[match["root"]], path)

        return _NAME.sub(word, expression)

    def _config(self, path: list[str]) -> str:
        section = f"config['{self.provider.name}']"
        if path[0] in {"base_url", *self.provider.spec["required"]}:
            return section + "".join(f"['{key}']" for key in path)
        return _got(section, path)

    def _value(self, expression: str) -> str:
        return condition(self._text(expression))

    def _url(self, path: str) -> str:
        if path not in self.paths:
            self.paths.append(path)
        filled = _HOLE.sub(lambda hole: condition(f"{self._text(hole[1])} | urlencode"), path)
        return condition(self._config(["base_url"])) + filled

    # Streams

    def _listed(self, stream: Stream, entry: Entry) -> Component:
        each = entry.get("for_each")
        if each:
            router = self._parents(entry, self._ref(each["row_of"]))
            return self._stream(stream, entry, router, of_parent=True)
        component = self._stream(stream, entry, None)
        retriever = component["retriever"]
        if "pages" in entry:
            retriever["paginator"] = self._paginator(entry["pages"])
        if "window" in entry:
            self._add_window(component, entry["window"])
        return component

    def _of_ids(self, stream: Stream, entry: Entry) -> Component:
        """The IDs of the config take the place of the list: as rows, or as IDs alone with nothing else of their rows."""
        ids = self.provider.ids
        assert ids
        own = f"config['{self.provider.name}']['{ids.key}']"
        listed = {"type": "ListPartitionRouter", "values": condition(f"{own} | unique | list"), "cursor_field": "id"}
        if "by_id" in entry:
            found = {key: entry[key] for key in ("primary_key", "set") if key in entry}
            return self._stream(stream, {**found, **entry["by_id"]}, listed)
        if self.provider.streams[ids.of].by_id:
            return self._stream(stream, entry, self._parents(entry, self._ref(ids.of + _BY_ID)))
        keep = {k: text for k, text in entry.get("keep", {}).items() if "parent." not in text}
        return self._stream(stream, {**entry, "keep": keep}, listed)

    def _stream(self, stream: Stream, entry: Entry, router: Component | None, *, of_parent: bool = False) -> Component:
        where = entry.get("rows") or entry.get("row")
        selector: Component = {
            "type": "RecordSelector",
            "extractor": {"type": "DpathExtractor", "field_path": where.split(".") if where else []},
        }
        if not where and (wanted := self._documented(entry)):
            selector["record_filter"] = {"type": "RecordFilter", "condition": condition(wanted)}
        component: Component = {
            "type": "DeclarativeStream",
            "name": stream.name,
            "primary_key": entry["primary_key"],
            "schema_loader": {"type": "InlineSchemaLoader", "schema": stream.schema},
            "retriever": {"type": "SimpleRetriever", "requester": self._requester(entry), "record_selector": selector},
        }
        if router:
            component["retriever"]["partition_router"] = router
        if fields := [*self._set(stream, entry), *self._keep(stream, entry)]:
            component["transformations"] = fields
        if of_parent:
            cursor = {"$ref": "#/definitions/of_parent", "cursor_field": stream.cursor}
            component["incremental_sync"] = cursor
        return component

    def _documented(self, entry: Entry) -> str:
        """The CDK makes a row of an answer that it ignores, unless its status is an error."""
        rules = entry.get("skip_when", [])
        if not rules and all(int(code) >= 400 for code in entry.get("skip", {})):
            return ""
        wanted = [self._text(entry.get("valid_when", "true"), answer="record")]
        wanted += [f"not ({self._text(rule['when'], answer='record')})" for rule in rules]
        return " and ".join(f"({each})" for each in wanted)

    def _ref(self, stream: str) -> str:
        return f"#/definitions/{self.provider.name}/streams/{stream}"

    def _parents(self, entry: Entry, ref: str) -> Component:
        """The rows of the stream above that are worth a request."""
        each = entry["for_each"]
        root, key = each["id"].split(".", 1)
        assert root == "parent", "an ID of a row's item is a file's"
        selector = f"{ref}/retriever/record_selector"
        wanted = [self._text(each.get("when", "true"), parent="record")]
        # The CDK would ask for an ID that is null.
        wanted.append(f"{_got('record', key.split('.'))} is not none")
        above = self.components[ref.rpartition("/")[2]]["retriever"]["record_selector"]
        if "record_filter" in above:
            wanted.append(above["record_filter"]["condition"].strip("{} "))
        rows = {"type": "RecordFilter", "condition": condition(" and ".join(f"({each})" for each in wanted))}
        texts = [*entry.get("keep", {}).values(), *entry.get("set", {}).values()]
        fields = {name for text in texts for name in re.findall(r"\bparent\.(\w+)", text)}
        parent: Component = {
            "type": "ParentStreamConfig",
            "stream": {
                "$ref": ref,
                "retriever": {"$ref": f"{ref}/retriever", "record_selector": {"$ref": selector, "record_filter": rows}},
            },
            "parent_key": key,
            "partition_field": "id",
            "incremental_dependency": not ref.endswith(_BY_ID),
            "extra_fields": [[name] for name in sorted(fields)],
        }
        return {"type": "SubstreamPartitionRouter", "parent_stream_configs": [parent]}

    # Fields

    def _keep(self, stream: Stream, entry: Entry) -> Iterator[Component]:
        for key, text in entry.get("keep", {}).items():
            yield self._added(stream, key, text)

    def _set(self, stream: Stream, entry: Entry) -> Iterator[Component]:
        """A field that stays as it is gets no value: the CDK would render it, megabytes perhaps, and guess its type."""
        for key, text in entry.get("set", {}).items():
            same, choice = f"row.{key}", _CHOICE.fullmatch(text)
            if choice and choice["value"] == same and not choice["other"]:
                unless = f"not ({choice['when']}) and {same} is not none"
                yield self._added(stream, key, "none", unless)
            elif choice and choice["other"] == same:
                value = f"{choice['value']} if {choice['when']} else none"
                yield self._added(stream, key, value, choice["when"])
            else:
                yield self._added(stream, key, text)

    def _added(self, stream: Stream, key: str, text: str, when: str | None = None) -> Component:
        field: Component = {"type": "AddedFieldDefinition", "path": [key], "value": self._value(text)}
        # Otherwise an ID of digits would become a number; and as text, none would become "None".
        kinds = stream.schema["properties"].get(key, {}).get("type")
        if text != "none" and {"string"} == {*([kinds] if isinstance(kinds, str) else kinds or [])} - {"null"}:
            field["value_type"] = "string"
            if text != "id":
                when = when or f"({text}) is not none"
        added: Component = {"type": "AddFields", "fields": [field]}
        if when:
            added["condition"] = self._value(when)
        return added

    # Requests

    def _requester(self, entry: Entry) -> Component:
        found = self._request(entry)
        found["authenticator"] = self._auth
        found["error_handler"] = self._errors(entry, self.provider.definition.get("refuse", {}))
        return found

    def _request(self, entry: Entry) -> Component:
        method = "get" if "get" in entry else "post"
        key, credential_help = self.provider.credential
        found: Component = {
            "type": "HttpRequester",
            "url": self._url(entry[method]),
            "http_method": method.upper(),
            "use_cache": False,
            **_TIME_OUTS,
            "$parameters": {
                "vendor": self.provider.title,
                "provider": self.provider.name,
                "credential": key,
                "credential_help": credential_help,
            },
        }
        if "headers" in entry:
            found["request_headers"] = dict(entry["headers"])
        if "params" in entry:
            found["request_parameters"] = dict(entry["params"])
        if "json" in entry:
            value = {name: self._value(text) for name, text in entry["json"].items()}
            found["request_body"] = {"type": "RequestBodyJsonObject", "value": value}
        return found

    def _errors(self, entry: Entry, refuse: Mapping[int, str], tries: int = 5) -> Component:
        """What an operation says about a status goes before what its provider says, and that before what all say."""
        skip = entry.get("skip", {})
        refuse = {**refuse, **entry.get("refuse", {})}
        refuse = {code: text for code, text in refuse.items() if code not in skip}
        config_error = {"failure_type": "config_error"}
        # Of a server's error a few tries tell whether it means what is documented.
        final = {code: text for code, text in refuse.items() if int(code) < 500}
        tried = {code: text for code, text in refuse.items() if int(code) >= 500}
        filters = [
            *_by_codes(skip, {"action": "IGNORE"}),
            *_by_codes(final, {"action": "FAIL", **config_error}),
            *_by_codes(tried, {"action": "RETRY", **config_error}),
            *_common("errors", "rejected", "rate_limited", "server_error", "redirect", "unexpected"),
        ]
        title, pages = self.provider.title, entry.get("pages", {})
        told = partial(_told, filters)
        for rule in entry.get("skip_when", []):
            told(f"{self._text(rule['when'])}", "IGNORE", rule["reason"])
        where = entry.get("rows") or entry.get("row")
        good = self._text(entry["valid_when"]) if "valid_when" in entry else None
        good = good or (f"{_got('response', where.split('.'))} is not none" if where else None)
        incomplete = f"{title} sent an answer without the documented content."
        if good:
            told(f"response is not mapping or not ({good})", "RETRY", incomplete)
        if "cursor" in pages and "more" in pages:
            goes_on = f"({self._text(pages['more'])}) and not ({self._text(pages['next'])})"
            told(goes_on, "FAIL", f"{title} pages its list without a cursor, which is not supported.")
        return {
            "type": "DefaultErrorHandler",
            "max_retries": tries,
            "backoff_strategies": [*_common("backoff", "retry_after", "ratelimit_reset", "exponential")],
            "response_filters": filters,
        }

    def _authenticator(self) -> Component:
        entries = self.provider.definition.get("auth", [])
        if isinstance(entries, Mapping):
            return self._authenticator_of(entries)
        conditions = [_EQUAL.fullmatch(entry.get("when", "")) for entry in entries]
        path = next(found["path"] for found in conditions if found).split(".")
        # The entry without a condition is for the choice that no other one names.
        choices = _constants(self.provider.spec["properties"], path)
        named = {found["value"] for found in conditions if found}
        other = next(iter(choices - named), "")
        return {
            "type": "SelectiveAuthenticator",
            "authenticator_selection_path": [self.provider.name, *path],
            "authenticators": {
                found["value"] if found else other: self._authenticator_of(entry)
                for found, entry in zip(conditions, entries, strict=True)
            },
        }

    def _authenticator_of(self, entry: Entry) -> Component:
        if entry["type"] == "bearer":
            return {"type": "BearerAuthenticator", "api_token": self._value(entry["token"])}
        if entry["type"] == "basic":
            user, password = self._value(entry["username"]), self._value(entry["password"])
            return {"type": "BasicHttpAuthenticator", "username": user, "password": password}
        if entry["type"] == "login":
            login = self._request(entry)
            valid = {**entry, "valid_when": entry["token"]}
            login["error_handler"] = self._errors(valid, {}, tries=2)
            return {
                "type": "SessionTokenAuthenticator",
                "login_requester": login,
                "session_token_path": entry["token"].split(".")[1:],
                "expiration_duration": "PT30M",
                "request_authentication": {"type": "Bearer"},
            }
        return {
            "type": "ApiKeyAuthenticator",
            "api_token": f"{entry.get('scheme', '')} {self._value(entry['key'])}".strip(),
            "inject_into": _option("Authorization", "header"),
        }

    # Lists

    def _paginator(self, entry: Entry) -> Component:
        ((size_name, size),) = entry["size"].items()
        strategy: Component
        if "cursor" in entry:
            value = self._value(entry["next"])
            strategy = {"type": "CursorPagination", "page_size": size, "cursor_value": value}
        elif "offset" in entry:
            strategy = {"type": "OffsetIncrement", "page_size": size}
        else:
            strategy = {"type": "PageIncrement", "page_size": size, "start_from_page": 1}
        token = entry.get("cursor") or entry.get("offset") or entry["number"]
        return {
            "type": "DefaultPaginator",
            "page_size_option": _option(size_name),
            "page_token_option": _option(token),
            "pagination_strategy": strategy,
        }

    def _add_window(self, stream: Component, entry: Entry) -> None:
        common = "windows" if "from" in entry else "client_side"
        cursor: Component = {"$ref": f"#/definitions/{common}", "cursor_field": entry["field"]}
        stream["incremental_sync"] = cursor
        if "from" in entry:
            margin, form = entry.get("margin_days", 0), entry.get("format", "iso")
            if form == "iso" and not margin:
                cursor["start_time_option"] = _option(entry["from"])
                cursor["end_time_option"] = _option(entry["until"])
            else:
                params = stream["retriever"]["requester"].setdefault("request_parameters", {})
                params[entry["from"]] = _moment("start_time", f"- duration('P{margin}D')", form)
                params[entry["until"]] = _moment("end_time", f"+ duration('P{margin}D')", form)
        elif entry.get("newest_first"):
            # The reading stops at the first row that is too old, so the cursor must not also refuse those that are too
            # new: the filter does.
            time = f"str_to_datetime(record['{entry['field']}'])"
            end = f"not config.get('end_date') or {time} < str_to_datetime(config['end_date'])"
            rows = {"type": "RecordFilter", "condition": condition(end)}
            stream["retriever"]["record_selector"]["record_filter"] = rows
            cursor["end_datetime"] = {
                "type": "MinMaxDatetime",
                "datetime": "{{ now_utc().strftime('%Y-%m-%dT%H:%M:%S.%fZ') }}",
            }
            cursor |= {"is_data_feed": True, "is_client_side_incremental": False}


def _moment(end: str, margin: str, form: str) -> str:
    time = f"(str_to_datetime(stream_interval['{end}']) {margin})"
    if form in ("epoch_seconds", "epoch_milliseconds"):
        factor = 1 if form == "epoch_seconds" else 1000
        return condition(f"({time}.timestamp() * {factor}) | int")
    return condition(f"{time}.strftime('{'%Y-%m-%dT%H:%M:%S.%fZ' if form == 'iso' else form}')")


def _option(name: str, where: str = "request_parameter") -> Component:
    return {"type": "RequestOption", "inject_into": where, "field_name": name}


def _common(group: str, *names: str) -> Iterator[Component]:
    return ({"$ref": f"#/definitions/{group}/{name}"} for name in names)


def _by_codes(reasons: Mapping[int, str], action: Component) -> Iterator[Component]:
    """One filter for all codes that mean the same."""
    for reason in dict.fromkeys(reasons.values()):
        codes = [int(code) for code, text in reasons.items() if text == reason]
        yield {"type": "HttpResponseFilter", "http_codes": codes, **action, "error_message": reason}


def _told(filters: list[Component], predicate: str, action: str, message: str) -> None:
    """Adds a filter that looks into an answer."""
    found: Component = {"type": "HttpResponseFilter", "predicate": condition(predicate)}
    found |= {"action": action, "error_message": message}
    if action == "FAIL":
        found["failure_type"] = "system_error"
    filters.append(found)


def _constants(properties: Entry, path: list[str]) -> set[str]:
    """What the choice at the path can be: the constants of a form's options."""
    options = properties[path[0]]["oneOf"]
    return {option["properties"][path[1]]["const"] for option in options}
