"""What happens at Bird: the data behind its answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..media import Media
from ..text import label, phone, sentence
from ..world import DAY, HOUR, MINUTE, SECOND, World, iso
from .base import Provider, Row, Stream, delay, soon, talk

if TYPE_CHECKING:
    import random

    from ..knobs import Knobs
    from ..storage import Storage

TRANSCRIPTIONS = 2
"""At most, of a recording."""


@dataclass(frozen=True)
class _Life:
    """When a recording changes: accepted, ongoing, (paused,) completed, then its outcome."""

    created: int
    started: int
    pause: tuple[int, int] | None
    ended: int
    stored: int
    outcome: str
    deleted: int | None
    transcriptions: tuple[tuple[int, int], ...]
    """When each was asked for, and when it was done."""

    def history(self) -> list[tuple[int, str]]:
        steps = [(self.created, "accepted"), (self.started, "ongoing")]
        if self.pause:
            steps += [(self.pause[0], "paused"), (self.pause[1], "ongoing")]
        steps += [(self.ended, "completed"), (self.stored, self.outcome)]
        if self.deleted is not None:
            steps.append((self.deleted, "absent"))
        return steps


class BirdVoice(Provider):
    """Recordings, their transcriptions, and calls, as they are now."""

    name = "bird"

    def __init__(self, world: World, knobs: Knobs, storage: Storage) -> None:
        super().__init__(world, knobs, storage)
        self.workspace_id = world.uuid("bird-workspace", 0)
        self.life = lru_cache(maxsize=8192)(self._life)
        self._transcriptions = lru_cache(maxsize=4)(self._list_transcriptions)

    def _root(self) -> str:
        return f"/workspaces/{self.workspace_id}"

    def _life(self, index: int) -> _Life:
        dice = self.world.dice("bird-life", index)
        created = self.created(index)
        # The document's sample starts 113 ms before it was created.
        started = created + dice.randrange(-200, 3000) * 1000
        ended = started + talk(dice) * SECOND + dice.randrange(1000) * 1000
        pause = None
        if ended - started > MINUTE and dice.random() < 0.1:
            pause = (started + (ended - started) // 3, started + (ended - started) // 2)
        ended = max(ended, created)
        stored = ended + delay(dice)
        outcome = dice.choices(("available", "absent", "failed"), (90, 5, 5))[0]
        deleted = None
        if outcome == "available" and dice.random() < 0.04:
            deleted = stored + dice.randrange(4 * DAY, 20 * DAY)
        transcribed = None
        if outcome == "available" and dice.random() < 0.45:
            transcribed = stored + dice.randrange(SECOND, 10 * MINUTE)
        ready = (transcribed or 0) + soon(dice)
        transcriptions = []
        if transcribed is not None:
            transcriptions.append((transcribed, ready))
            # One for each language that somebody asks for.
            if dice.random() < 0.15:
                again = transcribed + dice.randrange(MINUTE, 10 * HOUR)
                transcriptions.append((again, again + soon(dice)))
        return _Life(created, started, pause, ended, stored, outcome, deleted, tuple(transcriptions))

    def _now(self, index: int) -> tuple[int, str]:
        """Since when the recording has which status."""
        steps = self.life(index).history()
        return [step for step in steps if step[0] <= self.world.clock or step is steps[0]][-1]

    def recording(self, index: int) -> Row:
        life, (updated, status) = self.life(index), self._now(index)
        dice = self.world.dice("bird-row", index)
        rid = self.world.uuid("bird", index)
        conference = dice.random() < 0.1
        row: Row = {
            "id": rid,
            "source": "conference" if conference else "call",
            "sourceId": self.world.uuid("bird-source", index),
            "status": status,
            "origin": dice.choice(("call-command-record", "call-command-record-call", "create-call", "bridge-call")),
            "stereo": dice.random() < 0.3,
            "format": "mp3",
            "transcription": bool(life.transcriptions),
            "createdAt": iso(life.created),
            "updatedAt": iso(max(updated, life.created)),
        }
        optional: Row = {
            "channelId": self.world.uuid("bird-channel", dice.randrange(4)),
            "direction": dice.choice(("incoming", "outgoing")),
            "originator": _party(dice, self.world, index),
            "receiver": _party(dice, self.world, index + 1_000_000),
        }
        row.update({key: value for key, value in optional.items() if dice.random() < 0.95})
        if conference:
            row["conferenceId"] = row["sourceId"]
            row["roomInfoUrl"] = f"https://example.com/rooms/{rid}"
        if life.started <= self.world.clock:
            row["startedAt"] = iso(life.started)
        if life.ended <= self.world.clock:
            row["endedAt"] = iso(life.ended)
            # int64: larger than what a float holds exactly, once in a while.
            huge = dice.random() < 0.003
            row["duration"] = 2**53 + 1 if huge else (life.ended - life.started) // SECOND
        if status == "available":
            row["url"] = self.storage.url(self.name, rid, "mp3")
        if self.knobs.unknown_fields:
            row["sandboxExtra"] = {"nested": [1, None, {"deep": True}]}
        return row

    def transcription(self, ref: int) -> Row:
        index, number = divmod(ref, TRANSCRIPTIONS)
        requested, ready = self.life(index).transcriptions[number]
        dice = self.world.dice("bird-transcript", ref)
        is_ready = ready <= self.world.clock
        tid = self.tid(ref)
        row: Row = {
            "id": tid,
            "recordingId": self.world.uuid("bird", index),
            "status": "available" if is_ready else "accepted",
            "stereo": dice.random() < 0.3,
            "locale": dice.choice(("en-US", "nl-NL", "ar", "zh-Hans-CN")),
            "createdAt": iso(requested),
            "updatedAt": iso(ready if is_ready else requested),
        }
        if is_ready:
            # The sample of the list has none on two available rows.
            if dice.random() < 0.7:
                row["url"] = f"{self.base_url}{self._root()}/transcriptions/{tid}.json"
            if dice.random() < 0.6:
                row["summary"] = sentence(dice)
        if self.knobs.unknown_fields:
            row["sandboxExtra"] = "\u2603"
        return row

    def tid(self, ref: int) -> str:
        return self.world.uuid("bird-transcription", ref)

    def transcriptions(self) -> list[int]:
        """The transcriptions that there are now, in the list's order."""
        return self._transcriptions(self.world.clock, self.knobs.undocumented_order)

    def _list_transcriptions(self, clock: int, _: str) -> list[int]:
        refs = (
            index * TRANSCRIPTIONS + number
            for index in range(self.count())
            for number, (requested, _) in enumerate(self.life(index).transcriptions)
            if requested <= clock
        )
        return sorted(refs, key=self.transcription_rank)

    def transcription_rank(self, ref: int) -> tuple[float, int, int]:
        """Transcriptions are made in another order than the recordings."""
        index, number = divmod(ref, TRANSCRIPTIONS)
        rank, at = self.rank(index), self.life(index).transcriptions[number][0]
        return {"newest": (-at, rank, number), "oldest": (at, rank, number), "shuffled": (0, rank, number)}[
            self.knobs.undocumented_order
        ]

    def find_transcription(self, text: str) -> int | None:
        """The transcription of this id, if it has been asked for by now."""
        ref = self.world.find("bird-transcription", text)
        if ref is None or ref // TRANSCRIPTIONS >= self.count():
            return None
        index, number = divmod(ref, TRANSCRIPTIONS)
        made = self.life(index).transcriptions
        return ref if number < len(made) and made[number][0] <= self.world.clock else None

    def cues(self, ref: int) -> list[Row]:
        """What is said in it."""
        dice = self.world.dice("bird-cues", ref)
        speakers = dice.choice(((None,), ("Speaker 1", "Zo\u00eb & Co <NL>", None)))
        found: list[Row] = []
        at = dice.randrange(3000)
        for _ in range(dice.randrange(7)):
            start = at + dice.randrange(1500)
            at = start + dice.randrange(1, 9000) + (3_600_000 if dice.random() < 0.02 else 0)
            # An empty line would end the cue.
            lines = filter(None, [sentence(dice) for _ in range(dice.choice((1, 1, 2)))])
            voice = dice.choice(speakers)
            found.append({"start": start / 1000, "end": at / 1000, "text": "\n".join(lines), "voice": voice})
        return found

    def vtt(self, ref: int) -> str:
        """The same as https://www.w3.org/TR/webvtt1/ writes it: hours and names of cues may be left out."""
        dice = self.world.dice("bird-vtt", ref)
        blocks = [dice.choice(("WEBVTT", "WEBVTT - transcription"))]
        if dice.random() < 0.3:
            blocks.append("NOTE\nmade by a machine")
        for number, cue in enumerate(self.cues(ref), 1):
            times = f"{_vtt_time(cue['start'])} --> {_vtt_time(cue['end'])}{dice.choice(('', ' align:start'))}"
            text = _vtt_text(cue["text"])
            if cue["voice"]:
                text = f"<v {_vtt_text(cue['voice'])}>{text}{dice.choice(('', '</v>'))}"
            blocks.append("\n".join(filter(None, [str(number) if dice.random() < 0.5 else "", times, text])))
        return "\n\n".join(blocks) + "\n"

    def call(self, index: int) -> Row:
        """The call of a recording; where that is a conference's, one that nobody has taken."""
        life, dice, clock = self.life(index), self.world.dice("bird-call", index), self.world.clock
        recording = self.recording(index)
        recorded = recording["source"] == "call"
        steps = [(life.created, "starting"), (life.created + SECOND // 2, "ringing")]
        if recorded:
            steps += [(max(life.started, life.created + SECOND // 2), "ongoing"), (life.ended, "completed")]
        else:
            steps.append((life.created + dice.randrange(2, 40) * SECOND, dice.choice(("no-answer", "busy", "failed"))))
        passed = [step for step in steps if step[0] <= clock or step is steps[0]]
        updated, status = max(passed, key=lambda step: step[0])
        first, second = (recording.get(side) or _party(dice, self.world, index) for side in ("originator", "receiver"))
        row: Row = {
            "id": recording["sourceId"] if recorded else self.world.uuid("bird-call", index),
            "channelId": recording.get("channelId") or self.world.uuid("bird-channel", 0),
            "from": f"+{first['number']['number']}",
            "to": f"+{second['number']['number']}",
            "originator": _with_kind(first),
            "receiver": _with_kind(second),
            "direction": recording.get("direction") or "incoming",
            "status": status,
            "type": "pstn",
            "createdAt": iso(life.created),
            "updatedAt": iso(updated),
        }
        if status != "starting":
            row["ringingAt"] = iso(steps[1][0])
        if status in ("ongoing", "completed"):
            row["answeredAt"] = iso(steps[2][0])
        if updated == steps[-1][0]:
            row["endedAt"] = iso(updated)
            row["duration"] = (life.ended - life.started) // SECOND if recorded else 0
            row |= {"hangupCauseCode": dice.choice((16, 17, 19)), "hangupSource": dice.choice(("callee", "caller"))}
            row["hangupSipCode"] = dice.choice(("200", "486"))
        row |= {key: value for key, value in self._rare(index, dice).items() if dice.random() < 0.3}
        if self.knobs.unknown_fields:
            row["sandboxExtra"] = 1
        return row

    def _rare(self, index: int, dice: random.Random) -> Row:
        flow = self.world.uuid("bird-flow", index)
        command = {
            "id": self.world.uuid("bird-command", index),
            "callId": self.world.uuid("bird-source", index),
            "callFlowId": flow,
            "status": "completed",
            "command": dice.choice(("record", "say", "transfer")),
            "conditions": [{"variable": "keys", "operator": "eq", "value": "1"}],
        }
        return {
            "parentId": self.world.uuid("bird-source", index + 1),
            "reason": label(dice),
            "scheduledFor": iso(self.created(index)),
            "callFlow": {"id": flow, "commands": [command]},
            "notification": {"url": "https://example.com/calls"},
            "qualityInsights": {},
            "sipInsights": {},
            "amdResult": "human",
            "sipType": "trunk",
            "tags": [label(dice)],
        }

    def media(self, media_id: str) -> Media | None:
        ref = self.find_transcription(media_id)
        if ref is not None and self.transcription(ref)["status"] == "available":
            body = self.vtt(ref).encode()
            return Media(f"{self.world.seed}/bird/{media_id}", "text/vtt", len(body), body)
        index = self.known("bird", media_id)
        if index is None or self._now(index)[1] != "available":
            return None
        return self.make_media(media_id, "audio/mpeg")

    def streams(self) -> dict[str, Stream[Any]]:
        def uuid(index: int) -> tuple[str]:
            return (self.world.uuid("bird", index),)

        def file(index: int) -> Row:
            (rid,) = uuid(index)
            created = iso(self.created(index))
            return self.media_row(self.media(rid), recordingId=rid, recordingCreatedAt=created)

        def transcript(ref: int) -> Row:
            row, cues = self.transcription(ref), self.cues(ref)
            return {
                "transcriptionId": row["id"],
                "recordingId": row["recordingId"],
                "transcriptionUpdatedAt": row["updatedAt"],
                "vtt": self.vtt(ref),
                "text": "\n".join(cue["text"] for cue in cues),
                "cues": cues,
            }

        return {
            "bird_recordings": Stream(lambda: range(self.count()), uuid, self.recording),
            "bird_transcriptions": Stream(self.transcriptions, lambda ref: (self.tid(ref),), self.transcription),
            "bird_transcripts": Stream(
                lambda: [ref for ref in self.transcriptions() if self.transcription(ref)["status"] == "available"],
                lambda ref: (self.tid(ref),),
                transcript,
            ),
            "bird_calls": Stream(lambda: range(self.count()), lambda index: (self.call(index)["id"],), self.call),
            "bird_recording_files": Stream(
                lambda: [i for i in range(self.count()) if self._now(i)[1] == "available"], uuid, file
            ),
        }


def _party(dice: random.Random, world: World, index: int) -> Row:
    number = phone(dice)
    row: Row = {"type": dice.choice(("pstn", "pstn", "webrtc")), "number": number[1:]}
    optional: Row = {"identity": number, "countryIsoCode": "US", "anonymous": False, "callerIdName": label(dice)}
    row.update({key: value for key, value in optional.items() if dice.random() < 0.6})
    party: Row = {"number": row}
    if dice.random() < 0.4:
        party["contact"] = {
            "id": world.uuid("bird-contact", index),
            "identifierKey": "phonenumber",
            "identifierValue": number,
        }
    return party


def _with_kind(party: Row) -> Row:
    """Of a call, a number says more than of a recording."""
    return {**party, "number": {**party["number"], "pstnNumberType": "local"}}


def _vtt_time(seconds: float) -> str:
    minutes, millis = divmod(round(seconds * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{f'{hours:02}:' if hours else ''}{minutes:02}:{millis // 1000:02}.{millis % 1000:03}"


def _vtt_text(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
