"""What happens at Quo: the data behind its answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..text import label, phone, sentence
from ..world import DAY, MINUTE, SECOND, World, iso
from .base import Provider, Row, Stream, delay, soon, talk

if TYPE_CHECKING:
    import random

    from ..knobs import Knobs
    from ..media import Media
    from ..storage import Storage

SEGMENTS = 4


@dataclass(frozen=True)
class _Segment:
    started: int
    ended: int
    processed: int
    outcome: str
    deleted: int | None


@dataclass(frozen=True)
class _Life:
    """queued, ringing, then answered by somebody (or something), or never."""

    created: int
    incoming: bool
    answered: int | None
    ai: bool
    ended: int
    outcome: str
    unanswered_shape: bool  # handled, and yet answeredAt is null
    segments: tuple[_Segment, ...]
    listed: int  # since when the recordings are listed
    transcript: int | None
    transcribed: int
    transcript_outcome: str
    summarized: int | None


class QuoCalls(Provider):
    """Calls with their recordings and transcripts, as they are now."""

    name = "quo"

    def __init__(self, world: World, knobs: Knobs, storage: Storage) -> None:
        super().__init__(world, knobs, storage)
        self.life = lru_cache(maxsize=8192)(self._life)

    def _life(self, index: int) -> _Life:
        dice = self.world.dice("quo-life", index)
        created = self.created(index)
        incoming = dice.random() < 0.6
        story = dice.choices(("human", "ai", "forwarded", "dropped", "never"), (62, 8, 5, 3, 22))[0]
        answered = None if story == "never" else created + dice.randrange(3, 30) * SECOND
        outcome = "completed"
        if story == "forwarded":
            outcome = "forwarded"
        elif story == "dropped":
            outcome = dice.choice(("failed", "abandoned"))
        elif story == "ai":
            outcome = dice.choice(("completed", "completed", "missed", "abandoned"))
        elif story == "never":
            unreached = ("missed", "abandoned", "no-answer") if incoming else (
                "busy", "failed", "canceled", "no-answer", "ringing", "queued", "initiated"
            )  # fmt: skip
            outcome = dice.choice(unreached)
        ended = (answered or created + dice.randrange(5, 40) * SECOND) + (talk(dice) * SECOND if answered else 0)
        segments: list[_Segment] = []
        if answered is not None and dice.random() < 0.85:
            segments = _segments(dice, answered, ended)
        listed = answered or created
        if dice.random() < 0.3:
            listed = ended + delay(dice)
        transcript = summarized = None
        if answered is not None and dice.random() < 0.7:
            transcript = ended + delay(dice)
        if answered is not None and dice.random() < 0.6:
            summarized = ended + delay(dice)
        return _Life(
            created=created,
            incoming=incoming,
            answered=answered,
            ai=story == "ai",
            ended=ended,
            outcome=outcome,
            unanswered_shape=story in ("ai", "forwarded") and dice.random() < 0.4,
            segments=tuple(segments),
            listed=listed,
            transcript=transcript,
            transcribed=(transcript or ended) + soon(dice),
            transcript_outcome=dice.choices(("completed", "absent", "failed"), (92, 5, 3))[0],
            summarized=summarized,
        )

    def cid(self, index: int) -> str:
        return f"AC{self.world.id('quo', index)}"

    def crid(self, index: int, segment: int) -> str:
        return f"CR{self.world.id('quo-recording', index * SEGMENTS + segment, 24)}"

    def _status(self, life: _Life) -> str:
        clock = self.world.clock
        if life.answered is not None and life.answered <= clock < life.ended:
            return "answered" if life.created % 7 == 0 else "in-progress"
        if clock < life.ended:
            return "queued" if clock < life.created + SECOND else "ringing"
        return life.outcome

    def call(self, index: int, include: frozenset[str] = frozenset()) -> Row:
        life, dice = self.life(index), self.world.dice("quo-row", index)
        clock = self.world.clock
        done = life.ended <= clock
        answered = life.answered is not None and life.answered <= clock
        handled_by_ai = life.ai and answered
        number, user = index % 5, self.uid(dice.randrange(6))
        actor = f"SYU{self.world.id('quo-sona', 0, 10)}" if handled_by_ai else user
        others = [phone(dice) for _ in range(dice.choices((1, 2, 3), (94, 4, 2))[0])]
        updated = life.ended if done else life.answered if answered else None
        row: Row = {
            "id": self.cid(index),
            "phoneNumberId": None if dice.random() < 0.02 else self._pnid(number),
            "actorId": actor,
            "direction": "incoming" if life.incoming else "outgoing",
            "status": self._status(life),
            "participants": [
                {"phoneNumber": self._number(number), "actorId": user},
                *({"phoneNumber": other, "actorId": None} for other in others),
            ],
            "answeredAt": (
                iso(life.answered) if answered and life.answered is not None and not life.unanswered_shape else None
            ),
            "answeredBy": user if answered and life.incoming and not life.ai else None,
            "initiatedBy": None if life.incoming else user,
            "completedAt": iso(life.ended) if done and life.answered is not None else None,
            "createdAt": iso(life.created),
            "updatedAt": iso(updated) if updated is not None else None,
            "callRoute": (dice.choice(("phone-number", "phone-menu", None)) if life.incoming else None),
            "duration": (
                (life.ended - life.answered) // SECOND
                if done and life.answered is not None and dice.random() < 0.97
                else 0
            ),
            "forwardedFrom": phone(dice) if dice.random() < 0.02 else None,
            "forwardedTo": (dice.choice((phone(dice), user)) if life.outcome == "forwarded" and done else None),
            "aiHandled": "ai-agent" if handled_by_ai else None,
        }
        if "summary" in include:
            row["summary"] = self._summary(life, dice)
        if "voicemail" in include:
            row["voicemail"] = self.voicemail(index)
        if self.knobs.unknown_fields:
            row["sandboxExtra"] = {"why": "\u2753"}
        return row

    def _summary(self, life: _Life, dice: random.Random) -> Row | None:
        if life.summarized is None or life.summarized > self.world.clock:
            return None
        return {
            "status": "completed",
            "type": dice.choice(("human", "agent", None)),
            "summary": [sentence(dice), sentence(dice)],
            "nextSteps": [],
            "jobs": [],
            "title": label(dice),
        }

    def voicemail(self, index: int) -> Row | None:
        """What the caller left when nobody answered; its address and text come once it is completed."""
        life, dice = self.life(index), self.world.dice("quo-voicemail", index)
        missed = life.outcome in ("missed", "no-answer") and life.ended <= self.world.clock
        if not missed or dice.random() < 0.6:
            return None
        completed = life.ended + soon(dice) <= self.world.clock
        vid, spoken = f"VM{self.world.id('quo-voicemail', index, 16)}", dice.choice((None, sentence(dice)))
        return {
            "id": vid,
            "status": "completed" if completed else "in-progress",
            "duration": dice.choice((None, dice.randrange(60), dice.randrange(60))),
            "recordingUrl": self.storage.url(self.name, vid, "mp3") if completed else None,
            "transcript": spoken if completed else None,
        }

    def uid(self, number: int) -> str:
        return f"US{self.world.id('quo-user', number, 10)}"

    def _pnid(self, number: int) -> str:
        return f"PN{self.world.id('quo-number', number, 16)}"

    def _number(self, number: int) -> str:
        return f"+1415555{number:04d}"

    def recordings(self, index: int) -> list[Row]:
        """The segments that have begun, oldest first."""
        life, clock = self.life(index), self.world.clock
        if clock < life.listed:
            return []
        return [
            self._recording(index, number, segment)
            for number, segment in enumerate(life.segments)
            if segment.started <= clock
        ]

    def _recording(self, index: int, number: int, segment: _Segment) -> Row:
        dice = self.world.dice("quo-recording", index * SEGMENTS + number)
        clock, rid = self.world.clock, self.crid(index, number)
        last = number == len(self.life(index).segments) - 1
        processed = segment.processed <= clock
        if clock < segment.ended:
            status = "in-progress"
        elif clock < segment.ended + 20 * SECOND:
            status = dice.choice(("stopping", "stopped")) if last else "paused"
        elif not processed:
            status = "processing"
        elif segment.deleted is not None and segment.deleted <= clock:
            status = "deleted"
        else:
            status = segment.outcome
        completed = status == "completed"
        inaccessible = dice.random() < 0.005  # "Null if ... the recording is not accessible"
        mime = _mime(self.world, rid)
        url = self.storage.url(self.name, rid, "wav" if mime == "audio/wav" else "mp3")
        row: Row = {
            "id": rid,
            "status": None if not completed and dice.random() < 0.05 else status,
            "startTime": None if dice.random() < 0.01 else iso(segment.started),
            "duration": (segment.ended - segment.started) // SECOND if processed else None,
            "type": mime if completed and dice.random() < 0.97 else None,
            "url": url if completed and not inaccessible else None,
        }
        if self.knobs.unknown_fields:
            row["sandboxExtra"] = []
        return row

    def has_transcript(self, index: int) -> bool:
        at = self.life(index).transcript
        return at is not None and at <= self.world.clock

    def transcript(self, index: int) -> Row:
        life, dice = self.life(index), self.world.dice("quo-transcript", index)
        assert life.transcript is not None
        ready = life.transcribed <= self.world.clock
        status = life.transcript_outcome if ready else "in-progress"
        dialogue = None
        if status == "completed":
            dialogue = [
                {
                    "content": sentence(dice),
                    "start": turn * 2.5,
                    "end": turn * 2.5 + 2.25,
                    "identifier": dice.choice((None, phone(dice))),
                    "userId": dice.choice((None, self.uid(0))),
                }
                for turn in range(dice.randrange(5))
            ]
        row: Row = {
            "callId": self.cid(index),
            "createdAt": iso(life.transcript),
            "dialogue": dialogue,
            "duration": (life.ended - (life.answered or life.ended)) / SECOND + 1e-6,
            "status": status,
        }
        if self.knobs.unknown_fields:
            row["sandboxExtra"] = 0
        return row

    def media(self, media_id: str) -> Media | None:
        if media_id.startswith("VM"):
            caller = self.known("quo-voicemail", media_id[2:])
            left = None if caller is None else self.voicemail(caller)
            return self.make_media(media_id, "audio/mpeg") if left and left["recordingUrl"] else None
        number = self.world.find("quo-recording", media_id.removeprefix("CR"))
        if number is None or number // SEGMENTS >= self.count():
            return None
        index, segment = divmod(number, SEGMENTS)
        row = {recording["id"]: recording for recording in self.recordings(index)}.get(media_id)
        if row is None or row["url"] is None or segment >= len(self.life(index).segments):
            return None
        return self.make_media(media_id, _mime(self.world, media_id))

    def streams(self) -> dict[str, Stream[Any]]:
        def created(index: int) -> Row:
            return {"callCreatedAt": iso(self.created(index))}

        def recordings() -> list[tuple[int, Row]]:
            return [(i, row) for i in range(self.count()) for row in self.recordings(i)]

        def voicemails() -> list[tuple[int, str]]:
            """Those that are completed, with their calls."""
            found = ((index, self.voicemail(index)) for index in range(self.count()))
            return [(index, row["id"]) for index, row in found if row and row["recordingUrl"]]

        return {
            "quo_calls": Stream(lambda: range(self.count()), lambda index: (self.cid(index),), self.call),
            "quo_call_recordings": Stream(
                recordings, lambda ref: (ref[1]["id"],), lambda ref: {**ref[1], **created(ref[0])}
            ),
            "quo_call_transcripts": Stream(
                lambda: (
                    [i for i in range(self.count()) if self.has_transcript(i)]
                    if self.knobs.quo_plan == "business"
                    else []
                ),
                lambda index: (self.cid(index),),
                lambda index: {**self.transcript(index), **created(index)},
            ),
            "quo_recording_files": Stream(
                lambda: [ref for ref in recordings() if ref[1]["status"] == "completed"],
                lambda ref: (ref[1]["id"],),
                lambda ref: self.media_row(self.media(ref[1]["id"]), recordingId=ref[1]["id"], **created(ref[0])),
            ),
            "quo_voicemail_files": Stream(
                voicemails,
                lambda ref: (ref[1],),
                lambda ref: self.media_row(
                    self.media(ref[1]), voicemailId=ref[1], callId=self.cid(ref[0]), **created(ref[0])
                ),
            ),
        }


def _segments(dice: random.Random, start: int, end: int) -> list[_Segment]:
    """One recording per stretch between a pause and a resume."""
    count = dice.choices((1, 2, 3), (84, 11, 5))[0] if end - start > MINUTE else 1
    stretch = (end - start) // count
    found: list[_Segment] = []
    for number in range(count):
        began = start + number * stretch
        ended = end if number == count - 1 else began + stretch * 3 // 4
        processed = ended + 20 * SECOND + delay(dice)
        deleted = processed + dice.randrange(4 * DAY, 20 * DAY) if dice.random() < 0.03 else None
        outcome = dice.choices(("completed", "absent", "failed"), (94, 3, 3))[0]
        found.append(_Segment(began, ended, processed, outcome, deleted))
    return found


def _mime(world: World, recording_id: str) -> str:
    return "audio/wav" if world.chance(recording_id, 1) < 0.1 else "audio/mpeg"
