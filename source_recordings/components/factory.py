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
| DefaultErrorHandler, HttpResponseFilter    | CountingErrorHandler, RetryThenFailFilter | skips counted, errors after retries |
| HttpRequester                              | the same                | redirects are not followed                        |
"""

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from concurrent.futures import Executor
from typing import Any

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
    ListPartitionRouter as ListPartitionRouterModel,
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
from airbyte_cdk.sources.types import Config, Record, StreamSlice

from source_recordings.components.errors import (
    CountingErrorHandler,
    RetryThenFailFilter,
    Skips,
    WhenAsked,
)
from source_recordings.components.login import ReloginAuthenticator
from source_recordings.components.pagination import OnceOnlyCursor, OverlappingOffset
from source_recordings.components.partitions import (
    AllDetails,
    FanOut,
    Parent,
    Partitions,
    ReadSlice,
    Rows,
    WindowDetails,
)
from source_recordings.components.windows import WindowCursor

WHOLE = StreamSlice(partition={}, cursor_slice={})


class RecordingsComponentFactory(ModelToComponentFactory):
    """A ModelToComponentFactory whose components are those of the table above."""

    def __init__(self, *args: Any, executor: Executor, ahead: int, skips: Skips, **kwargs: Any) -> None:
        """`executor` runs the detail requests of all streams, each stream at most `ahead` in advance."""
        super().__init__(*args, **kwargs)
        self._executor = executor
        self._ahead = ahead
        self._skips = skips
        self._logins: dict[str, ReloginAuthenticator] = {}

    # Streams

    def create_default_stream(
        self, model: DeclarativeStreamModel, config: Config, is_parent: bool = False, **kwargs: Any
    ) -> DefaultStream:
        router = getattr(model.retriever, "partition_router", None)
        if isinstance(router, SubstreamPartitionRouterModel):
            return self._stream_of_details(model, router.parent_stream_configs[0], config)
        if isinstance(router, ListPartitionRouterModel):
            slices = self._create_component_from_model(router, config).stream_slices
            plain = self._without_router(model, config)
            return _stream(plain, plain.cursor, lambda: [WHOLE], self._all_details(plain, slices))
        stream = super().create_default_stream(model, config, is_parent, **kwargs)
        assert isinstance(stream, DefaultStream)
        if not isinstance(stream.cursor, WindowCursor):
            return stream
        return _stream(stream, stream.cursor, stream.cursor.stream_slices, self._rows(stream, model, stream.cursor))

    def _stream_of_details(
        self, model: DeclarativeStreamModel, parent: ParentStreamConfigModel, config: Config
    ) -> DefaultStream:
        plain = self._without_router(model, config)
        details = FanOut(_read_slice(plain), self._executor, self._ahead)
        fields = Parent(
            key=parent.parent_key,
            partition_field=parent.partition_field,
            extra_fields=tuple(path[0] for path in parent.extra_fields or []),
        )
        parent_model = parent.stream
        assert isinstance(parent_model, DeclarativeStreamModel)
        if not model.incremental_sync:
            parents = self.create_default_stream(parent_model, config)

            def slices() -> Iterable[StreamSlice]:
                rows = (row for p in parents.generate_partitions() for row in p.read())
                return filter(None, (fields.slice_of(row.data) for row in rows))

            return _stream(plain, plain.cursor, lambda: [WHOLE], AllDetails(slices, details))

        # The windows are the parent's, the state is the child's own.
        assert isinstance(parent_model.incremental_sync, DatetimeBasedCursorModel)
        assert isinstance(model.incremental_sync, DatetimeBasedCursorModel)
        state = self._connector_state_manager.get_stream_state(model.name or "", None)
        cursor = self.create_concurrent_cursor_from_datetime_based_cursor(
            model_type=DatetimeBasedCursorModel,
            component_definition={
                **parent_model.incremental_sync.__dict__,
                "cursor_field": model.incremental_sync.cursor_field,
            },
            stream_name=model.name or "",
            stream_namespace=None,
            stream_state=_state_of_parent(state, parent_model.name or ""),
            config=config,
        )
        listing = super().create_default_stream(parent_model, config)
        assert isinstance(listing, DefaultStream) and isinstance(listing.cursor, WindowCursor)
        rows = self._rows(listing, parent_model, listing.cursor)
        settled_when = InterpolatedBoolean(
            condition=(model.parameters or {}).get("settled_when", "False"), parameters={}
        )

        def is_settled(record: Record, stream_slice: StreamSlice) -> bool:
            return bool(settled_when.eval(config, record=record.data, stream_slice=stream_slice))

        read = WindowDetails(rows, fields, details, cursor, listing.cursor.time_of, is_settled)
        return _stream(plain, cursor, cursor.stream_slices, read)

    def _without_router(self, model: DeclarativeStreamModel, config: Config) -> DefaultStream:
        """The stream of one detail request: what is left when the CDK does not fan out itself."""
        retriever = model.retriever.copy(update={"partition_router": None})
        single = model.copy(update={"retriever": retriever, "incremental_sync": None})
        stream = super().create_default_stream(single, config)
        assert isinstance(stream, DefaultStream)
        return stream

    def _all_details(
        self, stream: DefaultStream, slices: Callable[[], Iterable[StreamSlice]]
    ) -> ReadSlice:
        return AllDetails(slices, FanOut(_read_slice(stream), self._executor, self._ahead))

    @staticmethod
    def _rows(stream: DefaultStream, model: DeclarativeStreamModel, cursor: WindowCursor) -> Rows:
        paginator = getattr(model.retriever, "paginator", None)
        strategy = getattr(paginator, "pagination_strategy", None)
        primary_key = model.primary_key.__root__ if model.primary_key else None
        repeats = isinstance(strategy, OffsetIncrementModel)
        return Rows(_read_slice(stream), cursor, str(primary_key) if repeats else None)

    # Their parts

    def create_concurrent_cursor_from_datetime_based_cursor(
        self,
        *args: Any,
        stream_state: MutableMapping[str, Any],
        config: Config,
        component_definition: Mapping[str, Any],
        **kwargs: Any,
    ) -> WindowCursor:
        stock = super().create_concurrent_cursor_from_datetime_based_cursor(
            *args,
            stream_state={},
            config=config,
            component_definition=dict(component_definition),
            **kwargs,
        )
        return WindowCursor(
            stock,
            stream_state,
            strict=any(
                component_definition.get(key) for key in ("is_client_side_incremental", "is_data_feed")
            ),
            ends_now=not config.get("end_date"),
        )

    def create_cursor_pagination(
        self, model: CursorPaginationModel, config: Config, **kwargs: Any
    ) -> OnceOnlyCursor:
        stock = super().create_cursor_pagination(model, config, **kwargs)
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
        extractor = self._create_component_from_model(kwargs["extractor_model"], config, decoder=kwargs["decoder"])
        return OverlappingOffset(int(model.page_size or 0), extractor, (model.parameters or {})["row_key"])

    def create_session_token_authenticator(  # type: ignore[override]
        self, model: SessionTokenAuthenticatorModel, config: Config, *, name: str, **kwargs: Any
    ) -> ReloginAuthenticator:
        url = str(getattr(model.login_requester, "url", ""))
        if url not in self._logins:
            stock = super().create_session_token_authenticator(model, config, name=name, **kwargs)
            self._logins[url] = ReloginAuthenticator(stock.token_provider)
        return self._logins[url]

    def create_default_error_handler(
        self, model: DefaultErrorHandlerModel, config: Config, **kwargs: Any
    ) -> CountingErrorHandler:
        stock = super().create_default_error_handler(model, config, **kwargs)
        strategies = [
            WhenAsked(s)
            if isinstance(s, (WaitTimeFromHeaderBackoffStrategy, WaitUntilTimeFromHeaderBackoffStrategy))
            else s
            for s in stock.backoff_strategies or []
        ]
        return CountingErrorHandler(
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
        if isinstance(requester.error_handler, CountingErrorHandler):
            requester.error_handler.stream_name = name
            requester.error_handler.skips = self._skips
        session = requester._http_client._session
        # A redirect would take the request, a login's body included, wherever it says.
        session.get_redirect_target = lambda response: None  # type: ignore[method-assign]
        # The CDK sizes the connection pool for https only; http is used on loopback.
        session.mount("http://", session.get_adapter("https://"))
        return requester


def _read_slice(stream: DefaultStream) -> ReadSlice:
    factory = stream._stream_partition_generator._partition_factory  # type: ignore[attr-defined]
    return lambda stream_slice: factory.create(stream_slice).read()  # type: ignore[no-any-return]


def _stream(
    stream: DefaultStream,
    cursor: Cursor,
    slices: Callable[[], Iterable[StreamSlice]],
    read: ReadSlice,
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
        supports_file_transfer=stream._supports_file_transfer,
    )


def _state_of_parent(state: MutableMapping[str, Any], parent: str) -> MutableMapping[str, Any]:
    """The windows of a state, also of one that the CDK's own substream cursor wrote (the manifest run by itself)."""
    if "parent_state" in state:
        inner: MutableMapping[str, Any] = (state.get("parent_state") or {}).get(parent) or {}
        return inner
    return state
