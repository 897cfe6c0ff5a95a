"""Who works with Quo, and over which lines."""

from __future__ import annotations

from typing import Any

from ..text import label
from ..world import HOUR, iso
from .base import Row, Stream
from .quo_calls import QuoCalls


class QuoPeople(QuoCalls):
    """Users and phone numbers: some from the beginning, more as time goes by."""

    def users(self) -> int:
        return self.world.visible("quo-user")

    def numbers(self) -> int:
        return self.world.visible("quo-number")

    def user(self, index: int) -> Row:
        dice = self.world.dice("quo-user-row", index)
        added, changed = self._moments("quo-user", index)
        row: Row = {
            "id": self.uid(index),
            "email": f"user{index}@example.com",
            "firstName": dice.choice((None, label(dice))),
            "lastName": dice.choice((None, label(dice))),
            "pictureUrl": dice.choice((None, f"https://example.com/{index}.png")),
            "role": dice.choice(("admin", "member")) if index else "owner",
            "createdAt": added,
            "updatedAt": changed,
        }
        if self.knobs.unknown_fields:
            row["sandboxExtra"] = ""
        return row

    def phone_number(self, index: int) -> Row:
        dice = self.world.dice("quo-number-row", index)
        added, changed = self._moments("quo-number", index)
        ported = dice.random() < 0.2
        row: Row = {
            "id": self._pnid(index),
            "groupId": f"GR{self.world.id('quo-group', index, 10)}",
            "name": label(dice),
            "phoneNumber": self._number(index),
            "formattedNumber": dice.choice((None, f"(415) 555-{index:04d}")),
            "forward": dice.choice((None, None, "+14155550123")),
            "portRequestId": f"port-{index}" if ported else None,
            "portingStatus": "completed" if ported else None,
            "symbol": dice.choice((None, "\U0001f4de")),
            "createdAt": added,
            "updatedAt": changed,
            "restrictions": {
                kind: {place: dice.choice(("restricted", "unrestricted")) for place in ("CA", "Intl", "US")}
                for kind in ("calling", "messaging")
            },
        }
        if self.knobs.unknown_fields:
            row["sandboxExtra"] = None
        return row

    def v1_phone_number(self, index: int) -> Row:
        """The same line in the older version: another name for the number, and the users within."""
        row = self.phone_number(index)
        user = self.user(0)
        member = {name: user[name] for name in ("email", "firstName", "lastName", "id", "role")}
        row["number"] = row.pop("phoneNumber")
        row.pop("sandboxExtra", None)
        return {**row, "users": [{**member, "groupId": row["groupId"]}]}

    def streams(self) -> dict[str, Stream[Any]]:
        return {
            **super().streams(),
            "quo_users": Stream(lambda: range(self.users()), lambda index: (self.uid(index),), self.user),
            "quo_phone_numbers": Stream(
                lambda: range(self.numbers()), lambda index: (self._pnid(index),), self.phone_number
            ),
        }

    def _moments(self, kind: str, index: int) -> tuple[str, str]:
        """When it was added and last changed."""
        added = self.world.times(kind)[index]
        changed = added + self.world.dice(f"{kind}-change", index).randrange(0, 3 * HOUR)
        return iso(added), iso(changed if changed <= self.world.clock else added)
