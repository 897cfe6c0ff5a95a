"""Tether's login: one for all streams, one more when the session has run out, and a clear word when it is refused."""

from __future__ import annotations

import threading

import pytest
import requests
import requests_mock

from unit_tests.examples import base_url, config
from unit_tests.harness import CREATED, LOGIN, PASSWORD, Connector, Row

TETHER = base_url("tether")

LOGIN_URL = f"{TETHER}/api/auth/login"
HISTORY = f"{TETHER}/api/calls/history"
SETTINGS = config(tether={"credentials": LOGIN})
CALLS = [{"callId": f"c{n}", "status": "completed", "createdAt": CREATED} for n in range(30)]


class Instance:
    """Plays a Tether instance whose tokens are `token-1`, `token-2` …, of which only `good` ones are accepted."""

    def __init__(self, api: requests_mock.Mocker, good: set[str]) -> None:
        self.good = good
        self.logins: list[Row] = []
        self._lock = threading.Lock()
        api.post(LOGIN_URL, json=self._login)
        api.get(HISTORY, json=self._guarded)
        for call in CALLS:
            api.get(f"{TETHER}/api/calls/{call['callId']}/recording", json=self._guarded)

    def _login(self, request: requests.PreparedRequest, context: object) -> Row:
        with self._lock:
            self.logins.append(request.json())  # type: ignore[attr-defined]
            return {"token": f"token-{len(self.logins)}", "user": {"id": "u"}}

    def _guarded(self, request: requests.PreparedRequest, context: object) -> Row:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in self.good:
            context.status_code = 401  # type: ignore[attr-defined]
            return {"success": False, "error": "Token expired"}
        if "history" in (request.url or ""):
            return {"success": True, "calls": CALLS, "total": len(CALLS)}
        return {"success": True, "recordingId": "x"}


def test_one_login_serves_all_streams(connector: Connector, api: requests_mock.Mocker) -> None:
    """POST /api/auth/login answers a JWT -> Bearer <JWT> for every request of every stream -> one login."""
    instance = Instance(api, {"token-1"})

    output = connector.read(SETTINGS, "tether_calls", "tether_call_recordings")

    assert (output.exit_code, output.errors) == (0, [])
    assert len(output.records("tether_calls")) == len(CALLS)
    assert len(output.records("tether_call_recordings")) == len(CALLS)
    assert instance.logins == [{"email": LOGIN["email"], "password": PASSWORD}]


def test_the_login_itself_carries_no_credential_header(connector: Connector, api: requests_mock.Mocker) -> None:
    Instance(api, {"token-1"})

    connector.read(SETTINGS, "tether_calls")

    login = api.request_history[0]
    assert (login.method, login.url) == ("POST", LOGIN_URL)
    assert "Authorization" not in login.headers
    assert login.headers["Content-Type"] == "application/json"


def test_a_session_that_runs_out_is_renewed_once_and_nothing_is_lost(
    connector: Connector, api: requests_mock.Mocker
) -> None:
    """Tokens expire, when is not documented -> a 401 in the middle -> one new login for all workers, same request again."""
    instance = Instance(api, {"token-1"})
    expired = threading.Event()
    guarded = instance._guarded

    def expiring(request: requests.PreparedRequest, context: object) -> Row:
        if "/c10/" in (request.url or "") and not expired.is_set():
            expired.set()
            instance.good = {"token-2"}
        return guarded(request, context)

    for call in CALLS:
        api.get(f"{TETHER}/api/calls/{call['callId']}/recording", json=expiring)

    output = connector.read(SETTINGS, "tether_call_recordings")

    assert (output.exit_code, output.errors) == (0, [])
    ids = [row["callId"] for row in output.records("tether_call_recordings")]
    assert sorted(ids) == sorted(call["callId"] for call in CALLS)
    assert len(instance.logins) == 2
    repeated = [request for request in api.request_history if "/c10/" in request.url]
    assert [request.headers["Authorization"] for request in repeated] == ["Bearer token-1", "Bearer token-2"]


def test_a_second_401_is_a_config_error(connector: Connector, api: requests_mock.Mocker) -> None:
    """A token that is refused as soon as it was given out will not get better -> one new login, then a config error."""
    instance = Instance(api, set())

    output = connector.read(SETTINGS, "tether_calls")

    assert output.exit_code == 1
    assert output.errors[0]["failure_type"] == "config_error"
    assert "Tether" in output.errors[0]["message"]
    assert len(instance.logins) == 2
    assert len([request for request in api.request_history if request.url.startswith(HISTORY)]) == 2


def test_a_403_is_not_answered_with_a_login(connector: Connector, api: requests_mock.Mocker) -> None:
    """403 is a valid token without the access role -> a new one would have the same role."""
    instance = Instance(api, {"token-1"})
    api.get(HISTORY, status_code=403, json={"success": False, "error": "no role"})

    output = connector.read(SETTINGS, "tether_calls")

    assert output.errors[0]["failure_type"] == "config_error"
    assert len(instance.logins) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 422])
def test_a_refused_login_is_a_config_error_at_once(
    status: int, connector: Connector, api: requests_mock.Mocker, naps: list[float]
) -> None:
    api.post(LOGIN_URL, status_code=status, json={"success": False, "error": "no"})

    output = connector.read(SETTINGS, "tether_calls")

    error = output.errors[0]
    assert error["failure_type"] == "config_error"
    assert "Tether refused the login" in error["message"]
    assert "`tether.credentials.password`" in error["message"]
    assert (api.call_count, naps) == (1, [])


def test_a_refused_login_is_not_tried_for_every_call(connector: Connector, api: requests_mock.Mocker) -> None:
    """Instances lock accounts after a few wrong passwords -> two streams and thirty calls are no reason to go on."""
    api.post(LOGIN_URL, status_code=401, json={"success": False})
    settings = config(tether={"credentials": LOGIN, "call_ids": [f"c{n}" for n in range(30)]})

    output = connector.read({**settings, "num_workers": 2}, "tether_call_recordings")

    assert output.exit_code == 1
    assert api.call_count <= 2


def test_a_login_that_fails_in_passing_is_tried_again(
    connector: Connector, api: requests_mock.Mocker, naps: list[float]
) -> None:
    good = {"json": {"token": "token-1", "user": {}}}
    api.post(LOGIN_URL, [{"status_code": 500}, {"text": "<html>"}, good])
    api.get(HISTORY, json={"success": True, "calls": CALLS[:1], "total": 1})

    output = connector.read(SETTINGS, "tether_calls")

    assert output.exit_code == 0
    assert len(naps) == 2


def test_a_login_without_a_token_is_an_error(connector: Connector, api: requests_mock.Mocker) -> None:
    api.post(LOGIN_URL, json={"user": {}})

    output = connector.read(SETTINGS, "tether_calls")

    assert output.exit_code == 1
    assert "Tether" in output.errors[0]["message"] and "token" in output.errors[0]["message"]
    assert not any("Bearer None" in str(r.headers) for r in api.request_history)


def test_tokens_of_two_instances_are_kept_apart(connector: Connector, api: requests_mock.Mocker) -> None:
    """Two reads in one process: the second account's requests carry the second account's token."""
    other = "https://other.example.com"
    Instance(api, {"token-1"})
    api.post(f"{other}/api/auth/login", json={"token": "other-token"})
    api.get(f"{other}/api/calls/history", json={"success": True, "calls": [], "total": 0})

    connector.read(SETTINGS, "tether_calls")
    connector.read(config(tether={"credentials": LOGIN, "base_url": other}), "tether_calls")

    assert api.request_history[-1].headers["Authorization"] == "Bearer other-token"
