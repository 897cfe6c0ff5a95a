"""Asks the sandbox, and holds every answer against the providers' public documents, `sandbox/documents/*.json`.

Objects count as closed, so that a misspelt field cannot hide as an unknown one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import requests
from jsonschema import Draft202012Validator, FormatChecker

import sandbox
from sandbox import Sandbox

NOW = datetime(2026, 6, 1, 12, tzinfo=timezone.utc)
ROOT = Path(sandbox.__path__[0]).parent
DOCUMENTS = {path.stem: json.loads(path.read_text("utf-8")) for path in ROOT.glob("sandbox/documents/*.json")}
EXTRAS: dict[str, Any] = {"sandbox_extra": True, "sandboxExtra": True}
Row = dict[str, Any]


def closed(schema: Any) -> Any:
    """The same schema, with no other properties than those it names and the sandbox's extras."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    result = {name: closed(part) for name, part in schema.items()}
    if isinstance(schema.get("properties"), dict) and "$ref" not in schema:
        extras = {} if schema.get("additionalProperties") is False else EXTRAS
        result["properties"] = {**closed(schema["properties"]), **extras}
        result["additionalProperties"] = False
    return result


def pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template)) + r"\Z")


class Answers:
    """The schemas of one provider's answers."""

    def __init__(self, provider: str) -> None:
        document = DOCUMENTS[provider]
        self._validators: list[tuple[str, re.Pattern[str], dict[str, Draft202012Validator]]] = []
        # The most literal template first: history before {callId}, {id}.mp3 before {id}.
        for name in sorted(document["answers"], key=lambda name: (name.count("{"), -len(name))):
            by_status = document["answers"][name]
            method, path = name.split(" ")
            validators = {
                status: Draft202012Validator(
                    {"$defs": closed(document["$defs"]), **closed(schema)}, format_checker=FormatChecker()
                )
                for status, schema in by_status.items()
            }
            self._validators.append((method, pattern(path), validators))

    def check(self, method: str, path: str, status: int, body: Any) -> None:
        for known, template, validators in self._validators:
            if known == method and template.match(path):
                assert str(status) in validators, f"{method} {path}: {status} is not documented"
                validators[str(status)].validate(body)
                return
        assert status == 404, f"{method} {path} is not documented and yet answers {status}"


ANSWERS = {provider: Answers(provider) for provider in DOCUMENTS}
ERROR_ENVELOPES = {
    "bird": {"code", "message"},
    "amigo": {"detail"},
    "quo": {"message", "docs", "title"},
    "bota": {"error"},
    "tether": {"success", "error"},
}


