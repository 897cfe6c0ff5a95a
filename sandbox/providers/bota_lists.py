"""What Bota lists beside recordings and transcriptions: summaries, end users and devices.

https://docs.bota.dev/api-reference/ai/summaries/get
https://docs.bota.dev/api-reference/devices/list
https://github.com/bota-dev/examples
"""

from __future__ import annotations

from abc import ABC
from typing import TYPE_CHECKING, Any

from ..text import label, sentence
from ..world import HOUR, SECOND
from .base import Row, Stream, soon
from .bota_recordings import BotaRecordings, stamp

if TYPE_CHECKING:
    import random

# So many at first: more than a page of each. Recordings name the first 50 and the first 20 of them.
END_USERS = 130
DEVICES = 110


class BotaLists(BotaRecordings, ABC):
    # --- summaries: one of many a completed transcription, under the number of its job

    def sid(self, job: int) -> str:
        return f"sum_{self.world.id('bota-summary', job, 20)}"

    def summarized(self, job: int) -> int:
        """When the summary was asked for."""
        return self.transcribed(job) + int(self.world.chance("bota-summarized", job) * HOUR)

    def has_summary(self, job: int) -> bool:
        wanted = self.is_completed(job) and self.world.chance("bota-summary-wanted", job) < 0.7
        return wanted and self.summarized(job) <= self.world.clock

    def summaries(self) -> list[int]:
        """Oldest first. The summary of a transcription that was replaced stays."""
        jobs = {kept for job in self.jobs() for kept in range(job // 2 * 2, job + 1)}
        return sorted(filter(self.has_summary, jobs), key=self.summary_time)

    def summary_time(self, job: int) -> tuple[int, int]:
        return self.summarized(job), int(self.sid(job)[4:], 16)

    def summary(self, job: int) -> Row:
        dice, clock = self.world.dice("bota-summary", job), self.world.clock
        asked = self.summarized(job)
        began, ended = asked + 10 * SECOND, asked + soon(dice)
        outcome = dice.choices(("completed", "failed", "processing"), (90, 7, 3))[0]
        status = outcome if ended <= clock else "processing" if began <= clock else "pending"
        template = dice.choice(("tmpl_general_notes", "tmpl_sales_call", None))
        row: Row = {
            "id": self.sid(job),
            "project_id": "proj_sandbox",
            "transcription_id": self.tid(job),
            "status": status,
            "template_id": template,
            "provider": dice.choice(("gemini", "openai", "claude")),
            "custom_prompt": sentence(dice) if template is None else None,
            "output": _output(dice, template) if status == "completed" else None,
            "error_message": "The transcript is too short" if status == "failed" else None,
            "started_at": None if status == "pending" else stamp(began),
            "completed_at": stamp(ended) if status in ("completed", "failed") else None,
            "created_at": stamp(asked),
            "updated_at": stamp(ended if status in ("completed", "failed") else asked),
        }
        if dice.random() < 0.1 or self.knobs.unknown_fields:
            row["sandbox_extra"] = True
        return row

    def summary_of(self, text: str) -> int | None:
        """The number of the summary with this id, if it is there."""
        job = self.world.find("bota-summary", text[4:]) if text.startswith("sum_") else None
        return job if job is not None and job in self.summaries() else None

    # --- end users and devices: many before the first recording, then now and then a new one

    def end_users(self) -> range:
        return self._known(END_USERS, 8 * HOUR)

    def devices(self) -> range:
        return self._known(DEVICES, 24 * HOUR)

    def _known(self, at_first: int, every: int) -> range:
        return range(at_first + (self.world.clock - self.world.start) // every)

    def _born(self, number: int, at_first: int, every: int) -> int:
        """Some at the same moment."""
        if number < at_first:
            return self.world.beginning - (at_first - number) // 3 * 2 * HOUR
        return self.world.start + (number - at_first + 1) * every

    def end_user(self, number: int) -> Row:
        dice = self.world.dice("bota-end-user", number)
        born = self._born(number, END_USERS, 8 * HOUR)
        row: Row = {
            "id": f"eu_{number:06d}",
            "external_id": dice.choice((None, f"crm-{number}")),
            "name": dice.choice((None, label(dice))),
            "email": dice.choice((None, f"person{number}@example.com")),
            "metadata": dice.choice((None, {"team": label(dice)})),
            "created_at": stamp(born),
            "updated_at": stamp(born),
        }
        if dice.random() < 0.5:
            row["project_id"] = "proj_sandbox"
            row["deleted_at"] = None
        if dice.random() < 0.1 or self.knobs.unknown_fields:
            row["sandbox_extra"] = True
        return row

    def device(self, number: int) -> Row:
        dice = self.world.dice("bota-device", number)
        born = self._born(number, DEVICES, 24 * HOUR)
        bound = dice.random() < 0.7
        row: Row = {
            "id": f"dev_{number:06d}",
            "serial_number": f"SN{dice.randrange(10**9):09d}",
            "model": dice.choice(("bota_pin", "bota_note", "bota_pin_pro")),
            "firmware_version": dice.choice((None, "1.4.2")),
            "status": "bound" if bound else "unbound",
            "end_user_id": f"eu_{dice.randrange(50):06d}" if bound else None,
            "battery_percent": dice.choice((None, dice.randrange(101))),
            "storage_used_mb": dice.choice((None, dice.randrange(32_000))),
            "storage_total_mb": 32_000,
            "signal_strength_dbm": dice.choice((None, -dice.randrange(30, 90))),
            "last_heartbeat_at": dice.choice((None, stamp(self.world.clock - dice.randrange(HOUR)))),
            "recording_state": dice.choice((None, _state(dice))),
            "metadata": dice.choice((None, {"room": label(dice)})),
            "created_at": stamp(born),
            "updated_at": stamp(born),
        }
        if self.knobs.bota_revision == "offset":
            row["device_type"] = row.pop("model")
            row["bound_at"] = stamp(born) if bound else None
        elif dice.random() < 0.5:
            row["binding_generation"] = int(bound)
            row["deleted_at"] = None
        if dice.random() < 0.1 or self.knobs.unknown_fields:
            row["sandbox_extra"] = True
        return row

    def streams(self) -> dict[str, Stream[Any]]:
        return {
            **super().streams(),
            "bota_summaries": Stream(self.summaries, lambda job: (self.sid(job),), self.summary),
            "bota_end_users": Stream(self.end_users, lambda number: (f"eu_{number:06d}",), self.end_user),
            "bota_devices": Stream(self.devices, lambda number: (f"dev_{number:06d}",), self.device),
        }


def _output(dice: random.Random, template: str | None) -> Row:
    """By the template, or what the customer's own prompt leads to."""
    if template != "tmpl_general_notes":
        return {"answer": sentence(dice), "deep": {"list": [1, None]}}
    names = ("key_points", "action_items", "participants", "decisions")
    return {"overview": sentence(dice), **{name: [sentence(dice) for _ in range(dice.randrange(3))] for name in names}}


def _state(dice: random.Random) -> Row:
    return {
        "device_state": dice.choice(("idle", "recording")),
        "pending_recordings": dice.randrange(5),
        "flags": dice.randrange(8),
        "connection_type": ["wifi"],
    }
