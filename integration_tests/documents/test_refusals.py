"""What is refused, in each provider's own envelope: wrong requests, wrong credentials, a plan that is too small."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import requests

from integration_tests.documents.client import DOCUMENTS, ERROR_ENVELOPES, STREAMS, Client, Row
from sandbox.providers import tether as tether_module

ERRORS: list[tuple[str, str, Row, int]] = [
    ("bird", "{bird}/recordings", {"limit": 0}, 422),
    ("bird", "{bird}/recordings", {"limit": 100}, 422),
    ("bird", "{bird}/recordings", {"limit": "ten"}, 422),
    ("bird", "{bird}/recordings", {"startAt": "2026-06-01"}, 422),
    ("bird", "{bird}/recordings", {"status": "done"}, 422),
    ("bird", "{bird}/recordings", {"id": "7"}, 422),
    ("bird", "{bird}/recordings", {"pageToken": "made-up"}, 422),
    ("bird", "{bird}/recordings/not-a-uuid", {}, 422),
    ("bird", "{bird}/recordings/{nobody}", {}, 404),
    ("bird", "{bird}/recordings/{nobody}.mp3", {}, 404),
    ("bird", "{bird}/transcriptions", {"limit": 100}, 422),
    ("bird", "{bird}/transcriptions/{nobody}", {}, 404),
    ("bird", "{bird}/transcriptions/{nobody}.vtt", {}, 404),
    ("bird", "{bird}/transcriptions/not-a-uuid.vtt", {}, 422),
    ("bird", "{bird}/channels/calls", {"limit": 1001}, 422),
    ("bird", "{bird}/channels/calls", {"startAt": "2026-06-01"}, 422),
    ("bird", "{bird}/channels/calls", {"channelId": "7"}, 422),
    ("bird", "{bird}/channels/calls", {"direction": "up"}, 422),
    ("bird", "/workspaces/{nobody}/recordings", {}, 404),
    ("bird", "/workspaces", {}, 404),
    ("amigo", "{amigo}/calls", {"limit": 101}, 422),
    ("amigo", "{amigo}/calls", {"limit": 0}, 422),
    ("amigo", "{amigo}/calls", {"offset": -1}, 422),
    ("amigo", "{amigo}/calls", {"continuation_token": "x"}, 422),
    ("amigo", "{amigo}/calls", {"date_from": "2026-06-01T00:00:00Z"}, 422),
    ("amigo", "{amigo}/calls", {"date_to": "yesterday"}, 422),
    ("amigo", "{amigo}/calls/CA00", {}, 404),
    ("amigo", "{amigo}/calls/{nobody}", {}, 404),
    ("amigo", "{amigo}/recordings/CA00/urls", {}, 404),
    ("amigo", "{amigo}/recordings/CA00/metadata", {}, 404),
    ("amigo", "{amigo}/recordings/CA00/download/inbound.wav", {}, 404),
    ("amigo", "{amigo}/recordings/CA00/download/in%20bound", {}, 400),
    ("amigo", "/v1/{nobody}/calls", {}, 403),
    ("amigo", "/v1/not-a-uuid/calls", {}, 422),
    ("amigo", "{amigo}/nothing", {}, 404),
    ("quo", "/calls", {"limit": 51}, 400),
    ("quo", "/calls", {"createdAt[gt]": "2026-06-01T00:00:00Z"}, 400),
    ("quo", "/calls", {"createdAt": "2026-06-01T00:00:00Z"}, 400),
    ("quo", "/calls", {"createdAt[gte]": "2026-06-01"}, 400),
    ("quo", "/calls", {"updatedAt[gte]": "2026-06-01T00:00:00Z"}, 400),
    ("quo", "/calls", {"after": "made-up"}, 400),
    ("quo", "/calls", {"include": "everything"}, 400),
    ("quo", "/calls", {"status": "done"}, 400),
    ("quo", "/calls/CA123", {}, 400),
    ("quo", "/calls/AC123", {}, 404),
    ("quo", "/users", {"limit": 51}, 400),
    ("quo", "/users", {"after": "made-up"}, 400),
    ("quo", "/phone-numbers", {"include": "users"}, 400),
    ("quo", "/v1/call-recordings/CA123", {}, 400),
    ("quo", "/v1/call-recordings/AC123", {}, 404),
    ("quo", "/v1/call-transcripts/123", {}, 400),
    ("quo", "/v1/call-transcripts/AC123", {}, 404),
    ("quo", "/v1/calls", {}, 404),
    ("bota", "/v1/recordings", {"limit": 0}, 400),
    ("bota", "/v1/recordings", {"limit": 101}, 400),
    ("bota", "/v1/recordings/rec_unknown", {}, 404),
    ("bota", "/v1/transcriptions/txn_unknown", {}, 404),
    ("bota", "/recordings", {}, 404),
    ("tether", "/api/calls/unknown", {}, 404),
    ("tether", "/api/calls/unknown/recording", {}, 404),
    ("tether", "/calls/history", {}, 404),
]


@pytest.mark.parametrize(("provider", "path", "params", "status"), ERRORS)
def test_errors_come_in_the_providers_envelope(
    shared: Client, provider: str, path: str, params: Row, status: int
) -> None:
    path = path.format(
        bird=f"/workspaces/{shared.config['bird']['workspace_id']}",
        amigo=f"/v1/{shared.config['amigo']['workspace_id']}",
        nobody="00000000-0000-4000-a000-000000000000",
    )
    response = shared.ask(provider, path, params)
    assert response.status_code == status
    assert set(response.json()) >= ERROR_ENVELOPES[provider]


@pytest.mark.parametrize("provider", sorted(DOCUMENTS))
@pytest.mark.parametrize("spoil", [
    lambda value: None,
    lambda value: value + "x",
    lambda value: value.split(" ")[-1] if " " in value else f"Bearer {value}",
    lambda value: "Basic " + base64.b64encode(value.encode()).decode(),
    lambda value: value.replace("AccessKey", "Bearer").replace("Bearer", "bearer") + " ",
])  # fmt: skip
def test_other_credentials_are_refused(shared: Client, provider: str, spoil: Callable[[str], str | None]) -> None:
    good = shared.headers[provider]["Authorization"]
    value = spoil(good)
    if value is not None and value.strip() == good:
        value = good[:-1]  # a raw key has no scheme to be written wrongly
    headers = {**shared.headers[provider], "Authorization": value}
    stream = next(name for name in STREAMS if name.startswith(provider))
    known = {name: text for name, text in headers.items() if text is not None}
    response = shared.ask(provider, shared.path(stream)[1], headers=known)
    assert response.status_code == 401
    assert set(response.json()) >= ERROR_ENVELOPES[provider]


def test_quo_needs_its_version_header_where_it_is_documented(shared: Client) -> None:
    bare = {"Authorization": shared.headers["quo"]["Authorization"]}
    call = shared.list("quo_calls")[0]["id"]
    for path in ("/calls", f"/calls/{call}", "/users", "/phone-numbers"):
        refused = shared.ask("quo", path, headers=bare)
        assert refused.status_code == 400
        assert "code" not in refused.json()
    other = shared.ask("quo", "/calls", headers={**bare, "Quo-Api-Version": "2025-01-01"})
    assert other.status_code == 400
    assert shared.ask("quo", "/v1/phone-numbers", headers=bare).status_code == 200


@pytest.mark.parametrize(("plan", "status"), [("starter", 402), ("starter-403", 403)])
def test_quo_transcripts_are_for_the_larger_plans(make: Callable[..., Client], plan: str, status: int) -> None:
    client = make(quo_plan=plan)
    call = client.list("quo_calls")[0]["id"]
    assert client.ask("quo", f"/v1/call-transcripts/{call}").status_code == status
    assert client.ask("quo", f"/v1/call-recordings/{call}").status_code in (200, 404)
    assert client.sandbox.truth("quo_call_transcripts") == []


def login(client: Client, **changes: Any) -> requests.Response:
    body = {"email": tether_module.EMAIL, "password": tether_module.PASSWORD, **changes}
    return client.ask("tether", "/api/auth/login", method="POST", headers={}, body=body)


def verify(client: Client, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return client.ask("tether", "/api/auth/verify-token", headers=headers).status_code


def test_tether_login_and_its_tokens(make: Callable[..., Client]) -> None:
    client = make(tether_token_ttl=600)
    assert login(client, password="wrong").status_code == 401
    assert login(client, password=None).status_code == 400
    section = client.sandbox.config(["tether"], login=True)["tether"]["credentials"]
    assert section == {
        "auth_type": "login", "email": tether_module.EMAIL, "password": tether_module.PASSWORD
    }  # fmt: skip
    first = login(client).json()["token"]
    assert verify(client, first) == 200
    client.sandbox.advance(timedelta(seconds=601))
    assert verify(client, first) == 401
    second = login(client).json()["token"]
    assert verify(client, second) == 200
    client.sandbox.expire_tokens()
    assert verify(client, second) == 401
    static = client.config["tether"]["credentials"]["access_token"]
    assert verify(client, static) == 200
    assert verify(client, static[:-2] + "AA") == 401
    assert verify(client, "not.a.token") == 401
