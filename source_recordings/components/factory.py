"""Builds the manifest's streams out of the package's components where these do more than the CDK's.

The manifest names stock components only (but for Bota's pagination), so that it also runs in the Connector Builder. In
the package they become:

| in the manifest                            | here                    | what it adds                                      |
|--------------------------------------------|-------------------------|---------------------------------------------------|
| DatetimeBasedCursor                        | WindowCursor            | windows saved one by one, exact bounds            |
| SubstreamPartitionRouter, ListPartitionRouter | WindowDetails, AllDetails | details within a window, saved while it is read |
| OffsetIncrement                            | OverlappingOffset       | no row lost from a list that changes              |
| CursorPagination                           | OnceOnlyCursor          | an error instead of an endless loop               |
| SessionTokenAuthenticator                  | ReloginAuthenticator    | a new login after a 401, one for all streams      |
| DefaultErrorHandler, HttpResponseFilter    | PatientErrorHandler, RetryThenFailFilter | skips counted, errors after retries |
| HttpRequester                              | the same                | redirects are not followed                        |
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import requests
from airbyte_cdk.sources.declarative.auth.token_provider import SessionTokenProvider
from airbyte_cdk.sources.declarative.interpolation.interpolated_boolean import InterpolatedBoolean
from airbyte_cdk.sources.declarative.models.declarative_component_schema import (
    CursorPagination as CursorPaginationModel,
)
from airbyte_cdk.sources.declarative.models.declarative_component_schema import (
    DatetimeBasedCursor as DatetimeBasedCursorModel,
)
from airbyte_cdk.sources.declarative.models.declarative_component_schema import (
    DeclarativeStream as DeclarativeStreamModel,
)
from airbyte_cdk.sources.declarative.models.declarative_component_schema import (
    DefaultErrorHandler as DefaultErrorHandlerModel,
)
from airbyte_cdk.sources.declarative.models.declarative_component_schema import (
    HttpRequester as HttpRequesterModel,
)
from airbyte_cdk.sources.declarative.models.declarative_component_schema import (
    HttpResponseFilter as HttpResponseFilterModel,
)
from airbyte_cdk.sources.declarative.models.declarative_component_schema import (
    OffsetIncrement as OffsetIncrementModel,
)
from airbyte_cdk.sources.declarative.models.declarative_component_schema import (
    ParentStreamConfig as ParentStreamConfigModel,
)
from airbyte_cdk.sources.declarative.models.declarative_component_schema import (
    SessionTokenAuthenticator as SessionTokenAuthenticatorModel,
)
from airbyte_cdk.sources.declarative.models.declarative_component_schema import (
    SubstreamPartitionRouter as SubstreamPartitionRouterModel,
)
from airbyte_cdk.sources.declarative.parsers.model_to_component_factory import (
    ModelToComponentFactory,
)
from airbyte_cdk.sources.declarative.requesters import HttpRequester
from airbyte_cdk.sources.declarative.requesters.error_handlers.backoff_strategies import (
    WaitTimeFromHeaderBackoffStrategy,
    WaitUntilTimeFromHeaderBackoffStrategy,
)
from airbyte_cdk.sources.streams.concurrent.cursor import Cursor
from airbyte_cdk.sources.streams.concurrent.default_stream import DefaultStream
from airbyte_cdk.sources.streams.http.error_handlers import BackoffStrategy
from airbyte_cdk.sources.types import Config, Record, StreamSlice
from pydantic.v1 import BaseModel

from source_recordings.components.details import AllDetails, WindowDetails
from source_recordings.components.errors import (
    Capped,
    PatientErrorHandler,
    RetryThenFailFilter,
    Skips,
    WhenAsked,
    no_debug,
    terse,
)
from source_recordings.components.fan_out import (
    DetailJobs,
    FanOut,
    Jobs,
    ReadSlice,
    ScoutedJobs,
    SliceJobs,
    unscouted,
)
from source_recordings.components.login import ReloginAuthenticator
from source_recordings.components.pagination import OnceOnlyCursor, OverlappingOffset
from source_recordings.components.partitions import Partitions, Rows
from source_recordings.components.windows import Settled, WindowCursor, parse_time
from source_recordings.components.workers import Workers
from source_recordings.media.build import FileStreams
from source_recordings.media.jobs import Files, ListedFileJobs, is_settled

WHOLE = StreamSlice(partition={}, cursor_slice={})


@dataclass(frozen=True)
class Listing:
    """The rows of a stream by window, the definition of the cursor that makes the windows, and a row's time."""

    rows: ReadSlice
    cursor: DatetimeBasedCursorModel
    time_of: Callable[[Record], datetime | None]


