"""The streams of a provider.yaml as components of the CDK, for the exported manifest."""

import re
from collections.abc import Iterator

from source_recordings.manifest.requests import Requests, option
from source_recordings.manifest.words import Component, Entry, Words, condition, got
from source_recordings.provider import Provider, Stream

_CHOICE = re.compile(r"(?P<value>.+?) if (?P<when>.+?)(?: else (?P<other>.+))?")
_BY_ID = "_by_id"


class Streams:
    """One provider's components; `$ref`s lead to the common ones and from one of its streams to another."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.components: dict[str, Component] = {}
        self.listed: list[str] = []
        self.by_id: list[str] = []
        self.words = Words(provider)
        self._requests = Requests(self.words)
        entries = provider.definition["streams"]
        ids = provider.ids
        for name, stream in provider.streams.items():
            if stream.file or stream.operation.text or (stream.for_each and stream.for_each.ways[0].each):
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
            "retriever": {
                "type": "SimpleRetriever",
                "requester": self._requests.requester(entry),
                "record_selector": selector,
            },
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
        wanted = [self.words.text(entry.get("valid_when", "true"), answer="record")]
        wanted += [f"not ({self.words.text(rule['when'], answer='record')})" for rule in rules]
        return " and ".join(f"({each})" for each in wanted)

    def _ref(self, stream: str) -> str:
        return f"#/definitions/{self.provider.name}/streams/{stream}"

    def _parents(self, entry: Entry, ref: str) -> Component:
        """The rows of the stream above that are worth a request."""
        each = entry["for_each"]
        # Nothing finds out which of several IDs is wanted: the first one is.
        root, key = (each["id"] if isinstance(each["id"], str) else each["id"][0]).split(".", 1)
        assert root == "parent", "an ID of a row's item is a file's"
        selector = f"{ref}/retriever/record_selector"
        wanted = [self.words.text(each.get("when", "true"), parent="record")]
        # The CDK would ask for an ID that is null.
        wanted.append(f"{got('record', key.split('.'))} is not none")
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
        field: Component = {"type": "AddedFieldDefinition", "path": [key], "value": self.words.value(text)}
        # Otherwise an ID of digits would become a number; and as text, none would become "None".
        kinds = stream.schema["properties"].get(key, {}).get("type")
        if text != "none" and {"string"} == {*([kinds] if isinstance(kinds, str) else kinds or [])} - {"null"}:
            field["value_type"] = "string"
            if text != "id":
                when = when or f"({text}) is not none"
        added: Component = {"type": "AddFields", "fields": [field]}
        if when:
            added["condition"] = self.words.value(when)
        return added

    # Lists

    def _paginator(self, entry: Entry) -> Component:
        ((size_name, size),) = entry["size"].items()
        strategy: Component
        if "cursor" in entry:
            value = self.words.value(entry["next"])
            strategy = {"type": "CursorPagination", "page_size": size, "cursor_value": value}
        elif "offset" in entry:
            strategy = {"type": "OffsetIncrement", "page_size": size}
        else:
            strategy = {"type": "PageIncrement", "page_size": size, "start_from_page": 1}
        token = entry.get("cursor") or entry.get("offset") or entry["number"]
        return {
            "type": "DefaultPaginator",
            "page_size_option": option(size_name),
            "page_token_option": option(token),
            "pagination_strategy": strategy,
        }

    def _add_window(self, stream: Component, entry: Entry) -> None:
        common = "windows" if "from" in entry else "client_side"
        cursor: Component = {"$ref": f"#/definitions/{common}", "cursor_field": entry["field"]}
        stream["incremental_sync"] = cursor
        if "from" in entry:
            margin, form = entry.get("margin_days", 0), entry.get("format", "iso")
            if form == "iso" and not margin:
                cursor["start_time_option"] = option(entry["from"])
                cursor["end_time_option"] = option(entry["until"])
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
