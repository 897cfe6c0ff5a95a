"""Who called whom."""

from collections.abc import Mapping
from typing import Any


def numbers(call: Mapping[str, Any]) -> dict[str, str | None]:
    """The `calling` and the `called` number, where each side of the call has one participant.

    A participant with an `actorId` is of the workspace.
    Source: https://www.quo.com/docs/2026-03-30/calls/list-calls
    """
    participants = call.get("participants")
    members: list[Any] = []
    others: list[Any] = []
    for participant in participants if isinstance(participants, list) else []:
        if isinstance(participant, Mapping):
            (members if participant.get("actorId") else others).append(participant.get("phoneNumber"))
    own, other = (side[0] if len(side) == 1 else None for side in (members, others))
    if call.get("direction") == "incoming":
        return {"calling": other, "called": own}
    if call.get("direction") == "outgoing":
        return {"calling": own, "called": other}
    return {"calling": None, "called": None}
