"""What happens at Amigo: its calls and their recordings."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from ..media import Media
from ..text import label, phone
from ..world import DAY, SECOND, World, iso
from .base import Provider, Row, delay, soon, talk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..knobs import Knobs
    from ..storage import Storage

FILES = ("inbound.wav", "outbound.wav", "metadata.json")


@dataclass(frozen=True)
class _Life:
    created: int
    dateless: bool
    connected: int
    ended: int
    outcome: str
    flagged: int | None  # since when has_recording is true
    stored: int | None  # since when the recording's endpoints answer


class AmigoCalls(Provider):
    """Calls and their recordings, as they are now."""

    name = "amigo"
    quantum = 1

    def __init__(self, world: World, knobs: Knobs, storage: Storage) -> None:
        super().__init__(world, knobs, storage)
        self.workspace_id = world.uuid("amigo-workspace", 0)
        self.life = lru_cache(maxsize=8192)(self._life)
        # Every page of a list needs the whole list: kept until the clock moves.
        self._listed = lru_cache(maxsize=16)(self._list)

    def _life(self, index: int) -> _Life:
        dice = self.world.dice("amigo-life", index)
        created = self.created(index)
        connected = created + dice.randrange(SECOND, 30 * SECOND)
        outcome = dice.choices(
            ("completed", "busy", "no-answer", "canceled", "failed", "unknown"), (84, 3, 5, 3, 3, 2)
        )[0]
        ended = connected + (talk(dice) * SECOND if outcome == "completed" else 0)
        flagged = stored = None
        if outcome in ("completed", "unknown") and dice.random() < 0.85:
            flagged = ended + delay(dice)
            roll = dice.random()
            if roll < 0.9:
                stored = flagged
            elif roll < 0.97:  # announced before it can be had: 404 meanwhile, or for ever
                stored = flagged + soon(dice)
        return _Life(created, dice.random() < 0.01, connected, ended, outcome, flagged, stored)

    def simulated(self, index: int) -> bool:
        return self.world.chance("amigo-simulated", index) < 0.03

    def deleted(self, index: int) -> bool:
        if self.world.chance("amigo-deleted", index) >= 0.02:
            return False
        days = 3 + 17 * self.world.chance("amigo-deleted-after", index)
        return self.created(index) + int(days * DAY) <= self.world.clock

    def sid(self, index: int) -> str | None:
        if self.world.chance("amigo-sidless", index) < 0.01:
            return None
        return f"CA{self.world.id('amigo-sid', index)}"

    def started(self, index: int) -> int | None:
        life = self.life(index)
        # Null for good in a few calls, and while nobody has picked up in many.
        if life.dateless or (self.world.clock < life.connected and index % 2):
            return None
        return life.created

    def call(self, index: int) -> Row:
        """Its row in the list."""
        return self._row(index, done=self.life(index).ended <= self.world.clock)

    def planned_turns(self, index: int) -> int:
        """How many turns its row says once it is over."""
        turns: int = self._row(index, done=True)["turns"]
        return turns

    def _row(self, index: int, *, done: bool) -> Row:
        life, dice = self.life(index), self.world.dice("amigo-row", index)
        clock, started = self.world.clock, self.started(index)
        simulated = self.simulated(index)
        status = life.outcome
        if clock < life.connected:
            status = "initiated" if clock < life.created + 3 * SECOND else "ringing"
        elif not done:
            status = "in-progress"
        source = dice.choice(("simulation", "playground")) if simulated else "real"
        row: Row = {
            "entity_id": self.world.uuid("amigo", index),
            "call_sid": self.sid(index),
            "direction": (
                dice.choice(("simulated", "playground", "test")) if simulated else dice.choice(("inbound", "outbound"))
            ),
            "phone_number": phone(dice),
            "caller_id": phone(dice),
            # Whole seconds are written without a fraction, as Python's isoformat does.
            "started_at": None if started is None else iso(started, 6 if started % SECOND else 0),
            "duration_seconds": (life.ended - life.connected) / SECOND if done else None,
            "status": status,
            "escalation_status": dice.choice((None, "none", "requested", "connected", "handback")),
            "turns": dice.randrange(80) if done else None,
            "has_recording": dice.choice((False, None)),
            "quality_score": dice.choice((None, 0, 1, 1e-7, round(dice.random(), 6))),
            "final_state": dice.choice((None, label(dice))),
            "completion_reason": (
                dice.choice((None, "completed", "caller_hangup", "terminal_state", "transferred")) if done else None
            ),
            "service_id": dice.choice((None, self.world.uuid("amigo-service", index % 3))),
            "source": source,
            "run_id": f"run-{index}" if source == "simulation" else None,
            "parent_session_id": f"session-{index // 2}" if simulated and index % 2 else None,
            "fork_turn_index": index % 7 if simulated and index % 2 else None,
        }
        if life.flagged is not None and life.flagged <= clock:
            row["has_recording"] = True
        # Only entity_id is required: some answers leave the empty rest out.
        if dice.random() < 0.1:
            row = {key: value for key, value in row.items() if value is not None}
        if dice.random() < 0.1 or self.knobs.unknown_fields:
            row["sandbox_extra"] = {"labels": [label(dice)], "score": 1.5e300}
        return row

    def listed(self, dated: range | None = None, *, simulated: bool = False) -> Sequence[int]:
        """The calls that a list (of a date range) holds now, in its order."""
        indices = range(self.count()) if dated is None else dated
        order = self.knobs.undocumented_order
        return self._listed(self.world.clock, order, indices.start, indices.stop, simulated)

    def _list(self, _: int, __: str, start: int, stop: int, simulated: bool) -> Sequence[int]:
        indices = [i for i in range(start, stop) if not self.deleted(i)]
        return self.arrange(indices if simulated else [i for i in indices if not self.simulated(i)])

    def has_recording(self, index: int) -> bool:
        """Whether the recording's endpoints answer with it now."""
        stored = self.life(index).stored
        return (
            stored is not None
            and stored <= self.world.clock
            and self.sid(index) is not None
            and not self.simulated(index)
            and not self.deleted(index)
        )

    def urls(self, index: int) -> Row:
        """Download paths: relative, absolute, mixed with null."""
        dice = self.world.dice("amigo-urls", index)
        root = f"/v1/{self.workspace_id}/recordings/{self.sid(index)}/download/"
        if dice.random() < 0.35:
            root = self.base_url + root
        row: Row = {"call_sid": self.sid(index), "status": "available"}
        for name, file in zip(("inbound_url", "outbound_url", "metadata_url"), FILES, strict=True):
            row[name] = None if dice.random() < 0.08 else root + file
        if dice.random() < 0.05:
            del row["status"]  # has a default, is not required
        if dice.random() < 0.1 or self.knobs.unknown_fields:
            row["sandbox_extra"] = None
        return row

    def metadata(self, index: int) -> Row:
        life, dice = self.life(index), self.world.dice("amigo-metadata", index)
        sid = self.sid(index)
        row: Row = {
            "call_sid": sid,
            "workspace_id": self.workspace_id,
            "service_id": dice.choice((None, self.world.uuid("amigo-service", index % 3))),
            "direction": dice.choice(("inbound", "outbound")),
            "duration_seconds": (life.ended - life.connected) / SECOND,
            "inbound_format": "mulaw",
            "inbound_sample_rate": 8000,
            "outbound_format": "pcm16",
            "outbound_sample_rate": 16000,
            "tts_provider": dice.choice(("example-tts", "\u97f3\u58f0")),
            "call_start_iso": iso(life.created, 6).replace("Z", "+00:00"),
            "call_end_iso": iso(life.ended, 6).replace("Z", "+00:00"),
            "inbound_size_bytes": self.make_media(f"{sid}/{FILES[0]}", "audio/wav").size,
            "outbound_size_bytes": self.make_media(f"{sid}/{FILES[1]}", "audio/wav").size,
            "media_start_epoch_ms": life.connected / 1000,
        }
        if dice.random() < 0.1 or self.knobs.unknown_fields:
            row["sandbox_extra"] = [0.1 + 0.2, -0.0]
        return row

    def _by_sid(self, sid: str) -> int | None:
        """A call by its sid, while its recording can be had."""
        index = self.known("amigo-sid", sid.removeprefix("CA")) if sid.startswith("CA") else None
        return index if index is not None and self.has_recording(index) else None

    def media(self, media_id: str) -> Media | None:
        sid, _, file = media_id.partition("/")
        index = self._by_sid(sid)
        if index is None or file not in FILES:
            return None
        if file == "metadata.json":
            body = json.dumps(self.metadata(index), ensure_ascii=False).encode()
            return Media(media_id, "application/json", len(body), body)
        return self.make_media(media_id, "audio/wav")
