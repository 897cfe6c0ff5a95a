"""Files as jobs of a fan-out: of rows that are listed, or of rows that another job's request gives."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from airbyte_cdk.sources.streams.concurrent.default_stream import DefaultStream
from airbyte_cdk.sources.types import Record
from airbyte_cdk.utils import AirbyteTracedException

from source_recordings.components.fan_out import Jobs
from source_recordings.media.media import Media

Item = TypeVar("Item")

# A file that is stored or too large stays so. One that is missing or whose address has run out may turn up yet.
FINAL = {"stored", "too_large"}


def is_settled(record: Record) -> bool:
    """Whether nothing new is to be had for this record and for those that came of the same job."""
    return bool(getattr(record, "settled", False))


def records_before(error: AirbyteTracedException) -> list[Record]:
    """The records of a job whose other files could not be had."""
    return list(getattr(error, "records", ()))


def delivered_key(record: Record) -> str | None:
    """What to remember of a file so that it is not delivered again with the other files of its job."""
    return getattr(record, "delivered_key", None)


def _is_final(record: Record) -> bool:
    return record.data.get("media_status") in FINAL


@dataclass(frozen=True)
class ListedFileJobs:
    """The listed rows are the files."""

    media: Media

    def item_of(self, row: Record) -> Record:
        self.media.staging.sweep()
        data = {name: row.data[name] for name in self.media.properties if name in row.data}
        return Record(data=data, stream_name=row.stream_name)

    def key_of(self, item: Record) -> str:
        return "|".join(f"{item.data.get(name)}" for name in self.media.properties)

    def read(self, item: Record) -> list[Record]:
        record = self.media.fetch(item)
        record.settled = _is_final(record)  # type: ignore[attr-defined]
        return [record]


@dataclass(frozen=True)
class FileJobs(Generic[Item]):
    """The files of the rows that other jobs read, one request for all of a job's rows and one download each."""

    rows: Jobs[Item]
    media: Media
    primary_key: tuple[str, ...]
    is_ready: Callable[[Record], bool]
    """Whether the row has a file to be had; if not, there is no record of it (yet)."""
    settled_when: Callable[[Record], bool]
    """Whether the row stays as it is: the manifest's `settled_when`."""
    is_delivered: Callable[[Record, str], bool]
    """Whether an earlier sync has remembered this `delivered_key` for the row."""

    def item_of(self, row: Record) -> Item | None:
        self.media.staging.sweep()
        return self.rows.item_of(row)

    def key_of(self, item: Item) -> str:
        return self.rows.key_of(item)

    def read(self, item: Item) -> list[Record]:
        """Raises the first error once every file has been tried; `records_before` has the others."""
        rows = list(self.rows.read(item))
        ready = [
            row
            for row in rows
            if self.is_ready(row) and not self.is_delivered(row, self._key_of_file(row))
        ]
        results = [self._fetch(item, row) for row in ready]
        records = [result for result in results if isinstance(result, Record)]
        settled = all(map(self.settled_when, rows)) and all(map(_is_final, records))
        for record in records:
            record.settled = settled  # type: ignore[attr-defined]
            if _is_final(record):
                record.delivered_key = self._key_of_file(record)  # type: ignore[attr-defined]
        for result in results:
            if isinstance(result, AirbyteTracedException):
                result.records = records  # type: ignore[attr-defined]
                raise result
        return records

    def _key_of_file(self, row: Record) -> str:
        return "|".join(["file", *(f"{row.data.get(name)}" for name in self.primary_key)])

    def _fetch(self, item: Item, row: Record) -> Record | AirbyteTracedException:
        try:
            return self.media.fetch(row, lambda: self._again(item, row))
        except AirbyteTracedException as error:
            return error

    def _again(self, item: Item, row: Record) -> Record | None:
        key = [row.data.get(name) for name in self.primary_key]
        same = (r for r in self.rows.read(item) if [r.data.get(n) for n in self.primary_key] == key)
        return next(same, None)


@dataclass(frozen=True)
class Files:
    """What makes the files of a stream: see the fields of FileJobs."""

    media: Media
    is_ready: Callable[[Record], bool]
    settled_when: Callable[[Record], bool]
    inline_field: str | None = None
    """The field in which the provider's answer holds the file itself."""

    def of(
        self,
        rows: Jobs[Item],
        stream: DefaultStream,
        is_delivered: Callable[[Record, str], bool] = lambda _row, _key: False,
    ) -> FileJobs[Item]:
        """The jobs that download the files of the stream's rows, which `rows` reads."""
        if self.inline_field:
            self.media.take_inline(stream, self.inline_field)
        return FileJobs(
            rows,
            self.media,
            tuple(stream._primary_key),
            self.is_ready,
            self.settled_when,
            is_delivered,
        )
