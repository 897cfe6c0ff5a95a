"""A row that names a file becomes a record with the file."""

from collections.abc import Callable
from threading import BoundedSemaphore
from typing import Any

from airbyte_cdk.models import AirbyteRecordMessageFileReference

from source_recordings.delivery import Delivery
from source_recordings.errors import PassingError
from source_recordings.expressions import Names
from source_recordings.files.download import TooLarge, download
from source_recordings.files.inline import Inline, NoBase64
from source_recordings.files.names import EXTENSIONS, relative_path
from source_recordings.files.source import Api, Expired, Get, Missing, Source, Storage
from source_recordings.files.staging import Part, Staging, staging_directory
from source_recordings.provider import Provider, Stream

MEGABYTE = 1_000_000
DEFAULT_MAX_MEGABYTES = 1000
WITHOUT_DATE = "0000-00"

Media = dict[str, Any]
Renew = Callable[[], Names | None]


class Files:
    """What all file streams of a sync share: the staging directory, the connections, how many downloads run at once."""

    def __init__(self, max_megabytes: int | None, downloads: int) -> None:
        self.staging = Staging(staging_directory())
        self.storage = Storage()
        self.slots = BoundedSemaphore(downloads)
        self.limit = int(max_megabytes or DEFAULT_MAX_MEGABYTES) * MEGABYTE

    def of(self, provider: Provider, stream: Stream, base_url: str, get: Get, *, include_files: bool) -> "StreamFiles":
        """The files of one stream. `get` asks the provider's own host; without `include_files` records come without files."""
        return StreamFiles(self, provider, stream, base_url, get, include_files)


class StreamFiles:
    """Downloads the files of one stream. `deliver` may be called by many threads at once."""

    def __init__(
        self, shared: Files, provider: Provider, stream: Stream, base_url: str, get: Get, include_files: bool
    ) -> None:
        assert stream.file
        self._shared = shared
        self._provider = provider
        self._stream = stream
        self._file = stream.file
        self._base_url = base_url
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
        media: Media = {"type": self._told(names, "media_type"), "bytes": self._told(names, "media_bytes")}
        reference = None
        if self._include_files:
            media, reference = self._media(names, renew, media["type"], media["bytes"])
        data |= {f"media_{name}": value for name, value in media.items()}
        return Delivery({k: v for k, v in data.items() if v is not None}, reference)

    def _told(self, names: Names, field: str) -> Any:
        expression = getattr(self._file, field)
        return expression(names) if expression else None

    def _media(
        self, names: Names, renew: Renew, told_type: str | None, told_bytes: int | None
    ) -> tuple[Media, AirbyteRecordMessageFileReference | None]:
        segments = self._segments(names)
        url = self._url(names)
        told_bytes = told_bytes if isinstance(told_bytes, int) else None
        if url is None:
            return {"status": "missing"}, None
        if told_bytes is not None and told_bytes > self._shared.limit:
            return {"status": "too_large", "type": told_type, "bytes": told_bytes}, None
        apart = names.get("apart")
        if apart and url == apart.token:
            return self._inline(apart.pieces(), segments, told_type)
        if url.lstrip()[:5].lower() == "data:":
            return self._inline([url], segments, told_type)

        def renewed() -> str | None:
            again = renew()
            return None if again is None else self._url(again)

        source = Source(url, self._api, self._shared.storage, renewed)
        what = f"The file {'/'.join(segments[:1] + segments[-1:])}"
        try:
            with self._shared.slots, self._shared.staging.part() as part:
                said = download(source, part, self._shared.limit, what, told_bytes)
                return self._stored(part, segments, said or told_type)
        except TooLarge as error:
            media = {"status": "too_large", "type": error.content_type or told_type}
            return {**media, "bytes": error.size}, None
        except Missing:
            return {"status": "missing"}, None
        except Expired:
            return {"status": "expired"}, None

    def _inline(
        self, pieces: Any, segments: list[str], told_type: str | None
    ) -> tuple[Media, AirbyteRecordMessageFileReference | None]:
        with self._shared.staging.part() as part:
            inline = Inline(part, self._shared.limit)
            try:
                inline.decode(pieces)
            except NoBase64 as error:
                raise PassingError(
                    f"The audio that {self._provider.title} sent inside an answer is no base64.",
                    internal_message=f"{segments[-1]}: {error}",
                ) from error
            if not (inline.size or inline.content_type):
                return {"status": "missing"}, None
            content_type = inline.content_type or told_type
            if inline.too_large:
                return {"status": "too_large", "type": content_type, "bytes": inline.size}, None
            return self._stored(part, segments, content_type)

    def _stored(
        self, part: Part, segments: list[str], content_type: str | None
    ) -> tuple[Media, AirbyteRecordMessageFileReference]:
        size, sha256 = part.size, part.sha256
        relative = relative_path(segments, content_type)
        final = part.finish(relative)
        media = {
            "status": "stored",
            "type": content_type or _type_of_name(relative),
            "bytes": size,
            "sha256": sha256,
            "path": relative,
        }
        reference = AirbyteRecordMessageFileReference(
            staging_file_url=str(final), source_file_relative_path=relative, file_size_bytes=size
        )
        return media, reference

    def _url(self, names: Names) -> str | None:
        if self._file.download:
            return f"{self._base_url}{self._file.download(names)}"
        found = self._file.url(names) if self._file.url else None
        return found if isinstance(found, str) and found else None

    def _segments(self, names: Names) -> list[str]:
        """Provider, year, month, name; a slash in an ID is no folder."""
        dated = self._file.dated(names)
        date = dated if isinstance(dated, str) else WITHOUT_DATE
        name = self._file.name(names)
        return [self._provider.name, date[:4], date[5:7], "" if name is None else str(name)]


_TYPES = {extension: content_type for content_type, extension in reversed(EXTENSIONS.items())} | {
    "aiff": "audio/aiff",
    "m4a": "audio/mp4",
    "mp3": "audio/mpeg",
    "ogg": "audio/ogg",
    "wav": "audio/wav",
}


def _type_of_name(relative: str) -> str | None:
    return _TYPES.get(relative.rpartition(".")[2])
