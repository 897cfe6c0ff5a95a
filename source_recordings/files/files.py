"""A row that names a file becomes a record with the file."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import BoundedSemaphore
from typing import Any

from airbyte_cdk.models import AirbyteRecordMessageFileReference

from source_recordings.delivery import Delivery
from source_recordings.expressions import Names
from source_recordings.files.download import TooLarge, download
from source_recordings.files.inline import Inline, NoBase64
from source_recordings.files.names import media_type, relative_path, staging_segments, type_of_name
from source_recordings.files.sniff import instead_of_media, is_textual, type_of
from source_recordings.files.source import Api, Expired, Get, Missing, Source
from source_recordings.files.staging import Part, Staging, staging_directory
from source_recordings.http.storage import Storage
from source_recordings.provider import Provider, Stream
from source_recordings.tally import Tally

MEGABYTE = 1_000_000
DEFAULT_MAX_MEGABYTES = 1000
OVER_LIMIT = "over the limit"

Media = dict[str, Any]
Stored = tuple[Media, AirbyteRecordMessageFileReference]
Renew = Callable[[], Names | None]


@dataclass(frozen=True)
class Told:
    """What the provider says of a file beforehand, as far as it can be used."""

    type: str | None
    bytes: int | None


class NoFile(Exception):
    """The record comes without its file: a status, and why."""

    def __init__(
        self,
        status: str,
        reason: str,
        content_type: str | None = None,
        size: int | None = None,
        *,
        is_strange: bool = False,
    ) -> None:
        """`is_strange`: nobody has said that there is no file, but what came is none."""
        super().__init__(status, reason)
        self.status = status
        self.reason = reason
        self.content_type = content_type
        self.size = size
        self.is_strange = is_strange


class Files:
    """What all file streams of a sync share: the staging directory, the connections, how many downloads run at once."""

    def __init__(self, max_megabytes: int | None, downloads: int) -> None:
        self.staging = Staging(staging_directory())
        self.storage = Storage()
        self.slots = BoundedSemaphore(downloads)
        self.limit = int(max_megabytes or DEFAULT_MAX_MEGABYTES) * MEGABYTE

    def of(
        self, provider: Provider, stream: Stream, base_url: str, get: Get, tally: Tally, *, include_files: bool
    ) -> "StreamFiles":
        """The files of one stream. `get` asks the provider's own host; without `include_files` records come without files."""
        return StreamFiles(self, provider, stream, base_url, get, tally, include_files)


