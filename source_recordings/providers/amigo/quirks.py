"""One row per file where Amigo's answer names several files in fields of its own."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote, urlsplit

FIELDS = ("inbound_url", "outbound_url", "metadata_url")


def tracks(row: Mapping[str, Any], config: Mapping[str, Any]) -> list[dict[str, str]]:
    """A row `{call_sid, filename, url}` for each of the three urls that is not null.

    A url may be a path, an absolute URL of the API (perhaps under its public name while `base_url` is a proxy), or one of
    another host. All but the last become the documented download endpoint at `base_url`.
    Source: https://docs.amigo.ai/api-reference/readme/platform/recordings
    """
    return list(_tracks(row, config))


def _tracks(row: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    sid = row.get("call_sid")
    if not isinstance(sid, str):
        return
    endpoint = f"/v1/{config['workspace_id']}/recordings/{quote(sid, safe='')}/download/"
    for url in map(row.get, FIELDS):
        if not isinstance(url, str) or not url:
            continue
        parts = urlsplit(url)
        filename = unquote(parts.path.rstrip("/").rpartition("/")[2])
        if not parts.netloc or parts.path.startswith(endpoint):
            query = f"?{parts.query}" if parts.query else ""
            url = f"{config['base_url']}{endpoint}{quote(filename, safe='')}{query}"
        yield {"call_sid": sid, "filename": filename, "url": url}
