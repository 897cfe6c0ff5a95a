"""What Amigo tells of a single call: what was said, when it was to be heard, and what is worked out afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..text import label, phone, sentence
from ..world import SECOND, World, iso
from .amigo_calls import AmigoCalls
from .base import Row, delay, soon

if TYPE_CHECKING:
    import random

    from ..knobs import Knobs
    from ..storage import Storage

TURNS_AT_MOST = 80
CONNECTED = ("completed", "unknown")
HANDED_OVER = ("connected", "handback")
ORIGINS = ("media_start", "call_start", "synthetic")


@dataclass(frozen=True)
class _Late:
    """When each thing is there that is worked out after a call; None: never."""

    verified: int | None
    analysis: int | None
    summary: int | None
    safety: int | None


def _moment(at: int | None) -> str | None:
    return None if at is None else iso(at, 6 if at % SECOND else 0)


class AmigoDetails(AmigoCalls):
    """The details of a call, as they are now."""

    def __init__(self, world: World, knobs: Knobs, storage: Storage) -> None:
        super().__init__(world, knobs, storage)
        self.late = lru_cache(maxsize=8192)(self._late)

    def _late(self, index: int) -> _Late:
        dice, ended = self.world.dice("amigo-late", index), self.life(index).ended

        def some(share: float, at: int) -> int | None:
            return at if dice.random() < share else None

        return _Late(
            # A workspace can switch the correction off.
            verified=some(0.85, ended + delay(dice)),
            analysis=some(0.9, ended + soon(dice)),
            summary=some(0.95, ended + delay(dice)),
            safety=some(0.95, ended + soon(dice)),
        )

    def has_conversation(self, index: int) -> bool:
        """Whether something has been said, or is being said."""
        life, clock = self.life(index), self.world.clock
        if life.outcome not in CONNECTED or clock < life.connected or self.deleted(index):
            return False
        return clock < life.ended or self.planned_turns(index) > 0

    def has_details(self, index: int) -> bool:
        """Whether they can be had by an ID that the list names."""
        return self.has_conversation(index) and (self.knobs.amigo_call_id != "call_sid" or self.sid(index) is not None)

    def detail(self, index: int) -> Row:
        life, dice, clock = self.life(index), self.world.dice("amigo-detail", index), self.world.clock
        call, late = self.call(index), self.late(index)
        done = life.ended <= clock
        turns = self._turns(index)
        handed_over = call.get("escalation_status") in HANDED_OVER and bool(turns)

        def there(at: int | None) -> bool:
            return done and at is not None and at <= clock

        row: Row = {
            "id": self.world.uuid("amigo", index),
            "call_sid": self.sid(index),
            "workspace_id": self.workspace_id,
            **{name: call.get(name) for name in ("service_id", "caller_id", "phone_number", "direction", "source")},
            **{name: call.get(name) for name in ("run_id", "parent_session_id", "fork_turn_index", "quality_score")},
            **{name: call.get(name) for name in ("final_state", "completion_reason")},
            "status": call.get("status"),
            "error": "carrier error" if life.outcome == "failed" and done else None,
            "call_start_time": _moment(self.started(index)),
            "call_end_time": _moment(life.ended) if done else None,
            "call_duration_seconds": (life.ended - life.connected) / SECOND if done else 0.0,
            "media_start_time": _moment(life.connected) if turns else None,
            "config": self._config(dice) if dice.random() < 0.9 else None,
            "turns": turns,
            "states_visited": [turn["state"] for turn in turns[:3]],
            "triggered_behaviors": [label(dice)] if dice.random() < 0.2 else [],
            "emotional_summary": _emotions(dice) if done and turns and dice.random() < 0.7 else None,
            "forwarding": self._forwarding(dice, life.ended)
            if call.get("completion_reason") == "transferred"
            else None,
            "conference_sid": f"CF{self.world.id('amigo-conference', index)}" if handed_over else None,
            "participants": self._participants(index, handed_over=handed_over) if turns else [],
            "barge_in_events": [_barge_in(dice) for turn in turns if turn["interrupted"]][:2],
            **self._recording(index, has_recording=call.get("has_recording") is True),
            "timeline": self._timeline(index, turns) if done and life.ended > life.connected else None,
            **self._verified(index, turns, there=there(late.verified)),
            "call_analysis": {"outcome": "resolved", "n": 2**53 + 1} if there(late.analysis) else None,
            "score": round(dice.random(), 3) if self.simulated(index) else None,
            "score_rationale": label(dice) if self.simulated(index) else None,
            "escalation": self._escalation(index, call.get("escalation_status")),
            "safety": _safety(dice, life.ended) if turns and dice.random() < 0.5 else None,
            "human_segments": self._human_segments(index) if handed_over and done else [],
            "audit": {"event_count": index % 3, "latest_event": {"kind": "viewed"} if index % 3 else None},
            "conversation_summary": {"text": sentence(dice), "topics": [label(dice)]} if there(late.summary) else None,
            "safety_summary": {"level": index % 4} if there(late.safety) else None,
        }
        # Only id is required: some answers leave the empty rest out.
        if self.world.chance("amigo-detail-short", index) < 0.1:
            row = {key: value for key, value in row.items() if value not in (None, [])}
        if self.world.chance("amigo-detail-extra", index) < 0.1 or self.knobs.unknown_fields:
            row["sandbox_extra"] = {"kept": [None, 1e-7]}
        return row

    # --- what was said ----------------------------------------------------------------------

    def _turns(self, index: int) -> list[Row]:
        """Those that there have been by now, evenly over the call."""
        life = self.life(index)
        if life.outcome not in CONNECTED:
            return []
        dice = self.world.dice("amigo-turns", index)
        step = (life.ended - life.connected) // TURNS_AT_MOST
        starts = (life.connected + number * step for number in range(self.planned_turns(index)))
        return [self._turn(dice, index, number, at) for number, at in enumerate(starts) if at <= self.world.clock]

    def _turn(self, dice: random.Random, index: int, number: int, at: int) -> Row:
        roll = dice.random()
        row: Row = {
            # A UUID, or another text.
            "id": self.world.uuid("amigo-turn", index * TURNS_AT_MOST + number) if roll < 0.9 else f"turn-{number}",
            "trigger": "greeting" if number == 0 else "user_speech",
            # A turn can hold what both say, or nothing of either.
            "user_transcript": sentence(dice) if number and roll < 0.8 else None,
            "agent_transcript": sentence(dice) if roll > 0.1 else None,
            "interrupted": roll > 0.95,
            "state": f"state-{number // 10}",
            "timestamp": _moment(at) if roll > 0.02 else None,
            "stt_confidence": round(roll, 4),
        }
        if roll < 0.1:
            row |= self._rare(dice, number)
        return row

    def _rare(self, dice: random.Random, number: int) -> Row:
        """What few turns have; of the times in milliseconds no document says where 0 is."""
        begun = number * 1000.5
        tool: Row = {
            "tool_name": "lookup",
            "call_id": f"use-{number}",
            "input": {"deep": {"a": [None]}},
            "output": "{}",
        }
        if dice.random() < 0.5:
            tool |= {"output_truncated": True, "output_original_length": 90_000, "output_truncated_to": 2}
        tool |= {"duration_ms": 12.5, "succeeded": False, "error_message": label(dice), "protocol": "rest"}
        return {
            "agent_action": "speak",
            "filler_type": dice.choice((None, "nav")),
            "speaker_id": "speaker-1",
            "speaker_role": dice.choice((None, "caller")),
            "emotion_label": "calm",
            "emotion_valence": -0.25,
            "compound_emotions": dice.choice((None, [], [{"calm": 0.5}])),
            "eot_confidence": None,
            "tool_calls": [tool, {"tool_name": "bare"}],
            "state_transitions": [{"from_state": "a", "to_state": "b", "type": None, "nav_ms": 3, "annotation": "x"}],
            "inner_thoughts": [sentence(dice)],
            "engine_ms": 120,
            "user_speech_start_ms": begun,
            "user_speech_end_ms": begun + 400,
            "agent_speech_start_ms": begun + 500,
            "agent_speech_end_ms": None,
            "signal_kind": "speech",
            "state_before": "a",
            "state_after": "b",
            "tool_succeeded": False,
            "tool_ms": 12.5,
            "modality": "voice",
            "empathy_tier": 2,
            "decision_bearing": True,
        }

    def _human_segments(self, index: int) -> list[Row]:
        """Between the caller and the operator who has taken over."""
        life, dice = self.life(index), self.world.dice("amigo-human", index)
        return [
            {
                "speaker_role": ("operator", "caller")[number % 2],
                "transcript": sentence(dice),
                "timestamp": _moment(life.ended) if number else None,
            }
            for number in range(dice.randrange(1, 5))
        ]

    def _verified(self, index: int, turns: list[Row], *, there: bool) -> Row:
        """The corrected transcript: one text of all, some time after the call."""
        if not there:
            return {"verified_transcript": None, "verified_words": None, "transcript_accuracy": None}
        said = [turn[key] for turn in turns for key in ("user_transcript", "agent_transcript") if turn[key]]
        return {
            "verified_transcript": "\n".join(said),
            "verified_words": [{"word": word, "start": 0.5} for word in " ".join(said).split()[:3]],
            "transcript_accuracy": round(0.9 + self.world.chance("amigo-accuracy", index) / 10, 4),
            "per_turn_accuracy": [None if number % 5 == 0 else 0.97 for number in range(len(turns))],
        }

    # --- when it was to be heard ------------------------------------------------------------

    def _timeline(self, index: int, turns: list[Row]) -> Row | None:
        dice, life = self.world.dice("amigo-timeline", index), self.life(index)
        if dice.random() < 0.3:
            return None
        origin = dice.choice(ORIGINS)
        talked = (life.ended - life.connected) / SECOND
        zero = (life.connected - life.created) / SECOND if origin == "call_start" else 0.0
        places, segments = [], []
        for number, turn in enumerate(turns):
            start = zero + number * talked / TURNS_AT_MOST
            end = start + talked / TURNS_AT_MOST
            places.append({"turn_index": number, "seek_to": start, "active_start": start, "active_end": end})
            segments += self._segments(number, turn, start, end)
        row: Row = {
            "turns": places,
            "segments": segments,
            "duration_seconds": zero + talked,
            "timebase": {"unit": "seconds", "origin": origin, "start": zero, "end": zero + talked},
            "lanes": [{"id": "lane-agent", "track": "agent", "label": "Agent", "order": 0, "actor": None}],
            "total_user_speech_seconds": talked / 2,
            "total_silence_seconds": 0.0,
            "avg_processing_gap_ms": 310.25,
            "max_processing_gap_ms": None,
        }
        if origin == "media_start" and dice.random() < 0.5:
            # That is the default.
            del row["timebase"]["origin"]
        return row

    @staticmethod
    def _segments(number: int, turn: Row, start: float, end: float) -> list[Row]:
        """What the caller says comes before what the agent says."""
        middle = (start + end) / 2
        spoken = "greeting" if number == 0 else "interrupted_speech" if turn["interrupted"] else "agent_speech"
        found: list[Row] = []
        if turn["user_transcript"] is not None:
            actor = {"kind": "human", "role": "caller", "label": "Caller", "participant_id": None}
            found.append({"type": "caller_speech", "lane": "caller", "start": start, "end": middle, "actor": actor})
        if turn["agent_transcript"] is not None:
            found.append({"type": spoken, "lane": "agent", "start": middle, "end": end, "lane_id": "lane-agent"})
        if not found:
            found.append({"type": "silence", "lane": "events", "start": start, "end": end})
        return [{**segment, "label": segment["type"], "turn_index": number} for segment in found]

    # --- who, and what else -----------------------------------------------------------------

    def _config(self, dice: random.Random) -> Row:
        return {
            "agent_id": self.world.uuid("amigo-agent", dice.randrange(3)),
            "agent_version": dice.choice((None, 7)),
            "agent_name": label(dice),
            "context_graph_id": None,
            "initial_state": "state-0",
        }

    def _participants(self, index: int, *, handed_over: bool) -> list[Row]:
        life = self.life(index)
        over = life.ended <= self.world.clock
        left = _moment(life.ended) if over else None
        joined = iso(life.connected, 6)
        roles = ("caller", "agent", "operator") if handed_over else ("caller", "agent")
        return [{"participant_id": f"p-{role}", "role": role, "joined_at": joined, "left_at": left} for role in roles]

    @staticmethod
    def _forwarding(dice: random.Random, at: int) -> Row:
        row: Row = {"forward_to": phone(dice), "should_disconnect": dice.random() < 0.5}
        return row if dice.random() < 0.5 else {**row, "warm_transfer": False, "forwarded_at": _moment(at)}

    def _recording(self, index: int, *, has_recording: bool) -> Row:
        life = self.life(index)
        if not has_recording:
            return {"recording_path": None, "twilio_recording_sid": None, "has_recording": False}
        return {
            "recording_path": f"recordings/{self.sid(index)}",
            "twilio_recording_sid": f"RE{self.world.id('amigo-twilio', index)}",
            "twilio_recording_duration": (life.ended - life.connected) / SECOND,
            "has_recording": True,
        }

    def _escalation(self, index: int, status: str | None) -> Row | None:
        if status is None:
            return None
        row: Row = {"status": status, "immediate": False, "wait_seconds": None}
        if status != "none":
            at = _moment(self.life(index).connected)
            # A time, or another text.
            row["requested_at"] = at if index % 3 else "a moment ago"
            row["operator_entity_id"] = self.world.uuid("amigo-operator", 0) if index % 2 else "operator-7"
            row |= {"similarity": 0.875, "connected_at": None, "human_segment_turn_count": 2}
        return row


def _emotions(dice: random.Random) -> Row:
    return {
        "dominant_emotion": "calm",
        "average_valence": round(dice.random() - 0.5, 4),
        "peak_negative_valence": None,
        "emotional_shifts": dice.randrange(9),
        "compound_emotions": dice.choice((None, [{"calm": 1}])),
    }


def _barge_in(dice: random.Random) -> Row:
    row: Row = {"type": "barge_in", "interrupted_text": sentence(dice), "discarded_texts": [sentence(dice)]}
    return row if dice.random() < 0.5 else {"total_barge_ins": 1}


def _safety(dice: random.Random, at: int) -> Row:
    match: dict[str, Any] = {"concept": "distress", "similarity": 0.5, "at": dice.choice((None, _moment(at), "turn 3"))}
    return {
        "peak_concern_level": dice.randrange(4),
        "concern_turn_count": 1,
        "triage_history": [{"level": 1}],
        "concept_matches": [match],
    }
