"""A stream's jobs: what to ask for about a row of a list, or about an ID, and what becomes of the answers."""

import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from source_recordings.delivery import Delivery, Row
from source_recordings.errors import explained
from source_recordings.expressions import BadSegment, Names, segment
from source_recordings.http.answers import Answer, Apart
from source_recordings.http.asking import Asking, Endpoint, answer_to, ask
from source_recordings.http.client import Client, Closed
from source_recordings.http.shared import Answers
from source_recordings.provider import Match, Operation, Provider, Stream, Way
from source_recordings.reading.choice import Choice
from source_recordings.reading.details import Job, Pools
from source_recordings.reading.keys import is_key
from source_recordings.reading.lookup import Lookup, Refused
from source_recordings.reading.outcome import Outcome
from source_recordings.reading.pages import Page, Walker
from source_recordings.reading.units import Seed, Unit, units_of
from source_recordings.tally import Tally
from source_recordings.times import moment

# A file that is stored or too large stays so. One that is missing or whose address has run out may turn up yet.
FINAL = {"stored", "too_large"}

Deliver = Callable[[Names, Callable[[], Names | None]], Delivery]
"""Downloads the file that a row names. It may ask for the row once more, for a new address. Slow."""


@dataclass(frozen=True)
class Connection:
    """A connected provider: what all of its streams share during a sync."""

    provider: Provider
    config: Mapping[str, Any]
    client: Client
    answers: Answers
    pools: Pools
    uses: Mapping[int, int] = field(default_factory=dict)
    """How many of the selected streams need an operation's answers, by the operation's identity."""
    tries: int = 6
    choices: dict[int, Choice] = field(default_factory=dict)
    """Which of several IDs an operation wants, by its identity."""


