"""A tap made with the Singer SDK, as its documentation has it: RESTStream, a parent stream and its child stream.

The SDK makes one request after the other: the number of workers means nothing to it. What its documents on performance and
on parents with very many children advise is done: messages are written by msgspec, and no state is kept per child. It
logs warnings only; by default it also logs a line per request.
"""

import os
from collections.abc import Iterable
from typing import Any, ClassVar

os.environ.setdefault("LOGLEVEL", "WARNING")

from singer_sdk import RESTStream, Stream, Tap
from singer_sdk import typing as th
from singer_sdk.authenticators import APIKeyAuthenticator
from singer_sdk.contrib.msgspec import MsgSpecWriter
from singer_sdk.pagination import JSONPathPaginator, SinglePagePaginator

from benchmarks.peers.job import KEY, Job, the_job
from benchmarks.peers.work import PAGE

Text = th.StringType
Time = th.DateTimeType


class Client(RESTStream):  # type: ignore[misc]  # not installed where the types are checked
    """What both streams have in common."""

    records_jsonpath = "$.data[*]"

    @property
    def url_base(self) -> str:
        return str(self.config["base_url"])

    @property
    def authenticator(self) -> Any:
        return APIKeyAuthenticator(key="Authorization", value=KEY, location="header")

    def backoff_max_tries(self) -> int:
        return 20


class Recordings(Client):
    """Bota's list."""

    name = "recordings"
    path = "/v1/recordings"
    primary_keys = ("id",)
    schema = th.PropertiesList(
        th.Property("id", Text),
        th.Property("device_id", Text),
        th.Property("end_user_id", Text),
        th.Property("name", Text),
        th.Property("status", Text),
        th.Property("duration_ms", th.IntegerType),
        th.Property("started_at", Time),
        th.Property("ended_at", Time),
        th.Property("transcription_id", Text),
        th.Property(
            "media",
            th.ArrayType(
                th.ObjectType(
                    th.Property("id", Text),
                    th.Property("type", Text),
                    th.Property("mime_type", Text),
                    th.Property("file_size_bytes", th.IntegerType),
                    th.Property("status", Text),
                    th.Property("captured_at", Time),
                    th.Property("created_at", Time),
                )
            ),
        ),
        th.Property("metadata", th.ObjectType(additional_properties=True)),
        th.Property("created_at", Time),
        th.Property("source", Text),
        th.Property("project_id", Text),
        th.Property("deleted_at", Time),
    ).to_dict()

    def get_new_paginator(self) -> Any:
        return JSONPathPaginator("$.next_cursor")

    def get_url_params(self, context: Any, next_page_token: Any) -> dict[str, Any]:
        return {"limit": PAGE, "cursor": next_page_token}


class Calls(Stream):  # type: ignore[misc]
    """The parent: ids that are known beforehand."""

    name = "calls"
    primary_keys = ("id",)
    schema = th.PropertiesList(th.Property("id", Text)).to_dict()
    selected_by_default = False
    ids: ClassVar[list[str]] = []

    def get_records(self, context: Any) -> Iterable[dict[str, Any]]:
        return ({"id": call_id} for call_id in self.ids)

    def get_child_context(self, record: Any, context: Any) -> dict[str, Any]:
        return {"callId": record["id"]}


class CallRecordings(Client):
    """Quo's recordings of one call."""

    name = "call_recordings"
    path = "/v1/call-recordings/{callId}"
    primary_keys = ("id",)
    parent_stream_type = Calls
    ignore_parent_replication_key = True
    state_partitioning_keys = ()
    schema = th.PropertiesList(
        th.Property("id", Text),
        th.Property("callId", Text),
        th.Property("duration", th.IntegerType),
        th.Property("startTime", Time),
        th.Property("status", Text),
        th.Property("type", Text),
        th.Property("url", Text),
    ).to_dict()

    def get_new_paginator(self) -> Any:
        return SinglePagePaginator()


class Peer(Tap):  # type: ignore[misc]
    """The tap, with the streams of one kind of job."""

    name = "tap-peer"
    message_writer_class = MsgSpecWriter
    config_jsonschema = th.PropertiesList(
        th.Property("base_url", Text, required=True), th.Property("kind", Text, required=True)
    ).to_dict()

    def discover_streams(self) -> list[Any]:
        if self.config["kind"] == "list":
            return [Recordings(self)]
        return [Calls(self), CallRecordings(self)]


def main() -> None:
    job: Job = the_job()
    Calls.ids = job.ids
    Peer(config={"base_url": job.base_url, "kind": job.kind}).sync_all()


if __name__ == "__main__":
    main()