class StreamFiles:
    """Downloads the files of one stream. `deliver` may be called by many threads at once."""

    def __init__(
        self,
        shared: Files,
        provider: Provider,
        stream: Stream,
        base_url: str,
        get: Get,
        tally: Tally,
        include_files: bool,
    ) -> None:
        assert stream.file
        self._shared = shared
        self._provider = provider
        self._stream = stream
        self._file = stream.file
        self._base_url = base_url
        self._tally = tally
        own = stream.file.download is not None or stream.file.authorized
        self._api = Api(get if own else None, base_url, provider.title)
        self._include_files = include_files

    def deliver(self, names: Names, renew: Renew) -> Delivery:
        """The record, with its file in the staging directory unless `media_status` says why not.

        A row may say beforehand what the file is: `media_type` and `media_bytes`. `renew` asks the provider for the same
        row once more: for a new address in the place of one that has run out.
        Raises an error in words if the file could not be had this time.
        """
        self._shared.staging.sweep()
        data = {name: value(names) for name, value in self._stream.keep.items()}
        size = self._told(names, "media_bytes")
        told = Told(media_type(self._told(names, "media_type")), size if type(size) is int and size >= 0 else None)
        media: Media = {"type": told.type, "bytes": told.bytes}
        reference = None
        if self._include_files:
            try:
                media, reference = self._media(names, renew, told)
            except NoFile as error:
                media = self._without_file(error, told)
        data |= {f"media_{name}": value for name, value in media.items()}
        return Delivery({k: v for k, v in data.items() if v is not None}, reference)

    def _told(self, names: Names, field: str) -> Any:
        expression = getattr(self._file, field)
        return expression(names) if expression else None

    def _without_file(self, error: NoFile, told: Told) -> Media:
        """What the record says in the place of a file. Nothing stays out in silence."""
        self._tally.without_file(f"{error.status} ({error.reason})")
        if error.is_strange:
            self._tally.warn_once(
                f"{self._provider.title} or its storage sent {error.reason} in the place of a recording's file. Such a "
                "file counts as missing, and is asked for again by the next syncs inside the look-back."
            )
        if error.status != "too_large":
            return {"status": error.status}
        return {"status": error.status, "type": error.content_type or told.type, "bytes": error.size}

    def _media(self, names: Names, renew: Renew, told: Told) -> Stored:
        segments = self._segments(names)
        url = self._url(names) or self._beside(names)
        if url is None:
            raise NoFile("missing", "no address")
        if told.bytes is not None and told.bytes > self._shared.limit:
            raise NoFile("too_large", OVER_LIMIT, told.type, told.bytes)
        pieces = self._inside(url, names)
        if pieces is not None:
            try:
                return self._inline(pieces, segments, told)
            except NoBase64:
                # A word in the audio's place.
                url = self._beside(names)
                if url is None or self._inside(url, names) is not None:
                    raise NoFile("missing", "text that is no base64", is_strange=True) from None
        return self._downloaded(url, segments, told, renew)

    def _inside(self, url: str, names: Names) -> Iterable[str] | None:
        """The audio, if it is in the answer itself: in place of an address or in the answer's field for it."""
        apart = names.get("apart")
        if apart and url == apart.token:
            pieces: Iterable[str] = apart.pieces()
            return pieces
        field = self._stream.operation.apart
        if url.lstrip()[:5].lower() == "data:" or (field and names["row"].get(field) == url):
            return [url]
        return None

    def _inline(self, pieces: Iterable[str], segments: list[str], told: Told) -> Stored:
        with self._shared.staging.part() as part:
            inline = Inline(part, self._shared.limit)
            inline.decode(pieces)
            if inline.too_large:
                raise NoFile("too_large", OVER_LIMIT, inline.content_type or told.type, inline.size)
            return self._stored(part, segments, inline.content_type, told.type)

    def _downloaded(self, url: str, segments: list[str], told: Told, renew: Renew) -> Stored:
        def renewed() -> str | None:
            again = renew()
            return None if again is None else self._url(again)

        source = Source(url, self._api, self._shared.storage, renewed)
        what = f"The file {'/'.join(segments[:1] + segments[-1:])}"
        try:
            with self._shared.slots, self._shared.staging.part() as part:
                said = download(source, part, self._shared.limit, what, told.bytes)
                return self._stored(part, segments, said, told.type)
        except TooLarge as error:
            raise NoFile("too_large", OVER_LIMIT, error.content_type, error.size) from error
        except Missing as error:
            raise NoFile("missing", str(error)) from error
        except Expired as error:
            raise NoFile("expired", "its address has run out, twice") from error

    def _stored(self, part: Part, segments: list[str], said: str | None, told: str | None) -> Stored:
        """The file under its name, if it can be one. `said` is the type that its host named, `told` the provider's."""
        named = type_of_name(segments[-1]) if self._file.has_extension else None
        promised = told or named
        instead = instead_of_media(part.head, part.size, said, promised)
        if instead:
            raise NoFile("missing", instead, is_strange=True)
        if is_textual(said) and not is_textual(promised):
            said = None  # it is no text
        content_type = type_of(part.head, said, told, named)
        size, sha256 = part.size, part.sha256
        relative = relative_path(segments, content_type, is_id=not self._file.has_extension)
        final = part.finish(relative)
        media = {"status": "stored", "type": content_type, "bytes": size, "sha256": sha256, "path": relative}
        reference = AirbyteRecordMessageFileReference(
            staging_file_url=str(final), source_file_relative_path=relative, file_size_bytes=size
        )
        return media, reference

    def _url(self, names: Names) -> str | None:
        if self._file.download:
            return f"{self._base_url}{self._file.download(names)}"
        found = self._file.url(names) if self._file.url else None
        return found if isinstance(found, str) and found else None

    def _beside(self, names: Names) -> str | None:
        """The address that the answer names beside the audio's own field."""
        return self._url({**names, "row": {**names["row"], self._stream.operation.apart: None}})

    def _segments(self, names: Names) -> list[str]:
        return staging_segments(self._provider.name, self._file.dated(names), self._file.name(names))
