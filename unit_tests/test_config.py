"""A wrong config is told in words that name the key and never repeat the value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests
import requests_mock

from unit_tests.examples import EXAMPLES, STREAMS
from unit_tests.harness import LOGIN, Connector, Row

VALUE = "S3CRET-or-private-value"


def quo(**more: Any) -> Row:
    return {"quo": {"api_key": VALUE}, **more}


def section(name: str, **changes: Any) -> Row:
    """A config of one provider with keys changed, or taken away by None."""
    keys = {**EXAMPLES[name].section, **changes}
    return {name: {key: value for key, value in keys.items() if value is not None}}


WRONG: dict[str, tuple[Row, str]] = {
    "nothing at all": ({}, "No provider"),
    "only dates": ({"start_date": "2024-01-01T00:00:00Z"}, "No provider"),
    "all disabled": ({name: {"connection": "disabled"} for name in EXAMPLES}, "No provider"),
    "all null": (dict.fromkeys(EXAMPLES), "No provider"),
    # Sections
    "section is text": ({"quo": VALUE}, "`quo`"),
    "section is a list": ({"quo": [VALUE]}, "`quo`"),
    "section is true": ({"quo": True}, "`quo`"),
    "connection is unknown": ({"quo": {"connection": "on", "api_key": VALUE}}, "`quo.connection`"),
    "connection is true": ({"quo": {"connection": True, "api_key": VALUE}}, "`quo.connection`"),
    # Missing
    "bird without key": (section("bird", access_key=None), "`bird.access_key`"),
    "bird without workspace": (section("bird", workspace_id=None), "`bird.workspace_id`"),
    "amigo without key": (section("amigo", api_key=None), "`amigo.api_key`"),
    "amigo without workspace": (section("amigo", workspace_id=None), "`amigo.workspace_id`"),
    "quo without key": ({"quo": {}}, "`quo.api_key`"),
    "quo enabled without key": ({"quo": {"connection": "enabled"}}, "`quo.api_key`"),
    "bota without key": ({"bota": {"base_url": "https://x.example"}}, "`bota.api_key`"),
    "tether without url": (section("tether", base_url=None), "`tether.base_url`"),
    "tether without credentials": (section("tether", credentials=None), "`tether.credentials`"),
    # Types and forms
    "key is a number": ({"quo": {"api_key": 5}}, "`quo.api_key`"),
    "key is empty": ({"quo": {"api_key": ""}}, "`quo.api_key`"),
    "key has a space": ({"quo": {"api_key": f"Bearer {VALUE}"}}, "`quo.api_key`"),
    "key has a line break": ({"quo": {"api_key": f"{VALUE}\n"}}, "`quo.api_key`"),
    "workspace is a path": (section("bird", workspace_id=f"../{VALUE}"), "`bird.workspace_id`"),
    "workspace is a number": (section("amigo", workspace_id=7), "`amigo.workspace_id`"),
    "ids are text": (section("quo", call_ids=f"AC{VALUE}"), "`quo.call_ids`"),
    "an id is a number": (section("bird", recording_ids=["a", 5]), "`bird.recording_ids"),
    "an id is empty": (section("amigo", call_sids=[""]), "`amigo.call_sids"),
    "an id is a folder": (section("bota", recording_ids=[".."]), "`bota.recording_ids"),
    "an id twice": (section("tether", call_ids=["a", "a"]), "`tether.call_ids`"),
    "a quo id of another kind": (section("quo", call_ids=[f"CN{VALUE}"]), "`quo.call_ids"),
    "rate is zero": (section("quo", requests_per_second=0), "`quo.requests_per_second`"),
    "rate is text": (section("bird", requests_per_second="9"), "`bird.requests_per_second`"),
    "rate is a fraction": (section("bota", requests_per_minute=1.5), "`bota.requests_per_minute`"),
    "audio flag is text": (section("tether", include_audio_data="yes"), "`tether.include_audio_data`"),
    # Addresses
    "http": (section("bird", base_url=f"http://{VALUE}.example"), "`bird.base_url`"),
    "http and loopback as a user": (section("bird", base_url="http://localhost@evil.example"), "`bird.base_url`"),
    "http and loopback as a prefix": (section("bird", base_url="http://127.0.0.1.evil.example"), "`bird.base_url`"),
    "http and localhost as a prefix": (section("bird", base_url="http://localhost.evil.example"), "`bird.base_url`"),
    "https with a user": (section("quo", base_url="https://a:b@quo.example"), "`quo.base_url`"),
    "https with a query": (section("quo", base_url="https://quo.example?x=1"), "`quo.base_url`"),
    "ftp": (section("amigo", base_url="ftp://localhost"), "`amigo.base_url`"),
    "no scheme": (section("tether", base_url="tether.example.com"), "`tether.base_url`"),
    "upper case http": (section("bota", base_url="HTTP://bota.example"), "`bota.base_url`"),
    "a template": (section("bota", base_url="https://{{ config }}"), "`bota.base_url`"),
    "a space": (section("bota", base_url="https://bota.example /x"), "`bota.base_url`"),
    "two lines": (section("bota", base_url="https://bota.example\n"), "`bota.base_url`"),
    # Tether's credentials
    "credentials are text": (section("tether", credentials=VALUE), "`tether.credentials`"),
    "credentials without a type": (
        section("tether", credentials={"access_token": VALUE}),
        "`tether.credentials.auth_type`",
    ),
    "credentials of another type": (
        section("tether", credentials={"auth_type": "oauth"}),
        "`tether.credentials.auth_type`",
    ),
    "token without a token": (
        section("tether", credentials={"auth_type": "token"}),
        "`tether.credentials.access_token`",
    ),
    "token with Bearer": (
        section("tether", credentials={"auth_type": "token", "access_token": f"Bearer {VALUE}"}),
        "`tether.credentials.access_token`",
    ),
    "login without password": (
        section("tether", credentials={"auth_type": "login", "email": VALUE}),
        "`tether.credentials.password`",
    ),
    "login without email": (
        section("tether", credentials={"auth_type": "login", "password": VALUE}),
        "`tether.credentials.email`",
    ),
    "password is a number": (section("tether", credentials={**LOGIN, "password": 5}), "`tether.credentials.password`"),
    # What to sync
    "start is a day": (quo(start_date="2024-01-01"), "`start_date`"),
    "start is no text": (quo(start_date=20240101), "`start_date`"),
    "start has an offset": (quo(start_date="2024-01-01T00:00:00+02:00"), "`start_date`"),
    "start is no date": (quo(start_date="2024-02-30T00:00:00Z"), "`start_date`"),
    "end is no time": (quo(end_date="2024-01-01T25:00:00Z"), "`end_date`"),
    "end is words": (quo(end_date="yesterday"), "`end_date`"),
    "end before start": (quo(start_date="2024-01-02T00:00:00Z", end_date="2024-01-01T00:00:00Z"), "`end_date`"),
    "end at start": (quo(start_date="2024-01-02T00:00:00Z", end_date="2024-01-02T00:00:00.000Z"), "`end_date`"),
    "lookback is negative": (quo(lookback_days=-1), "`lookback_days`"),
    "lookback is text": (quo(lookback_days="3"), "`lookback_days`"),
    "lookback is true": (quo(lookback_days=True), "`lookback_days`"),
    "too few workers": (quo(num_workers=1), "`num_workers`"),
    "too many workers": (quo(num_workers=65), "`num_workers`"),
    "workers are text": (quo(num_workers="8"), "`num_workers`"),
}


@pytest.mark.parametrize("name", WRONG)
def test_check_says_what_is_wrong_and_asks_nobody(name: str, connector: Connector, api: requests_mock.Mocker) -> None:
    settings, expected = WRONG[name]

    output = connector.check(settings)

    assert output.connection["status"] == "FAILED"
    assert expected in output.connection["message"]
    assert VALUE not in output.said
    assert output.exit_code == 0
    assert api.call_count == 0


@pytest.mark.parametrize("name", ["nothing at all", "http", "quo without key", "end before start"])
@pytest.mark.parametrize("command", ["read", "discover"])
def test_read_and_discover_say_the_same_as_an_error(
    name: str, command: str, connector: Connector, api: requests_mock.Mocker
) -> None:
    settings, expected = WRONG[name]

    asked = {"read": connector.read, "discover": connector.discover}[command]
    output = asked(settings)

    assert output.exit_code == 1
    assert output.error["failure_type"] == "config_error"
    assert expected in output.error["message"]
    assert not output.error.get("stack_trace")
    assert "Traceback" not in output.said
    assert api.call_count == 0


def test_everything_that_is_wrong_is_said_at_once(connector: Connector) -> None:
    settings = {
        "bird": {"access_key": "", "base_url": "http://x.example"},
        "tether": {"credentials": {"auth_type": "login"}},
        "num_workers": 1,
        "end_date": "never",
    }

    message = connector.check(settings).connection["message"]

    for key in (
        "bird.access_key",
        "bird.workspace_id",
        "bird.base_url",
        "tether.base_url",
        "tether.credentials.email",
        "tether.credentials.password",
        "num_workers",
        "end_date",
    ):
        assert message.count(f"`{key}`") == 1, key


@pytest.mark.parametrize("content", ["[]", '"text"', "null", "3"])
def test_a_config_that_is_no_object_is_a_config_error(content: str, connector: Connector) -> None:
    output = connector.command("check", "--config", connector.file("c.json", content))

    text = output.text
    assert "config" in text
    assert "Traceback" not in output.said
    assert output.connection["status"] == "FAILED" if output.exit_code == 0 else output.errors


RIGHT: dict[str, Row] = {
    "the shortest": {"quo": {"api_key": "x"}},
    "enabled in so many words": {"quo": {"connection": "enabled", "api_key": "x"}},
    "what the form sends": {
        **{name: {"connection": "disabled"} for name in EXAMPLES},
        "quo": {"connection": "enabled", "api_key": "x"},
        "lookback_days": 3,
        "num_workers": 16,
    },
    "a disabled section is not looked at": {
        "bird": {"connection": "disabled", "access_key": 5, "base_url": "http://x"},
        "quo": {"api_key": "x"},
    },
    "null is not there": {"bird": None, "quo": {"api_key": "x"}, "start_date": None},
    "unknown keys": {"quo": {"api_key": "x", "later": 1}, "later": {"a": 1}, "__x": 1},
    "http on this machine": {"quo": {"api_key": "x", "base_url": "http://127.0.0.1:8080"}},
    "http on localhost": {"quo": {"api_key": "x", "base_url": "http://localhost:1/"}},
    "http on IPv6": {"quo": {"api_key": "x", "base_url": "http://[::1]:1"}},
    "a port and a path": {"quo": {"api_key": "x", "base_url": "https://quo.example:8443/p/q"}},
    "an empty list of ids": {"quo": {"api_key": "x", "call_ids": []}},
    "lookback of zero": {"quo": {"api_key": "x"}, "lookback_days": 0},
    "dates with and without fractions": {
        "quo": {"api_key": "x"},
        "start_date": "2024-01-01T00:00:00Z",
        "end_date": "2024-01-01T00:00:00.000001Z",
    },
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_accepted(name: str, connector: Connector) -> None:
    """Contract: a hand-written config may simply say {"quo": {"api_key": "..."}}."""
    output = connector.discover(RIGHT[name])

    assert (output.exit_code, output.errors) == (0, [])
    assert sorted(output.tables) == sorted(STREAMS["quo"])


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_can_be_read(name: str, connector: Connector, monkeypatch: pytest.MonkeyPatch) -> None:
    with requests_mock.Mocker() as any_host:
        monkeypatch.setattr(requests.Session, "get_adapter", lambda *_: any_host._adapter)
        any_host.get(requests_mock.ANY, json={"data": [], "nextCursor": None})
        output = connector.read(RIGHT[name], "quo_calls")

    assert (output.exit_code, output.errors) == (0, [])
    assert output.ended("quo_calls") == "COMPLETE"
    assert any_host.call_count > 0


UNKNOWN: dict[str, tuple[Row, str]] = {
    "at the top": ({"lookback": 5}, "`lookback` is not a key of this config and is ignored; did you mean `lookback_days`?"),
    "in a section": (section("quo", apikey="x"), "`quo.apikey` is not a key of this config and is ignored; did you mean `quo.api_key`?"),
    "a section": ({"quoo": {}}, "`quoo` is not a key of this config and is ignored; did you mean `quo`?"),
    "like nothing": ({"zzz": 1}, "`zzz` is not a key of this config and is ignored."),
}  # fmt: skip


@pytest.mark.parametrize("name", UNKNOWN)
def test_an_unknown_key_is_told(name: str, connector: Connector) -> None:
    extra, message = UNKNOWN[name]

    output = connector.discover({**section("quo"), **extra})

    assert output.exit_code == 0
    assert output.logs("WARN") == [message]


@pytest.mark.parametrize("name", EXAMPLES)
def test_one_provider_is_enough(name: str, connector: Connector) -> None:
    output = connector.discover({name: EXAMPLES[name].section})

    assert output.tables
    assert all(stream.startswith(f"{name}_") for stream in output.tables)


def test_the_config_file_is_left_alone(connector: Connector) -> None:
    """The CDK can rewrite a config file in a migration -> ours has none -> the user's file stays as it is."""
    before = '{"quo":  {"api_key": "x", "base_url": "https://quo.example/"}}\n'
    path = connector.file("mine.json", before)

    output = connector.command("discover", "--config", path)

    assert output.exit_code == 0
    assert output.of("CONTROL") == []
    assert Path(path).read_text(encoding="utf-8") == before