class RecordingsComponentFactory(ModelToComponentFactory):
    """A ModelToComponentFactory whose components are those of the table above."""

    def __init__(self, *args: Any, workers: Workers, skips: Skips, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._workers = workers
        self._file_streams = FileStreams(
            self._create_component_from_model,
            self._stream_name_to_configured_stream,
            workers.limit,
        )
        self._skips = skips
        self._logins: dict[str, ReloginAuthenticator] = {}

    # Streams

    def create_default_stream(
        self, model: DeclarativeStreamModel, config: Config, is_parent: bool = False, **kwargs: Any
    ) -> DefaultStream:
        files = self._file_streams.of(model, config)
        if files:
            model = FileStreams.rows_of(model)
        router = getattr(model.retriever, "partition_router", None)
        if isinstance(router, SubstreamPartitionRouterModel) and model.incremental_sync:
            return self._windowed_details(model, router.parent_stream_configs[0], config, files)
        if router:
            return self._all_details(model, router, config, files)
        stream = super().create_default_stream(model, config, is_parent, **kwargs)
        assert isinstance(stream, DefaultStream)
        if not isinstance(stream.cursor, WindowCursor):
            return stream
        read: ReadSlice = _rows(stream, model)
        if files:
            stream.cursor.settled.limit = Settled.FILES_LIMIT
            read = WindowDetails(
                rows=read,
                jobs=ListedFileJobs(files.media),
                fan_out=self._fan_out(stream.name, files),
                time_of=stream.cursor.time_of,
                cursor=stream.cursor,
                is_settled=is_settled,
            )
        return _stream(stream, stream.cursor, stream.cursor.stream_slices, read, files)

    def _windowed_details(
        self,
        model: DeclarativeStreamModel,
        parent: ParentStreamConfigModel,
        config: Config,
        files: Files | None,
    ) -> DefaultStream:
        """One request per row of the parent: the windows are the listing's, the state is the stream's own."""
        listing = self._listing(_stream_model(parent), config)
        plain = self._without_router(model, config)
        cursor = self.create_concurrent_cursor_from_datetime_based_cursor(
            model_type=DatetimeBasedCursorModel,
            component_definition={
                **listing.cursor.__dict__,
                "cursor_field": _cursor_model(model).cursor_field,
            },
            stream_name=plain.name,
            stream_namespace=None,
            stream_state=_own_state(
                self._connector_state_manager.get_stream_state(plain.name, None),
                str(_cursor_model(model).cursor_field),
            ),
            config=config,
        )
        settled_when = InterpolatedBoolean(
            condition=(model.parameters or {}).get("settled_when", "False"), parameters={}
        )
        jobs: Jobs[str] = _detail_jobs(parent, plain)
        if files:
            cursor.settled.limit = Settled.FILES_LIMIT

            def is_delivered(row: Record, key: str) -> bool:
                time = cursor.time_of(row)
                return time is not None and (key, time) in cursor.settled

            jobs = files.of(ScoutedJobs(jobs), plain, is_delivered)
        read = WindowDetails(
            rows=listing.rows,
            jobs=jobs,
            fan_out=self._fan_out(plain.name, files),
            time_of=listing.time_of,
            cursor=cursor,
            is_settled=is_settled
            if files
            else lambda r: settled_when.eval(
                config, record=r.data, stream_slice=r.associated_slice
            ),
        )
        return _stream(plain, cursor, cursor.stream_slices, read, files)

    def _listing(self, model: DeclarativeStreamModel, config: Config) -> "Listing":
        """The rows that a stream of details asks about: listed, or themselves details of listed ones."""
        router = getattr(model.retriever, "partition_router", None)
        if isinstance(router, SubstreamPartitionRouterModel):
            parent = router.parent_stream_configs[0]
            above = self._listing(_stream_model(parent), config)
            jobs = _detail_jobs(parent, self._without_router(model, config))
            fan_out = self._fan_out(model.name or "")
            rows = WindowDetails(above.rows, jobs, fan_out, above.time_of)
            field = str(_cursor_model(model).cursor_field)
            return Listing(rows, above.cursor, lambda row: parse_time(row.data.get(field)))
        stream = super().create_default_stream(model, config)
        assert isinstance(stream, DefaultStream) and isinstance(stream.cursor, WindowCursor)
        return Listing(_rows(stream, model), _cursor_model(model), stream.cursor.time_of)

    def _all_details(
        self,
        model: DeclarativeStreamModel,
        router: BaseModel,
        config: Config,
        files: Files | None,
    ) -> DefaultStream:
        """One request per id that the user listed, or per row of a stream that is itself read by ids."""
        plain = self._without_router(model, config)
        read: ReadSlice
        if isinstance(router, SubstreamPartitionRouterModel):
            parent = router.parent_stream_configs[0]
            jobs = _detail_jobs(parent, plain)
            parents = self.create_default_stream(_stream_model(parent), config)

            def items() -> Iterator[str]:
                for partition in parents.generate_partitions():
                    yield from filter(None, map(jobs.item_of, partition.read()))

            read = AllDetails(
                items,
                files.of(ScoutedJobs(jobs), plain) if files else jobs,
                self._fan_out(plain.name, files),
            )
        else:
            slices = self._create_component_from_model(router, config).stream_slices
            single = SliceJobs(_read_slice(plain))
            read = AllDetails(
                slices,
                files.of(ScoutedJobs(single), plain) if files else single,
                self._fan_out(plain.name, files),
            )
        return _stream(plain, plain.cursor, lambda: [WHOLE], read, files)

    def _fan_out(self, stream_name: str, files: Files | None = None) -> FanOut:
        # Downloads have threads of their own: no other stream waits for one.
        if files:
            # Far enough ahead that a large file at the head of the queue does not leave the other threads idle.
            executor = self._workers.of(f"files-{stream_name}")
            return FanOut(executor, 4 * self._workers.limit, unscouted)
        return FanOut(self._workers.of(stream_name), self._workers.limit)

    def _without_router(self, model: DeclarativeStreamModel, config: Config) -> DefaultStream:
        """The stream of one detail request: what is left when the CDK does not fan out itself."""
        retriever = model.retriever.copy(update={"partition_router": None})
        single = model.copy(update={"retriever": retriever, "incremental_sync": None})
        stream = super().create_default_stream(single, config)
        assert isinstance(stream, DefaultStream)
        return stream

    # Their parts

    def create_concurrent_cursor_from_datetime_based_cursor(
        self,
        model_type: type[BaseModel],
        component_definition: Mapping[str, Any],
        stream_name: str,
        stream_namespace: str | None,
        stream_state: MutableMapping[str, Any],
        config: Config,
        *args: Any,
        **kwargs: Any,
    ) -> WindowCursor:
        stock = super().create_concurrent_cursor_from_datetime_based_cursor(
            model_type,
            dict(component_definition),
            stream_name,
            stream_namespace,
            {},
            config,
            *args,
            **kwargs,
        )
        return WindowCursor(
            stock,
            stream_state,
            strict=any(
                component_definition.get(key)
                for key in ("is_client_side_incremental", "is_data_feed")
            ),
            end=parse_time(config.get("end_date")),
        )

    def create_cursor_pagination(
        self, model: CursorPaginationModel, config: Config, *args: Any, **kwargs: Any
    ) -> OnceOnlyCursor:
        stock = super().create_cursor_pagination(model, config, *args, **kwargs)
        return OnceOnlyCursor(
            cursor_value=stock.cursor_value,
            config=config,
            parameters=model.parameters or {},
            page_size=stock.page_size,
            stop_condition=stock.stop_condition,
            decoder=stock.decoder,
        )

    def create_offset_increment(  # type: ignore[override]
        self, model: OffsetIncrementModel, config: Config, **kwargs: Any
    ) -> OverlappingOffset:
        extractor = self._create_component_from_model(
            kwargs["extractor_model"], config, decoder=kwargs["decoder"]
        )
        return OverlappingOffset(
            int(model.page_size or 0), extractor, (model.parameters or {})["row_key"]
        )

    def create_session_token_authenticator(  # type: ignore[override]
        self, model: SessionTokenAuthenticatorModel, config: Config, *, name: str, **kwargs: Any
    ) -> ReloginAuthenticator:
        url = str(getattr(model.login_requester, "url", ""))
        if url not in self._logins:
            stock = super().create_session_token_authenticator(model, config, name=name, **kwargs)
            assert isinstance(stock.token_provider, SessionTokenProvider)
            self._logins[url] = ReloginAuthenticator(stock.token_provider)
        return self._logins[url]

    def create_default_error_handler(
        self, model: DefaultErrorHandlerModel, config: Config, **kwargs: Any
    ) -> PatientErrorHandler:
        stock = super().create_default_error_handler(model, config, **kwargs)
        strategies: list[BackoffStrategy] = [
            WhenAsked(s)
            if isinstance(
                s, (WaitTimeFromHeaderBackoffStrategy, WaitUntilTimeFromHeaderBackoffStrategy)
            )
            else Capped(s)
            for s in stock.backoff_strategies or []
        ]
        return PatientErrorHandler(
            parameters=model.parameters or {},
            config=config,
            response_filters=stock.response_filters,
            max_retries=stock.max_retries,
            backoff_strategies=strategies,
        )

    def create_http_response_filter(  # type: ignore[override]
        self, model: HttpResponseFilterModel, config: Config, **kwargs: Any
    ) -> RetryThenFailFilter:
        stock = ModelToComponentFactory.create_http_response_filter(model, config, **kwargs)
        return RetryThenFailFilter(
            config=config,
            parameters=model.parameters or {},
            action=stock.action,
            failure_type=stock.failure_type,
            http_codes=stock.http_codes,
            error_message_contains=stock.error_message_contains,
            predicate=stock.predicate,
            error_message=stock.error_message,
        )

    def create_http_requester(
        self, model: HttpRequesterModel, config: Config, *args: Any, name: str, **kwargs: Any
    ) -> HttpRequester:
        requester = super().create_http_requester(model, config, *args, name=name, **kwargs)
        if isinstance(requester.error_handler, PatientErrorHandler):
            requester.error_handler.stream_name = name
            requester.error_handler.skips = self._skips
        requester.logger.addFilter(terse)
        if name.endswith("_login_requester"):
            requester.logger.addFilter(no_debug)
        session = requester._http_client._session
        # A redirect would take the request, a login's body included, wherever it says.
        session.get_redirect_target = _nowhere  # type: ignore[method-assign]
        adapter = self._workers.adapter()
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        return requester


def _nowhere(resp: requests.Response) -> None:
    """Where a redirect leads to."""


def _read_slice(stream: DefaultStream) -> ReadSlice:
    factory = stream._stream_partition_generator._partition_factory  # type: ignore[attr-defined]
    return lambda stream_slice: factory.create(stream_slice).read()


def _rows(stream: DefaultStream, model: DeclarativeStreamModel) -> Rows:
    assert isinstance(stream.cursor, WindowCursor)
    paginator = getattr(model.retriever, "paginator", None)
    return Rows(
        read=_read_slice(stream),
        cursor=stream.cursor,
        key=stream._primary_key[0],
        may_repeat=isinstance(
            getattr(paginator, "pagination_strategy", None), OffsetIncrementModel
        ),
    )


def _detail_jobs(parent: ParentStreamConfigModel, stream: DefaultStream) -> DetailJobs:
    return DetailJobs(
        parent_key=parent.parent_key,
        partition_field=parent.partition_field,
        extra_fields=tuple(path[0] for path in parent.extra_fields or []),
        read_slice=_read_slice(stream),
    )


def _stream_model(parent: ParentStreamConfigModel) -> DeclarativeStreamModel:
    assert isinstance(parent.stream, DeclarativeStreamModel)
    return parent.stream


def _cursor_model(model: DeclarativeStreamModel) -> DatetimeBasedCursorModel:
    assert isinstance(model.incremental_sync, DatetimeBasedCursorModel)
    return model.incremental_sync


def _stream(
    stream: DefaultStream,
    cursor: Cursor,
    slices: Callable[[], Iterable[StreamSlice]],
    read: ReadSlice,
    files: Files | None = None,
) -> DefaultStream:
    """The stream with other partitions and another cursor."""
    return DefaultStream(
        partition_generator=Partitions(stream.name, slices, read),
        name=stream.name,
        json_schema=stream.get_json_schema,
        primary_key=stream._primary_key,
        cursor_field=getattr(cursor, "cursor_field", None),
        logger=stream._logger,
        cursor=cursor,
        supports_file_transfer=files is not None,
    )


def _own_state(state: MutableMapping[str, Any], cursor_field: str) -> MutableMapping[str, Any]:
    """The state of a stream of details, also as the CDK's substream cursor writes it (the manifest run by itself)."""
    parents = state.get("parent_state")
    if not isinstance(parents, Mapping) or not parents:
        return state
    parent = next(iter(parents.values()))
    if "state_type" in parent:
        return dict(parent)
    return {cursor_field: next(iter(parent.values()))} if parent else {}
