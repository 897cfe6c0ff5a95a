"""The pieces of a transcript."""

from collections.abc import Mapping
from typing import Any


def utterances(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The items of `transcriptionData` in the one form that is documented: `role`, `message`, `timestamp`.

    Source: https://docs.tetherai.ca, "the recording of a call"; other telephony providers' forms differ.
    """
    pieces = row.get("transcriptionData")
    return [
        dict(piece)
        for piece in (pieces if isinstance(pieces, list) else [])
        if isinstance(piece, Mapping) and isinstance(piece.get("message"), str) and isinstance(piece.get("role"), str)
    ]