class Client:
    """Asks a sandbox with the right credentials and holds the answers against the documents."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.config = sandbox.config()
        self.session = requests.Session()
        bearer = {
            "amigo": self.config["amigo"]["api_key"],
            "bota": self.config["bota"]["api_key"],
            "tether": self.config["tether"]["credentials"]["access_token"],
        }
        self.headers = {
            "bird": {"Authorization": f"AccessKey {self.config['bird']['access_key']}"},
            "quo": {"Authorization": self.config["quo"]["api_key"], "Quo-Api-Version": "2026-03-30"},
            **{name: {"Authorization": f"Bearer {key}"} for name, key in bearer.items()},
        }

    def ask(
        self,
        provider: str,
        path: str,
        params: Row | None = None,
        *,
        method: str = "GET",
        headers: dict[str, str] | None = None,
        body: Any = None,
        timeout: float = 10,
    ) -> requests.Response:
        response = self.session.request(
            method,
            self.config[provider]["base_url"] + path,
            params=params,
            headers=self.headers[provider] if headers is None else headers,
            json=body,
            allow_redirects=False,
            timeout=timeout,
        )
        if response.headers.get("Content-Type", "").startswith("application/json"):
            parsed = response.json()
            ANSWERS[provider].check(method, path, response.status_code, parsed)
            if response.status_code >= 400:
                assert set(parsed) >= ERROR_ENVELOPES[provider]
        return response

    def ok(self, provider: str, path: str, params: Row | None = None) -> Any:
        response = self.ask(provider, path, params)
        assert response.status_code == 200, response.text
        return response.json()

    # --- lists ------------------------------------------------------------------------------

    def path(self, stream: str) -> tuple[str, str]:
        bird = f"/workspaces/{self.config['bird']['workspace_id']}"
        amigo = f"/v1/{self.config['amigo']['workspace_id']}"
        return {
            "bird_recordings": ("bird", f"{bird}/recordings"),
            "bird_transcriptions": ("bird", f"{bird}/transcriptions"),
            "bird_calls": ("bird", f"{bird}/channels/calls"),
            "amigo_calls": ("amigo", f"{amigo}/calls"),
            "quo_calls": ("quo", "/calls"),
            "quo_users": ("quo", "/users"),
            "quo_phone_numbers": ("quo", "/phone-numbers"),
            "bota_recordings": ("bota", "/v1/recordings"),
            "tether_calls": ("tether", "/api/calls/history"),
        }[stream]

    def list(self, stream: str, params: Row | None = None) -> list[Row]:
        """All pages of a list, as the documents say that one pages."""
        (provider, path), params = self.path(stream), {**INCLUDED.get(stream, {}), **(params or {})}
        rows: list[Row] = []
        while True:
            body = self.ok(provider, path, params)
            if provider == "bird":
                rows += body["results"]
                following: Row = {"pageToken": body.get("nextPageToken")}
            elif provider == "amigo":
                rows += body["items"]
                following = {"continuation_token": body["continuation_token"]}
                assert body["has_more"] == (body["continuation_token"] is not None)
            elif provider == "quo":
                rows += body["data"]
                following = {"after": body["nextCursor"]}
            elif provider == "bota":
                rows += body["data"]
                if self.sandbox.knobs.bota_revision == "cursor":
                    assert body["has_more"] == ("next_cursor" in body)
                    following = {"cursor": body.get("next_cursor")}
                else:
                    assert "next_cursor" not in body
                    following = {"offset": len(rows) if body["has_more"] else None}
            else:
                rows += body["calls"]
                following = {"offset": len(rows) if len(rows) < body["total"] else None}
            if next(iter(following.values())) is None:
                return rows
            params.update(following)


INCLUDED = {"quo_phone_numbers": {"include": "restrictions"}}
"""What a list gives only to those who ask for it."""

KEYS = {
    "bird_recordings": "id",
    "bird_transcriptions": "id",
    "bird_calls": "id",
    "amigo_calls": "entity_id",
    "quo_calls": "id",
    "quo_users": "id",
    "quo_phone_numbers": "id",
    "bota_recordings": "id",
    "tether_calls": "callId",
}
STREAMS = list(KEYS)


def keys(stream: str, rows: list[Row]) -> list[tuple[Any, ...]]:
    return [(row[KEYS[stream]],) for row in rows]


def keyed(client: Client, stream: str) -> dict[Any, Row]:
    return dict(zip(client.sandbox.truth(stream), client.sandbox.rows(stream), strict=True))


def signed_urls(client: Client) -> Iterator[tuple[str, str, str]]:
    """One (provider, media id, url) of each kind that points to the storage host."""
    rid = client.sandbox.truth("bird_recording_files")[0][0]
    path = f"{client.path('bird_recordings')[1]}/{rid}.mp3"
    redirect = client.ask("bird", path)
    assert redirect.status_code == 307
    yield "bird", rid, redirect.headers["Location"]
    rows = client.sandbox.rows("quo_call_recordings")
    row = next(row for row in rows if row["url"])
    yield "quo", row["id"], row["url"]
    calls = client.list("quo_calls", {"include": "voicemail", "limit": 50})
    left = next(row["voicemail"] for row in calls if row["voicemail"] and row["voicemail"]["recordingUrl"])
    yield "quo", left["id"], left["recordingUrl"]
    recording = next(row for row in client.sandbox.rows("bota_recordings") if len(row["media"]) > 1)
    for media in recording["media"]:
        if media["status"] == "uploaded":
            path = f"/v1/recordings/{recording['id']}/download-url"
            answer = client.ask("bota", path, method="POST", body={"media_id": media["id"]}).json()
            assert answer["file_size_bytes"] == media["file_size_bytes"]
            yield "bota", media["id"], answer["download_url"]
    rows = client.sandbox.rows("tether_call_recordings")
    row = next(row for row in rows if "audioUrl" in row)
    yield "tether", row["callId"], row["audioUrl"]
