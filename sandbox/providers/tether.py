"""Tether.

https://docs.tetherai.ca/api-reference/calls/list-calls-with-filters
https://docs.tetherai.ca/api-reference/calls/get-a-single-call-by-id
https://docs.tetherai.ca/llms.txt ("Get a call recording")
https://docs.tetherai.ca/authentication
"""

from __future__ import annotations

import base64
import hmac
import json
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from aiohttp import web

from ..text import label, phone, sentence
from ..world import DAY, SECOND, World, iso
from .base import Provider, Row, Stream, answer, delay, soon, talk

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from ..knobs import Knobs
    from ..media import Media
    from ..storage import Storage

EMAIL = "user@example.com"
PASSWORD = "sandbox-tether-password"


@dataclass(frozen=True)
class _Life:
    created: int
    answered: int
    ended: int
    outcome: str
    provider: str
    recorded: int | None
    transcribed: int | None


class Tether(Provider):
    name = "tether"

    def __init__(self, world: World, knobs: Knobs, storage: Storage) -> None:
        super().__init__(world, knobs, storage)
        self.life = lru_cache(maxsize=8192)(self._life)
        # Every page of a list needs the whole list: kept until the clock moves.
        self._listed = lru_cache(maxsize=4)(self._list)
        self.static_token = self._jwt({"sub": "sandbox", "static": True})
        self._generation = 0  # tokens of an older generation have expired

    def config(self) -> Row:
        return {"base_url": self.base_url, "credentials": {"auth_type": "token", "access_token": self.static_token}}

    def login_credentials(self) -> Row:
        return {"auth_type": "login", "email": EMAIL, "password": PASSWORD}

    # --- data -------------------------------------------------------------------------------

    def _life(self, index: int) -> _Life:
        dice = self.world.dice("tether-life", index)
        created = self.created(index)
        answered = created + dice.randrange(3, 40) * SECOND
        outcome = dice.choices(("completed", "no-answer", "busy", "failed"), (80, 10, 5, 5))[0]
        talked = talk(dice) * SECOND if outcome == "completed" else 0
        ended = answered + talked + dice.randrange(1000) * 1000
        provider = dice.choices(
            ("sinch", "twilio", "elevenlabs", "external", "unsupported-carrier"), (38, 22, 22, 15, 3)
        )[0]
        recorded = transcribed = None
        if outcome == "completed" and dice.random() < 0.92:
            recorded = ended + delay(dice)
            if dice.random() < 0.75:
                transcribed = recorded + soon(dice)
        return _Life(created, answered, ended, outcome, provider, recorded, transcribed)

    def cid(self, index: int) -> str:
        return self.world.uuid("tether", index)

    def deleted(self, index: int) -> bool:
        if self.world.chance("tether-deleted", index) >= 0.02:
            return False
        days = 3 + 17 * self.world.chance("tether-deleted-after", index)
        return self.created(index) + int(days * DAY) <= self.world.clock

    def call(self, index: int, populated: bool | None = None) -> Row:
        """A call; its contact and user are ids or (always in the single call) objects."""
        life, dice = self.life(index), self.world.dice("tether-row", index)
        clock = self.world.clock
        done, answered = life.ended <= clock, life.answered <= clock
        recorded = self.has_recording(index)
        if populated is None:
            populated = index % 10 == 3
        status = life.outcome if done else "in-progress" if answered else "initiated"
        if not done and life.outcome != "completed":
            status = "initiated"
        contact = self._person("contact", dice.randrange(40), populated)
        user = self._person("user", dice.randrange(6), populated)
        updated = life.created
        for moment in (life.answered, life.ended, life.recorded, life.transcribed):
            if moment is not None and moment <= clock:
                updated = moment
        talked = life.outcome == "completed"
        row: Row = {
            "_id": self.world.id("tether-oid", index, 24),
            "callId": self.cid(index),
            "provider": life.provider,
            "providerCallId": dice.choice((self.cid(index), f"pc-{index}", None)),
            "direction": self._direction(index),
            "status": status,
            "from": phone(dice),
            "to": phone(dice),
            "contactId": dice.choice((contact, contact, contact, None)),
            "conversationId": self.world.id("tether-conversation", index, 24),
            "organizationId": self.world.id("tether-organization", 0, 24),
            "userId": dice.choice((user, user, None)),
            "providerPhoneNumber": phone(dice),
            "startTime": iso(life.created),
            "answerTime": iso(life.answered) if answered and talked else None,
            "endTime": iso(life.ended) if done else None,
            "duration": (life.ended - life.answered) // SECOND if done and talked else None,
            "recordings": [{"recordingId": self._rid(index)}] if recorded else [],
            "createdAt": iso(life.created),
            "updatedAt": iso(updated),
        }
        if dice.random() < 0.15:
            row = {key: value for key, value in row.items() if value is not None}
        if dice.random() < 0.15 or self.knobs.unknown_fields:
            row["sandboxExtra"] = {"tags": [label(dice)], "n": -1e-300}
        return row

    def _person(self, kind: str, number: int, populated: bool) -> str | Row:
        oid = self.world.id(f"tether-{kind}", number, 24)
        if not populated:
            return oid
        return {"_id": oid, "fullName": f"Example {kind} {number} \u2728", "email": None}

    def _direction(self, index: int) -> str:
        return "inbound" if self.world.chance("tether-direction", index) < 0.5 else "outbound"

    def _rid(self, index: int) -> str:
        return f"rec_{self.world.id('tether-recording', index, 16)}"

    def has_recording(self, index: int) -> bool:
        life = self.life(index)
        return (
            life.recorded is not None
            and life.recorded <= self.world.clock
            and life.provider != "unsupported-carrier"
            and not self.deleted(index)
        )

    def recording(self, index: int) -> Row:
        """Twilio's audio comes inside, everybody else's behind a signed URL."""
        life, dice = self.life(index), self.world.dice("tether-recording", index)
        media = self._file(index)
        row: Row = {"success": True}
        if life.provider == "twilio":
            body = base64.b64encode(b"".join(media.read())).decode()
            row["audioData"] = f"data:{media.content_type};base64,{body}"
        else:
            row["audioUrl"] = self.storage.url(self.name, self.cid(index), media.extension)
        optional: Row = {
            "duration": dice.choice(((life.ended - life.answered) / SECOND, 1e15, 0)),
            "recordingId": self._rid(index),
            "direction": self._direction(index),
            "from": phone(dice),
            "to": phone(dice),
        }
        row.update({key: value for key, value in optional.items() if dice.random() < 0.95})
        ready = life.transcribed is not None and life.transcribed <= self.world.clock
        row["transcriptionText"] = "Agent: " + sentence(dice) if ready else None
        row["transcriptionData"] = _utterances(dice) if ready else None
        if not ready and dice.random() < 0.3:
            del row["transcriptionText"], row["transcriptionData"]
        if dice.random() < 0.15 or self.knobs.unknown_fields:
            row["sandboxExtra"] = {"\u00e9": 1}
        return row

    def _file(self, index: int) -> Media:
        mime = "audio/wav" if self.world.chance("tether-mime", index) < 0.3 else "audio/mpeg"
        return self.make_media(self.cid(index), mime)

    def media(self, media_id: str) -> Media | None:
        index = self.known("tether", media_id)
        return self._file(index) if index is not None and self.has_recording(index) else None

    def listed(self) -> Sequence[int]:
        """The calls that the list holds now, in its order."""
        return self._listed(self.world.clock, self.knobs.undocumented_order)

    def _list(self, _: int, __: str) -> Sequence[int]:
        return self.arrange([i for i in range(self.count()) if not self.deleted(i)])

    def streams(self) -> dict[str, Stream[Any]]:
        def key(index: int) -> tuple[str]:
            return (self.cid(index),)

        def recorded() -> list[int]:
            return [index for index in range(self.count()) if self.has_recording(index)]

        def injected(index: int) -> Row:
            return {"callId": self.cid(index), "callCreatedAt": iso(self.created(index))}

        return {
            "tether_calls": Stream(self.listed, key, self.call),
            "tether_call_recordings": Stream(recorded, key, lambda index: {**self.recording(index), **injected(index)}),
            "tether_recording_files": Stream(
                recorded, key, lambda index: self.media_row(self.media(self.cid(index)), **injected(index))
            ),
        }

    # --- tokens -----------------------------------------------------------------------------

    def expire_tokens(self) -> None:
        """All tokens that a login has given out expire now."""
        self._generation += 1

    def _jwt(self, claims: Row) -> str:
        parts = [
            base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
            for part in ({"alg": "HS256", "typ": "JWT"}, claims)
        ]
        signed = b".".join(parts)
        signature = hmac.digest(f"tether/{self.world.seed}".encode(), signed, "sha256")
        return b".".join((signed, base64.urlsafe_b64encode(signature).rstrip(b"="))).decode()

    def _valid(self, token: str) -> bool:
        try:
            payload = token.split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        except (IndexError, ValueError):
            return False
        if not isinstance(claims, dict) or not hmac.compare_digest(self._jwt(claims), token):
            return False
        if claims.get("static"):
            return True
        late = time.time() >= claims["exp"] or self.world.clock >= claims["world_exp"]
        return not late and bool(claims["generation"] == self._generation)

    # --- http -------------------------------------------------------------------------------

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/api/auth/login", self.login),
            web.get("/api/auth/verify-token", self.verify_token),
            web.get("/api/calls/history", self.list_calls),
            web.get("/api/calls/{id}", self.get_call),
            web.get("/api/calls/{id}/recording", self.get_recording),
        ]

    def error(self, request: web.Request, status: int, message: str) -> Row:
        # `error` is a string here and an object there.
        if status == 400:
            return {
                "success": False,
                "error": {"code": "BAD_REQUEST", "message": message, "details": []},
                "code": "BAD_REQUEST",
            }
        return {"success": False, "error": message}

    def authorize(self, request: web.Request) -> None:
        if request.path == "/api/auth/login":
            return
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not self._valid(token):
            raise self.refuse(request, 401, "Token missing, expired or malformed")

    async def login(self, request: web.Request) -> web.Response:
        try:
            body = await request.json()
        except ValueError:
            body = None
        if not isinstance(body, dict) or not body.get("email") or not body.get("password"):
            raise self.refuse(request, 400, "email and password are required")
        if (body["email"], body["password"]) != (EMAIL, PASSWORD):
            raise self.refuse(request, 401, "Invalid credentials")
        ttl = self.knobs.tether_token_ttl
        claims = {
            "sub": self.world.id("tether-user", 0, 24),
            "exp": time.time() + ttl,
            "world_exp": self.world.clock + int(ttl * SECOND),
            "generation": self._generation,
        }
        user = {
            "id": claims["sub"],
            "email": EMAIL,
            "fullName": "Example user",
            "organizationId": self.world.id("tether-organization", 0, 24),
            "accessRole": "admin",
        }
        return answer({"token": self._jwt(claims), "user": user})

    async def verify_token(self, request: web.Request) -> web.Response:
        return answer({"message": "Token is good"})

    def _item(self, request: web.Request) -> int:
        index = self.known("tether", request.match_info["id"])
        if index is None or self.deleted(index):
            raise self.refuse(request, 404, "Call not found")
        return index

    async def get_call(self, request: web.Request) -> web.Response:
        return answer({"success": True, "call": self.call(self._item(request), populated=True)})

    async def get_recording(self, request: web.Request) -> web.Response:
        index = self._item(request)
        if self.life(index).provider == "unsupported-carrier":
            raise self.refuse(request, 400, "Unsupported provider")
        if not self.has_recording(index):
            raise self.refuse(request, 404, "Recording not found")
        return answer(self.recording(index))

    async def list_calls(self, request: web.Request) -> web.Response:
        query = request.query
        # Strings that are "parsed to int"; what cannot be parsed means the default.
        limit, offset = _parsed(query.get("limit"), 50), _parsed(query.get("offset"), 0)
        wanted = {key: query[key] for key in ("contactId", "userId", "status") if key in query}
        items = self.listed()
        if wanted:
            items = [index for index in items if self._matches(index, wanted)]
        rows = [self.call(index) for index in items[offset : offset + limit]]
        return answer({"success": True, "calls": rows, "total": len(items)})

    def _matches(self, index: int, wanted: dict[str, str]) -> bool:
        row = self.call(index, populated=False)
        return all(row.get(name) == value for name, value in wanted.items())


def _parsed(text: str | None, default: int) -> int:
    try:
        return max(0, int(text or 0)) or default
    except ValueError:
        return default


def _utterances(dice: random.Random) -> list[Row] | Row | None:
    """Shaped by the provider: a list, an object, or nothing."""
    rows = [
        {"role": role, "message": sentence(dice), "timestamp": turn * 2.3}
        for turn, role in enumerate(("agent", "user") * dice.randrange(3))
    ]
    return dice.choice((rows, rows, {"utterances": rows, "confidence": dice.random()}, None))