class Jobs:
    """The jobs of one stream."""

    def __init__(
        self,
        connection: Connection,
        stream: Stream,
        tally: Tally,
        deliver: Deliver | None,
        is_remembered: Callable[[str, Any], bool] = lambda _key, _time: False,
        since: datetime | None = None,
    ) -> None:
        """`deliver` for a stream of files; `is_remembered` tells what an earlier sync has settled, by key and time.

        Nothing from before `since` is wanted.
        """
        self.stream = stream
        self.root = connection.provider.root_of(stream)
        self.is_by_id = connection.provider.is_by_id(connection.config)
        self.tally = tally
        self._connection = connection
        self._deliver = deliver
        self._is_remembered = is_remembered
        self._since = since
        self._ways = stream.for_each.ways if stream.for_each else ()
        self._endpoints: dict[int, Endpoint] = {}
        renew = stream.file.renew if stream.file else None
        for operation in (stream.operation, self.root.by_id, renew, *(way.operation for way in self._ways)):
            if operation:
                self._endpoints[id(operation)] = self.endpoint(operation, about_one=True)
        self._lookups = {number: self._lookup(way, way.match) for number, way in enumerate(self._ways) if way.match}

    def close(self) -> None:
        """Takes away what is kept on disk."""
        for lookup in self._lookups.values():
            lookup.close()

    @property
    def names(self) -> Names:
        """What every expression may use."""
        return self._connection.client.names

    @property
    def pools(self) -> Pools:
        return self._connection.pools

    def endpoint(self, operation: Operation, *, about_one: bool = False) -> Endpoint:
        return Endpoint(
            self._connection.provider,
            operation,
            self.stream.name,
            self.tally,
            about_one=about_one,
            tries=self._connection.tries,
        )

    def asking(
        self,
        endpoint: Endpoint,
        names: Names,
        params: Mapping[str, str] | None = None,
        *,
        anew: bool = False,
        shared: bool = False,
    ) -> Asking:
        """One request, which another stream may have made already. Raises BadSegment."""
        client = self._connection.client
        request = client.request(endpoint.operation, names, params)
        asking = Asking(client, endpoint, request, names)
        if shared or self._connection.uses.get(id(endpoint.operation), 0) > 1:
            return self._connection.answers.asking(asking, anew=anew)
        return asking

    # What there is to do

    def seeds(self, row: Row, time: int) -> Iterator[Seed]:
        """One for each request or file that the row leads to."""
        names = {**self.names, "parent": row, "row": row}
        if not self.stream.for_each:
            assert self.stream.file
            if self.stream.file.when(names):
                yield Seed(self._file_row_key(names), time, row)
            return
        for unit in units_of(self._ways, names):
            values = {**names, "item": unit.item, "id": unit.id}
            version = [value(values) for value in self.stream.for_each.version]
            yield Seed(json.dumps([unit.id, *version]), time, row, unit)

    def ids(self) -> Iterator[Seed]:
        """One for each ID that the user has listed."""
        ids = self._connection.provider.ids
        assert ids
        for value in dict.fromkeys(self._connection.config[ids.key]):
            yield Seed(str(value), 0, {ids.field: value}, id=value, is_id=True)

    def _file_row_key(self, names: Names) -> str:
        kept = {name: value(names) for name, value in self.stream.keep.items()}
        return "|".join(f"{kept.get(name)}" for name in self.stream.schema["properties"])

    # Doing it

    def job(self, seed: Seed) -> Job:
        """Never raises: what went wrong is in the outcome, beside the records that came before."""
        outcome = Outcome()
        try:
            yield from self._of_id(seed, outcome) if seed.is_id else self._of_row(seed, outcome)
        except BadSegment as error:
            self._skip_id(error)
        except Exception as error:  # noqa: BLE001  one bad row takes no other one with it
            outcome.error = self._explained(error)
        return outcome

    def _of_id(self, seed: Seed, outcome: Outcome) -> Generator[Any, Any, None]:
        names = {**self.names, "id": seed.id}
        parent: Row = seed.parent
        if self.root.by_id:
            endpoint = self._endpoints[id(self.root.by_id)]
            answer = yield from answer_to(self.asking(endpoint, names))
            if answer.skipped is not None:
                return
            parent = answer.value
            outcome.size += answer.size
        names |= {"parent": parent, "row": parent}
        if self.stream.for_each:
            units = units_of(self._ways, names) if self.root.by_id else [Unit(0, None, (seed.id,))]
            for unit in units:
                yield from self._details(unit, names, outcome, seed)
        elif self.stream.file:
            if self.stream.file.when(names):
                yield from self._files(names, outcome, seed, lambda: [names])
        else:
            self._record(names, outcome)

    def _of_row(self, seed: Seed, outcome: Outcome) -> Generator[Any, Any, None]:
        names = {**self.names, "parent": seed.parent, "row": seed.parent}
        if seed.unit:
            yield from self._details(seed.unit, names, outcome, seed)
        else:
            yield from self._files(names, outcome, seed, lambda: self._row_anew(names))
            outcome.settled = bool(outcome.deliveries) and len(outcome.delivered) == len(outcome.deliveries)
            outcome.delivered.clear()  # the job is the file

    def _details(self, unit: Unit, names: dict[str, Any], outcome: Outcome, seed: Seed) -> Generator[Any, Any, None]:
        """The request about one unit, and its rows as records or files."""
        names = {**names, "item": unit.item, "id": unit.id}
        if unit.way in self._lookups:
            row = yield partial(self._lookups[unit.way].row_of, unit.id)
            if row is None:
                self.tally.skip("the provider's list has none (yet)")
            else:
                self._record({**names, "row": row}, outcome)
            return
        asked, answer = yield from self._answer(unit, names)
        if answer.skipped is not None:
            return
        names["id"] = asked
        outcome.size += answer.size
        settled = True
        rows = self._rows(unit.way, answer)
        for row in rows:
            values = {**names, "row": row, "apart": answer.apart}
            settled = settled and bool(self.stream.settled_when(values))
            if not self.stream.file:
                self._record(values, outcome)
            elif self.stream.file.when(values):
                yield from self._files(values, outcome, seed, lambda: self._anew(unit, names))
        final = not self.stream.file or len(outcome.delivered) == len(outcome.deliveries)
        # A transcript without a word is as final as any.
        came = bool(outcome.deliveries) or (self.stream.shape is not None and bool(rows))
        outcome.settled = came and settled and final

    def _answer(self, unit: Unit, names: Names) -> Generator[Any, Any, tuple[Any, Answer]]:
        """What was asked for, and the answer."""

        def asking_for(value: Any) -> Asking:
            segment(value)  # what can be no part of an address is no ID, wherever it would stand
            return self.asking(self._endpoint_of(unit), {**names, "id": value})

        ids = [(number, value) for number, value in enumerate(unit.ids) if value is not None]
        if len(ids) > 1:
            choice = self._connection.choices.setdefault(id(self._ways[unit.way].operation), Choice())
            return (yield from choice.answer(ids, asking_for))
        # A unit that has but one of them tells nothing about the others: it may be of another kind.
        answer = yield from answer_to(asking_for(unit.id))
        return unit.id, answer

    def _endpoint_of(self, unit: Unit) -> Endpoint:
        return self._endpoints[id(self._ways[unit.way].operation)]

    def _lookup(self, way: Way, match: Match) -> Lookup:
        endpoint = self._endpoints[id(way.operation)]

        def fetch(params: Mapping[str, str]) -> Answer:
            asking = self.asking(endpoint, self.names, params)
            asking.is_probe = True  # what is missing is counted by the unit
            answer = ask(asking)
            if answer.skipped is not None:
                raise Refused
            return answer

        def walk(params: Mapping[str, str]) -> Iterator[Page]:
            key = self.stream.row_key
            fetch_these = lambda page: fetch({**params, **page})  # noqa: E731
            return Walker(match.pages, fetch_these, way.operation.rows, key, self.names).walk()

        return Lookup(walk, match, self._since, whole=not self.is_by_id)

    def _rows(self, way: int, answer: Answer) -> list[Row]:
        found: Any = answer.value
        for name in self._ways[way].operation.rows:
            found = found[name]
        rows = found if isinstance(found, list) else [found]
        good = [row for row in rows if isinstance(row, Mapping)]
        for _ in range(len(rows) - len(good)):
            self.tally.skip("a row that is no object")
        return good

    def records(self, names: Names) -> Iterator[dict[str, Any]]:
        """The row as it goes out, or what becomes of it; counted, and not there, if it lacks its key."""
        own = self._own(names)
        for data in self._shaped({**names, "row": own}) if self.stream.shape else [own]:
            missing = [key for key in self.stream.needed if not is_key(data.get(key))]
            if missing:
                self.tally.skip(f"a row without {missing[0]}")
            else:
                yield data

    def _own(self, names: Names) -> dict[str, Any]:
        """The row as the provider's own stream has it."""
        data = dict(names["row"])
        if names.get("apart"):
            self._with_apart(data, names["apart"])
            names = {**names, "row": dict(data)}
        for name, value in self.stream.set.items():
            data[name] = value(names)
            if data[name] is None:
                del data[name]
        for name, value in self.stream.keep.items():
            kept = value(names)
            if kept is not None:
                data[name] = kept
        return data

    def _with_apart(self, data: dict[str, Any], apart: Apart) -> None:
        """What was kept out of memory comes back where the record is to have it."""
        field = self.stream.operation.apart
        if field and data.get(field) == apart.token:
            wanted = self.stream.set.get(field)
            if wanted is None or wanted({**self.names, "row": data}) is not None:
                data[field] = apart.text()

    def _shaped(self, names: Names) -> Iterator[dict[str, Any]]:
        """The rows of a stream that all providers share, which a row of the provider's own becomes."""
        shape = self.stream.shape
        assert shape
        items = shape.each(names) if shape.each else [names.get("item")]
        for position, item in enumerate(items if isinstance(items, list) else []):
            values = {**names, **shape.helpers, "item": item, "position": position}
            data = {name: field(values) for name, field in shape.fields.items()}
            yield {"provider": self._connection.provider.name, **{k: v for k, v in data.items() if v is not None}}

    def _record(self, names: Names, outcome: Outcome) -> None:
        for data in self.records(names):
            for condition, reason in self.stream.warn_when:
                if condition({**names, "row": data}):
                    self.tally.doubt(reason)
            outcome.deliveries.append(Delivery(data))

    def _files(
        self, names: dict[str, Any], outcome: Outcome, seed: Seed, anew: Callable[[], Iterable[Names]]
    ) -> Generator[Any, Any, None]:
        """One download for each file that a row names; an error does not keep the others back."""
        for values in self._targets(names):
            missing = [key for key in self.stream.primary_key if self.stream.keep[key](values) is None]
            if missing:
                self.tally.skip(f"a row without {missing[0]}")
                continue
            key = self._file_key(values)
            if self._is_remembered(key, moment(seed.time)):
                continue

            def renew(key: str = key) -> Names | None:
                """The same file in rows that are asked for anew: with an address that has not run out."""
                targets = (values for names in anew() for values in self._targets(names))
                return next((v for v in targets if self._file_key(v) == key), None)

            try:
                delivery: Delivery = yield partial(self._delivered, values, renew)
            except BadSegment as error:
                self._skip_id(error)
                continue
            except Exception as error:  # noqa: BLE001  kept for the end of the job
                outcome.error = outcome.error or self._explained(error)
                continue
            outcome.deliveries.append(delivery)
            if delivery.data.get("media_status") in FINAL:
                outcome.delivered.append(key)

    def _delivered(self, names: Names, renew: Callable[[], Names | None]) -> Delivery:
        assert self._deliver
        return self._deliver(names, renew)

    def _targets(self, names: Names) -> Iterator[dict[str, Any]]:
        """The names of each file of a row."""
        assert self.stream.file
        each = self.stream.file.each
        for item in (each(names) or []) if each else [names.get("item")]:
            yield {**names, "item": item}

    def _anew(self, unit: Unit, names: Names) -> Iterator[Names]:
        """The rows of the same request, made once more, past what other streams have got."""
        answer = ask(self.asking(self._endpoint_of(unit), names, anew=True))
        if answer.skipped is None:
            for row in self._rows(unit.way, answer):
                yield {**names, "row": row, "apart": answer.apart}

    def _row_anew(self, names: Names) -> Iterator[Names]:
        """The same row of a list, asked for by itself; the one that there is, where the provider has no such request."""
        assert self.stream.file
        renew = self.stream.file.renew
        if renew is None:
            yield names
            return
        answer = ask(self.asking(self._endpoints[id(renew)], names))
        if answer.skipped is None:
            found: Any = answer.value
            for name in renew.rows:
                found = found[name]
            yield {**names, "parent": found, "row": found}

    def _file_key(self, names: Names) -> str:
        values = (self.stream.keep[name](names) for name in self.stream.primary_key)
        return "|".join(["file", *map(str, values)])

    def _skip_id(self, error: BadSegment) -> None:
        self.tally.skip(f"its ID can't be asked for: {error}")

    def _explained(self, error: Exception) -> Exception:
        if isinstance(error, Closed):
            return error
        return explained(error, self._connection.provider.title, self.stream.name)
