"""The files of a recording."""

from collections.abc import Callable, Mapping
from typing import Any

Path = Callable[[Any, Any, Any], str | None]

AT_BOTA = {"uploaded", "processing", "completed"}


def path(row: Mapping[str, Any], media_path: Path) -> str | None:
    """The one file of a recording: in older revisions its one uploaded medium, else what its address leads to.

    Source: https://docs.bota.dev/api-reference/recordings/get and, without `media`, github.com/bota-dev/examples
    """
    created, media = row.get("created_at"), row.get("media")
    if media is None:
        return media_path(row.get("id"), created, row.get("mime_type")) if str(row.get("status")) in AT_BOTA else None
    uploaded = [item for item in _media(row) if item.get("status") == "uploaded"]
    if len(uploaded) != 1:
        return None
    (item,) = uploaded
    return media_path((row.get("id"), item.get("id")), created, item.get("mime_type"))


def audio_types(row: Mapping[str, Any]) -> list[Any]:
    """The MIME types of its audio, in older revisions."""
    return [item.get("mime_type") for item in _media(row) if item.get("type") == "audio"]


def _media(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    media = row.get("media")
    return [item for item in media if isinstance(item, Mapping)] if isinstance(media, list) else []
