"""A provider's credential reaches that provider's host and nothing else: no other host, no log line, no message."""

from __future__ import annotations

import base64
import io
import json
import logging
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
import requests_mock
from airbyte_cdk.logger import PRINT_BUFFER

from unit_tests.examples import (
    CASES,
    CURSOR_LISTS,
    EXAMPLES,
    LISTS,
    Case,
    a_detail,
    a_list,
    base_url,
    config,
    first_of_each,
)
from unit_tests.harness import LOGIN, PASSWORD, Connector, Row, catalog

TETHER = base_url("tether")

OTHER = "https://evil.example.org/take"
every_case = pytest.mark.parametrize("case", CASES, ids=str)


@every_case
def test_the_credential_is_sent_as_documented(case: Case, connector: Connector, api: requests_mock.Mocker) -> None:
    """Each provider has a form of its own, which its example tells -> in Authorization, not in the URL."""
    api.get(case.url, json=case.answer)

    connector.read(case.config, case.stream)

    (request,) = api.request_history
    assert request.headers["Authorization"] == EXAMPLES[case.provider].header
    assert not [secret for secret in EXAMPLES[case.provider].secrets if secret in request.url]


@pytest.mark.parametrize("case", LISTS, ids=str)
def test_links_in_an_answer_are_not_followed(case: Case, connector: Connector, api: requests_mock.Mocker) -> None:
    """A next-page link may name any host -> only tokens are used, and only as parameters."""
    links = {"next": OTHER, "next_url": OTHER, "links": {"next": OTHER}, "paging": {"next": OTHER}}
    headers = {"Link": f'<{OTHER}>; rel="next"'}
    api.get(case.url, json={**case.answer, **links}, headers=headers)

    output = connector.read(case.config, case.stream)

    assert output.exit_code == 0
    assert api.call_count == 1


@pytest.mark.parametrize(
    ("case", "token"),
    [(case, case.next_token) for case in first_of_each(CURSOR_LISTS)],
    ids=[case.provider for case in first_of_each(CURSOR_LISTS)],
)
@pytest.mark.parametrize("value", [OTHER, "//evil.example.org", "?x=1#frag", "../../other"])
def test_a_page_token_that_looks_like_an_address_stays_a_parameter(
    case: Case, token: str, value: str, connector: Connector, api: requests_mock.Mocker
) -> None:
    more = {**case.with_next(value), "has_more": True}
    api.get(case.url, [{"json": more}, {"json": case.answer}])

    output = connector.read(case.config, case.stream)

    assert output.exit_code == 0
    assert [request.url.split("?")[0] for request in api.request_history] == [case.url] * 2
    assert [value] in api.request_history[-1].qs.values()


def test_a_signature_in_a_redirect_is_not_logged(connector: Connector, api: requests_mock.Mocker) -> None:
    """Bird's get endpoint documents a 307 to the signed media URL -> its signature is a credential -> not logged."""
    case = a_detail("bird_recordings")
    signed = "https://s3.example.com/a.mp3?X-Amz-Credential=AKIA&X-Amz-Signature=0123456789abcdef"
    api.get(case.url, status_code=307, headers={"Location": signed})

    output = connector.read(case.config, case.stream)

    assert output.exit_code == 1
    assert "0123456789abcdef" not in output.said


def test_cookies_of_an_answer_are_not_logged(connector: Connector, api: requests_mock.Mocker) -> None:
    """A session cookie is as good as a key."""
    case = a_list("amigo_calls")
    headers = {"Set-Cookie": "session=topsecretcookie; HttpOnly"}
    api.get(case.url, status_code=422, headers=headers, json={"detail": "x"})

    output = connector.read(case.config, case.stream)

    assert output.exit_code == 1
    assert "topsecretcookie" not in output.said


def forms_of(secret: str) -> set[str]:
    """The ways in which a secret can stand in a text."""
    return {
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(json.dumps(secret))[2:-2],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
        repr(json.dumps(secret).encode())[3:-2],
        quote(secret, safe=""),
        base64.b64encode(secret.encode()).decode(),
    }


FAULTS: dict[str, Row] = {
    "200": {"json": {"unexpected": True}},
    "400": {"status_code": 400, "json": {"message": "bad"}},
    "401": {"status_code": 401, "json": {"message": "bad"}},
    "307": {"status_code": 307, "headers": {"Location": OTHER}},
    "500": {"status_code": 500, "text": "oops"},
    "broken": {"exc": requests.exceptions.ConnectionError("broken")},
}


def echo(request: Any, context: object) -> str:
    """A server that shows what it was sent, as debug pages do."""
    body = request.body.decode() if isinstance(request.body, bytes) else str(request.body)
    return json.dumps({"headers": dict(request.headers), "body": body, "url": request.url})


