"""A row that names a media file becomes a record with the file."""

import json
from collections.abc import Callable, Collection
from threading import BoundedSemaphore
from typing import Any

from airbyte_cdk.models import AirbyteRecordMessageFileReference, FailureType
from airbyte_cdk.sources.declarative.extractors.record_extractor import RecordExtractor
from airbyte_cdk.sources.declarative.interpolation.interpolated_string import InterpolatedString
from airbyte_cdk.sources.declarative.partition_routers.substream_partition_router import (
    SafeResponse,
)
from airbyte_cdk.sources.declarative.requesters import HttpRequester
from airbyte_cdk.sources.streams.concurrent.default_stream import DefaultStream
from airbyte_cdk.sources.types import Config, Record
from airbyte_cdk.utils import AirbyteTracedException

from source_recordings.media.download import TooLarge, download
from source_recordings.media.inline import TOKEN, InlineAdapter, InlineFiles
from source_recordings.media.names import EXTENSIONS, relative_path
from source_recordings.media.source import Api, Expired, Missing, Source, Storage
from source_recordings.media.staging import Part, Staging

MEGABYTE = 1_000_000
DEFAULT_MAX_MEGABYTES = 1000

# `InterpolatedString` would make a number of a name that looks like one; with this in the place of the slashes it can't,
# and a slash in an id is no folder.
_SLASH = "\x00"


class Media:
    """Downloads the files of one file stream. `fetch` may be called by many threads at once."""

    def __init__(
        self,
        requester: HttpRequester,
        download_target_extractor: RecordExtractor,
        filename_extractor: str,
        config: Config,
        *,
        provider: str,
        properties: Collection[str],
        staging: Staging,
        storage: Storage,
        slots: BoundedSemaphore,
        include_files: bool = True,
    ) -> None:
        """The first three are those of the stream's FileUploader, built by the CDK.

        `properties` are the names in the stream's schema: nothing else of a row goes into its record, no short-lived
        address for example. As many downloads run at once as there are `slots`. Without `include_files` records come
        without their files.
        """
        self._api = Api(requester, config[provider]["base_url"], provider.title())
        self._target = download_target_extractor
        self._name = InterpolatedString(filename_extractor.replace("/", _SLASH), parameters={})
        self._config = config
        self.properties = tuple(properties)
        self.staging = staging
        self._storage = storage
        self._slots = slots
        self._include_files = include_files
        self._limit = int(config.get("max_file_size_mb") or DEFAULT_MAX_MEGABYTES) * MEGABYTE
        self.inline = InlineFiles(staging.part if include_files else None, self._limit)

    def take_inline(self, stream: DefaultStream, field: str) -> None:
        """Has the answers to the stream's requests freed of the file in this field while they arrive."""
        factory = stream._stream_partition_generator._partition_factory  # type: ignore[attr-defined]
        session = factory._retriever.requester._http_client._session
        for scheme in ("https://", "http://"):
            adapter = InlineAdapter(field, self.inline, session.get_adapter(scheme))
            session.mount(scheme, adapter)

    def fetch(self, row: Record, again: Callable[[], Record | None] | None = None) -> Record:
        """The row as a record, with its file in the staging directory unless `media_status` says why not.

        A row may hold what its provider says about the file beforehand, as `media_type` and `media_bytes`.
        `again` asks the provider for the same row once more: for a new address in the place of one that has run out.
        Raises an AirbyteTracedException if the file could not be had this time.
        """
        data = {name: row.data[name] for name in self.properties if row.data.get(name) is not None}
        reference = None
        told = {name: data.pop(name, None) for name in ("media_type", "media_bytes")}
        if self._include_files:
            media, reference = self._media(row, again, told["media_type"], told["media_bytes"])
            data |= {f"media_{name}": value for name, value in media.items() if value is not None}
        else:
            data |= {name: value for name, value in told.items() if value is not None}
        return Record(
            data=data,
            stream_name=row.stream_name,
            associated_slice=row.associated_slice,
            file_reference=reference,
        )

    def _media(
        self,
        row: Record,
        again: Callable[[], Record | None] | None,
        told_type: str | None,
        told_bytes: int | None,
    ) -> tuple[dict[str, Any], AirbyteRecordMessageFileReference | None]:
        segments = self._segments(row)
        target = self._target_of(row)
        told_bytes = told_bytes if isinstance(told_bytes, int) else None
        if target is None:
            return {"status": "missing"}, None
        if told_bytes is not None and told_bytes > self._limit:
            return {"status": "too_large", "type": told_type, "bytes": told_bytes}, None
        if target.startswith((TOKEN, "data:")):
            return self._inline(target, segments, told_type)

        def renew() -> str | None:
            row_again = again() if again else row
            return self._target_of(row_again) if row_again is not None else None

        source = Source(target, self._api, self._storage, renew)
        what = f"The file {'/'.join(segments[:1] + segments[-1:])}"
        try:
            with self._slots, self.staging.part() as part:
                said = download(source, part, self._limit, what, told_bytes)
                return self._stored(part, segments, said or told_type)
        except TooLarge as error:
            return {
                "status": "too_large",
                "type": error.content_type or told_type,
                "bytes": error.size,
            }, None
        except Missing:
            return {"status": "missing"}, None
        except Expired:
            return {"status": "expired"}, None

    def _inline(
        self, target: str, segments: list[str], told_type: str | None
    ) -> tuple[dict[str, Any], AirbyteRecordMessageFileReference | None]:
        try:
            inline = (
                self.inline.take(target)
                if target.startswith(TOKEN)
                else self.inline.of_text(target)
            )
        except ValueError as error:
            raise AirbyteTracedException(
                message=f"The audio that {self._api.vendor} sent inside an answer is no base64.",
                internal_message=f"{segments[-1]}: {error}",
                failure_type=FailureType.transient_error,
            ) from error
        if inline is None or inline.part is None or not (inline.size or inline.content_type):
            return {"status": "missing"}, None
        with inline.part as part:
            content_type = inline.content_type or told_type
            if inline.too_large:
                return {"status": "too_large", "type": content_type, "bytes": inline.size}, None
            return self._stored(part, segments, content_type)

    def _stored(
        self, part: Part, segments: list[str], content_type: str | None
    ) -> tuple[dict[str, Any], AirbyteRecordMessageFileReference]:
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
        return media, AirbyteRecordMessageFileReference(
            staging_file_url=str(final), source_file_relative_path=relative, file_size_bytes=size
        )

    def _target_of(self, row: Record) -> str | None:
        response = SafeResponse()
        response.content = json.dumps(row.data, default=str)
        found: Any = next(iter(self._target.extract_records(response)), None)
        return found if isinstance(found, str) and found else None

    def _segments(self, row: Record) -> list[str]:
        data = dict(row.data)
        for key in data.keys() & set(self.properties):
            data[key] = str(data[key]).replace(_SLASH, "") if data[key] is not None else ""
        name = str(self._name.eval(self._config, record=data))
        return name.split(_SLASH)


_TYPES = {extension: content_type for content_type, extension in reversed(EXTENSIONS.items())} | {
    "aiff": "audio/aiff",
    "m4a": "audio/mp4",
    "mp3": "audio/mpeg",
    "ogg": "audio/ogg",
    "wav": "audio/wav",
}


def _type_of_name(relative: str) -> str | None:
    return _TYPES.get(relative.rpartition(".")[2])
