"""From a stream's `file_uploader` in the manifest to what makes its files."""

from collections.abc import Callable, Mapping
from threading import BoundedSemaphore
from typing import Any

from airbyte_cdk.models import ConfiguredAirbyteStream
from airbyte_cdk.sources.declarative.interpolation.interpolated_boolean import InterpolatedBoolean
from airbyte_cdk.sources.declarative.models.declarative_component_schema import (
    DeclarativeStream as DeclarativeStreamModel,
)
from airbyte_cdk.sources.declarative.models.declarative_component_schema import (
    InlineSchemaLoader as InlineSchemaLoaderModel,
)
from airbyte_cdk.sources.declarative.models.declarative_component_schema import (
    SimpleRetriever as SimpleRetrieverModel,
)
from airbyte_cdk.sources.types import Config, Record

from source_recordings.media.jobs import Files
from source_recordings.media.media import Media
from source_recordings.media.source import Storage
from source_recordings.media.staging import Staging, staging_directory


class FileStreams:
    """Makes the files of all streams: they share the staging directory and the connections to storage hosts."""

    def __init__(
        self,
        create: Callable[..., Any],
        configured: Mapping[str, ConfiguredAirbyteStream],
        downloads: int,
    ) -> None:
        """`create` builds a component of a model, `configured` are the streams of the catalog by name, and `downloads` is
        how many run at once.
        """
        self._create = create
        self._configured = configured
        self._staging = Staging(staging_directory())
        self._storage = Storage()
        self._slots = BoundedSemaphore(downloads)

    def of(self, model: DeclarativeStreamModel, config: Config) -> Files | None:
        """None for a stream without files."""
        uploader, name, retriever = model.file_uploader, model.name or "", model.retriever
        if not uploader:
            return None
        assert isinstance(model.schema_loader, InlineSchemaLoaderModel)
        assert isinstance(retriever, SimpleRetrieverModel)
        # Not `create` of the uploader itself: it calls its requester "File Uploader", in messages to the platform too.
        media = Media(
            self._create(uploader.requester, config, name=name),
            self._create(uploader.download_target_extractor, config),
            uploader.filename_extractor or "",
            config,
            provider=name.partition("_")[0],
            properties=(model.schema_loader.schema_ or {})["properties"],
            staging=self._staging,
            storage=self._storage,
            slots=self._slots,
            # Not set means yes: only the platform sets it.
            include_files=getattr(self._configured.get(name), "include_files", None) is not False,
        )
        row_filter = retriever.record_selector.record_filter
        parameters = model.parameters or {}
        return Files(
            media,
            is_ready=_condition(getattr(row_filter, "condition", None) or "True", config),
            settled_when=_condition(parameters.get("settled_when", "False"), config),
            inline_field=parameters.get("inline_media"),
        )

    @staticmethod
    def rows_of(model: DeclarativeStreamModel) -> DeclarativeStreamModel:
        """The stream of the rows that name the files.

        Where the rows come of a request each, these are all rows, also those without a file: only so it can be told whether
        there is one to come.
        """
        retriever = model.retriever
        if isinstance(retriever, SimpleRetrieverModel) and retriever.partition_router:
            selector = retriever.record_selector.copy(update={"record_filter": None})
            retriever = retriever.copy(update={"record_selector": selector})
        return model.copy(update={"retriever": retriever, "file_uploader": None})


def _condition(condition: str, config: Config) -> Callable[[Record], bool]:
    interpolated = InterpolatedBoolean(condition=condition, parameters={})
    return lambda row: bool(
        interpolated.eval(config, record=row.data, stream_slice=row.associated_slice)
    )
