"""One row per file where an answer names several files in fields of its own."""

from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import InitVar, dataclass
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import requests
from airbyte_cdk.sources.declarative.decoders import Decoder, JsonDecoder
from airbyte_cdk.sources.declarative.extractors.record_extractor import RecordExtractor
from airbyte_cdk.sources.types import Config

FIELDS = ("inbound_url", "outbound_url", "metadata_url")


@dataclass
class AmigoFiles(RecordExtractor):
    """A row `{call_sid, filename, url}` for each of the three urls that is not null.

    A url may be a path, an absolute URL of the API (perhaps under its public name while `base_url` is a proxy), or one of
    another host. All but the last become the documented download endpoint at `base_url`.
    Source: https://docs.amigo.ai/api-reference/readme/platform/recordings
    """

    config: Config
    parameters: InitVar[Mapping[str, Any]]
    decoder: Decoder | None = None

    def __post_init__(self, parameters: Mapping[str, Any]) -> None:
        self.decoder = self.decoder or JsonDecoder(parameters={})

    def extract_records(self, response: requests.Response) -> Iterable[MutableMapping[str, Any]]:
        assert self.decoder
        for body in self.decoder.decode(response):
            sid = body.get("call_sid")
            if not isinstance(sid, str) or body.get("status", "available") != "available":
                continue  # 202: archived, being restored
            for url in map(body.get, FIELDS):
                if isinstance(url, str) and url:
                    yield self._row(sid, url)

    def _row(self, sid: str, url: str) -> MutableMapping[str, Any]:
        amigo = self.config["amigo"]
        parts = urlsplit(url)
        filename = unquote(parts.path.rstrip("/").rpartition("/")[2])
        endpoint = f"/v1/{amigo['workspace_id']}/recordings/{quote(sid, safe='')}/download/"
        if not parts.netloc or parts.path.startswith(endpoint):
            query = f"?{parts.query}" if parts.query else ""
            url = f"{amigo['base_url']}{endpoint}{quote(filename, safe='')}{query}"
        return {"call_sid": sid, "filename": filename, "url": url}
