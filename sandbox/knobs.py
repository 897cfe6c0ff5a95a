"""What a test can turn, also while the sandbox runs."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints


@dataclass
class Knobs:
    latency: float = 0.0
    """Seconds before every answer of a provider or of the storage host."""

    limits: bool = False
    """Whether more requests than `rates` allows are refused with 429."""

    rates: dict[str, tuple[int, float]] = field(
        default_factory=lambda: {
            "bird": (50, 1.0),  # https://docs.bird.com/api/channels-api/rate-limit
            "amigo": (600, 60.0),  # documented per organization, without a number
            "quo": (10, 1.0),  # https://www.quo.com/docs/2026-03-30/rate-limits
            "bota": (100, 60.0),  # https://docs.bota.dev/api-reference/rate-limits
        }
    )
    """Provider -> (requests, seconds); turning it changes those it names. Tether has no limit."""

    replay: bool = False
    """Answer a GET as it was answered before at this clock. For benchmarks: it is much faster,
    and other knobs do not reach what has been answered."""

    undocumented_order: Literal["newest", "oldest", "shuffled"] = "newest"
    """Order of the lists of Bird, Amigo and Tether, whose documents do not say."""

    unknown_fields: bool = False
    """Send fields that are not documented also where the document closes the object."""

    bird_bounds: Literal["inclusive", "half_open"] = "inclusive"
    """Whether a recording created exactly at `endAt` is in the window."""

    bird_vtt: Literal["body", "redirect"] = "body"
    """Whether the text of a transcription comes in the answer or from the storage host."""

    amigo_dateless: Literal["by_creation", "excluded"] = "by_creation"
    """A call whose started_at is null, under a date filter: its creation day counts, or none."""

    amigo_call_id: Literal["call_sid", "entity_id", "both"] = "call_sid"
    """Which ID of a call its details are found by: the vendor's SDK passes a call_sid, no document says."""

    quo_plan: Literal["business", "starter", "starter-403"] = "business"
    """Transcripts answer 402 (or 403) to accounts below the Business plan."""

    bota_revision: Literal["cursor", "offset", "live", "mixed"] = "cursor"
    """Which form Bota's recordings have: the older one, with either of its two paginations; that of October 2026; or some
    the one and some the other."""

    bota_needs_filter: bool = False
    """The list of Bota's transcriptions is refused with 400 unless it is filtered by a recording."""

    bota_retranscribed: bool = False
    """Some of Bota's recordings are transcribed a second time: the first transcription is gone then."""

    bota_encrypted: bool = False
    """Some of Bota's files are encrypted containers, whatever their type is said to be."""

    tether_token_ttl: float = 86_400.0
    """Seconds that a token from the login lives."""

    media_bytes: int = 30_000
    """Typical size of a media file."""

    media_sizes: dict[str, int] = field(default_factory=dict)
    """Exact size of single media files, by media id."""

    media_rate: float = 0.0
    """Bytes a second that a media file comes with; 0: as fast as it goes."""

    ranges: bool = True
    """Whether media hosts answer Range requests with 206."""

    content_length: bool = True
    """Whether media hosts say how long the body is (else it is chunked)."""

    def turn(self, **changes: Any) -> None:
        """Set knobs by name; a wrong name or value raises ValueError and changes nothing."""
        hints = get_type_hints(Knobs)
        known = {item.name for item in fields(self)}
        for name, value in changes.items():
            if name not in known:
                raise ValueError(f"no such knob: {name}")
            if get_origin(hints[name]) is Literal and value not in get_args(hints[name]):
                raise ValueError(f"{name} is one of {', '.join(get_args(hints[name]))}")
        if "rates" in changes:
            changes["rates"] = {**self.rates, **changes["rates"]}
        for name, value in changes.items():
            setattr(self, name, value)