@pytest.mark.parametrize(
    ("case", "fault"),
    [(a_list("amigo_calls"), fault) for fault in FAULTS]
    + [(case, f"echo {status}") for case in first_of_each(LISTS) for status in (422, 500)],
    ids=str,
)
def test_keys_are_in_no_line_of_a_failing_read(
    case: Case, fault: str, connector: Connector, api: requests_mock.Mocker
) -> None:
    """Errors quote requests and answers -> whatever is quoted, the key is not in it."""
    if fault.startswith("echo"):
        api.get(case.url, status_code=int(fault[5:]), text=echo)
    else:
        api.get(case.url, **FAULTS[fault])

    output = connector.read(case.config, case.stream)

    assert output.exit_code == 1
    for form in chain.from_iterable(map(forms_of, EXAMPLES[case.provider].secrets)):
        assert form not in output.said


@pytest.mark.parametrize("fault", [*FAULTS, "echo 401", "echo 422", "echo 500"])
@pytest.mark.parametrize("command", ["check", "read"])
def test_a_password_is_in_no_line_of_a_failing_login(
    command: str, fault: str, connector: Connector, api: requests_mock.Mocker
) -> None:
    """A password has quotes, backslashes and letters that JSON escapes -> no form of it is printed."""
    url = f"{TETHER}/api/auth/login"
    if fault.startswith("echo"):
        api.post(url, status_code=int(fault[5:]), text=echo)
    else:
        api.post(url, **FAULTS[fault])
    settings = config(tether={"credentials": LOGIN})

    if command == "check":
        output = connector.check(settings)
        assert output.connection["status"] == "FAILED"
    else:
        output = connector.read(settings, "tether_calls")
        assert output.exit_code == 1

    for form in forms_of(PASSWORD):
        assert form not in output.said


@pytest.mark.parametrize("status", [200, 401, 422, 500])
def test_the_token_of_a_login_is_in_no_line(status: int, connector: Connector, api: requests_mock.Mocker) -> None:
    """The JWT is not in the config, so nothing hides it by itself -> it is hidden once it is known."""
    token = "eyJhbGciOi.JIUzI1NiJ9-secret.c2ln"
    api.post(f"{TETHER}/api/auth/login", json={"token": token, "user": {}})
    api.get(a_list("tether_calls").url, status_code=status, text=echo)

    output = connector.read(config(tether={"credentials": LOGIN}), "tether_calls")

    assert output.exit_code == 1
    assert token not in output.said


def test_debug_output_shows_no_secret(
    tmp_path: Path, connector: Connector, api: requests_mock.Mocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LOG_LEVEL=debug logs every request with its headers and body -> the secrets in them are hidden."""
    monkeypatch.setenv("LOG_LEVEL", "debug")
    token = "eyJhbGciOi.JIUzI1NiJ9-secret.c2ln"
    api.post(f"{TETHER}/api/auth/login", json={"token": token, "user": {}})
    for case in LISTS:
        api.get(case.url, json=case.answer)
    settings = config(*EXAMPLES, tether={"credentials": LOGIN})
    secrets = [secret for name in EXAMPLES if name != "tether" for secret in EXAMPLES[name].secrets]
    cases = first_of_each(LISTS)
    try:
        output = connector.read(settings, *(case.stream for case in cases))
    finally:
        logging.getLogger("airbyte").setLevel(logging.INFO)
        for name in list(logging.root.manager.loggerDict):
            if name.startswith("airbyte."):
                logging.getLogger(name).setLevel(logging.NOTSET)

    assert output.exit_code == 0
    assert any("HTTP 200" in line for line in output.logs("DEBUG"))
    for secret in (*secrets, PASSWORD, token):
        for form in forms_of(secret):
            assert form not in output.said, form


def test_a_key_that_no_header_can_carry_is_in_no_line(connector: Connector, api: requests_mock.Mocker) -> None:
    """A key copied with its line break -> requests refuses the header and quotes it -> not with the key in it."""
    key = "copied-SECRET-key"
    case = a_list("quo_calls")
    api.get(case.url, json=case.answer)

    output = connector.read(config(quo={"api_key": f"{key}\n"}), case.stream)

    assert output.exit_code == 1
    assert key not in output.said
    assert "`quo.api_key`" in output.errors[0]["message"]


@every_case
def test_environment_proxies_and_netrc_do_not_replace_the_credential(
    case: Case, connector: Connector, api: requests_mock.Mocker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """requests takes a login from ~/.netrc where no other auth is set -> the config's credential stands."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login someone password else\n", "utf-8")
    monkeypatch.setenv("NETRC", str(netrc))
    api.get(case.url, json=case.answer)

    connector.read(case.config, case.stream)

    (request,) = api.request_history
    assert request.headers["Authorization"] == EXAMPLES[case.provider].header


def test_the_harness_sees_what_is_printed() -> None:
    """If the output's capture broke, every "is not in the output" above would be true by mistake."""
    handlers = logging.getLogger().handlers
    assert any(getattr(handler, "stream", None) is PRINT_BUFFER for handler in handlers)
    assert isinstance(PRINT_BUFFER.buffer, io.StringIO)
    assert catalog(["x"])["streams"][0]["stream"]["name"] == "x"
