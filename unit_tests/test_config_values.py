"""Values of a config that have the right form and can't be right; nulls; and that no wrong config is quoted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import requests
import requests_mock

from source_recordings.addresses import problem_of
from source_recordings.config import problems, unknown_keys
from source_recordings.provider_yaml import load_providers
from source_recordings.spec import build_spec
from unit_tests.examples import EXAMPLES, LISTS, a_list, base_url, config, section
from unit_tests.harness import LOGIN, PASSWORD, Connector, Row, catalog

SECTIONS = {name: section(name) for name in EXAMPLES}
SECRETS = {name: example.secrets[0] for name, example in EXAMPLES.items()}
TETHER = base_url("tether")

QUO = a_list("quo_calls")


def assert_told(connector: Connector, settings: Row, *parts: str) -> None:
    """By `check` as a failure, by `read` as a config error."""
    checked = connector.check(settings)
    assert (checked.exit_code, checked.connection["status"]) == (0, "FAILED")
    read = connector.read(settings, QUO.stream)
    assert read.exit_code == 1
    assert read.errors[0]["failure_type"] == "config_error"
    for message in (checked.connection["message"], read.errors[0]["message"]):
        for part in parts:
            assert part in message, message
    for output in (checked, read):
        for unwanted in ("does not know", "can't read", "Traceback"):
            assert unwanted not in output.said, output.said


# Addresses

BAD_ADDRESSES = [
    "https://[bad",
    "https://bad]",
    "https://[::g]",
    "https://[1.2.3.4]",
    "https://h:99999",
    "https://h:65536/v1",
    "https://h:0",
    "https://h:-1",
    "https://h:x",
    "https://h:",
    "https://h:8\u0664",
    "https://:443",
    "https://.",
    "https://..",
    "https://a..b",
    "https://.a",
    "https://-a.example",
    f"https://{'a' * 64}.example",
    f"https://{'a.' * 130}example",
    "https://h\\x",
    "https://{{config}}",
    "https://a,b",
    "https://a%20b",
    "https://b\u00fccher.example",
    "https://quo.example/caf\u00e9",
    "https://quo.example/\x07",
    "http://127.0.0.1:99999",
    "http://[::1]:70000",
]


@pytest.mark.parametrize("address", BAD_ADDRESSES, ids=ascii)
def test_an_address_that_can_not_be_asked_is_told(
    address: str, connector: Connector, api: requests_mock.Mocker
) -> None:
    assert_told(connector, config(quo={"base_url": address}), "`quo.base_url`", "https://host")

    assert api.call_count == 0


@pytest.mark.parametrize("name", SECTIONS)
def test_every_provider_s_address_is_looked_at(name: str, connector: Connector) -> None:
    assert_told(connector, config(**{name: {"base_url": "https://[bad"}}), f"`{name}.base_url`")


@pytest.mark.parametrize(
    "address",
    [
        "https://h",
        "https://h.",
        "https://h:1",
        "https://h:65535/p/q/",
        "https://[::1]",
        "https://[2001:db8::1]:8443/v1",
        "https://1.2.3.4",
        "https://my_host.internal/a%20b",
        "https://xn--bcher-kva.example",
        "http://localhost:8000",
        "http://127.0.0.1",
    ],
)
def test_a_good_address_is_accepted(address: str) -> None:
    assert problem_of(address) is None


# Keys


@pytest.mark.parametrize("key", ["schl\u00fcssel", "\u2713", "k\u200b", "\ud83d", "k\x7f"], ids=ascii)
@pytest.mark.parametrize(("name", "where"), [("quo", "api_key"), ("bird", "access_key"), ("bota", "api_key")])
def test_a_key_that_no_request_can_carry_is_told(
    name: str, where: str, key: str, connector: Connector, api: requests_mock.Mocker
) -> None:
    settings = config(**{name: {where: key}})

    output = connector.check(settings)

    assert output.connection["status"] == "FAILED"
    assert f"{name}.{where}" in output.connection["message"]
    assert key not in output.said
    assert api.call_count == 0


@pytest.mark.parametrize("where", ["email", "password"])
def test_half_a_character_in_a_login_is_told(where: str, connector: Connector, api: requests_mock.Mocker) -> None:
    settings = config(tether={"credentials": {**LOGIN, where: "a\ud83d@b"}})

    output = connector.check(settings)

    assert output.connection["status"] == "FAILED"
    assert f"`tether.credentials.{where}`" in output.connection["message"]
    assert api.call_count == 0


# Nulls

OPTIONAL: Row = {
    "connection": None,
    "base_url": None,
    "requests_per_second": None,
    "requests_per_minute": None,
    "call_ids": None,
    "recording_ids": None,
    "call_sids": None,
    "include_audio_data": None,
    "some_other_key": None,
}


@pytest.mark.parametrize("name", SECTIONS)
def test_null_for_an_optional_key_is_no_key(name: str, connector: Connector, monkeypatch: pytest.MonkeyPatch) -> None:
    """A form or a template writes null for what is left empty."""
    case = next(case for case in LISTS if case.provider == name)
    nulls = {k: v for k, v in OPTIONAL.items() if k not in SECTIONS[name]}
    settings = config(**{name: nulls}) | dict.fromkeys(("end_date", "lookback_days", "max_file_size_mb", "num_workers"))
    with requests_mock.Mocker() as host:
        monkeypatch.setattr(requests.Session, "get_adapter", lambda *_: host._adapter)
        host.get(case.url, json=case.answer)
        for output in (connector.check(settings), connector.discover(settings), connector.read(settings, case.stream)):
            assert (output.exit_code, output.errors, output.logs("WARN", "ERROR")) == (0, [], [])
    assert output.records(case.stream)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"quo": {"api_key": None}}, "`quo.api_key` is missing"),
        ({"tether": {"base_url": None, "credentials": SECTIONS["tether"]["credentials"]}}, "`tether.base_url` is missing"),
        ({"tether": {"base_url": TETHER, "credentials": None}}, "`tether.credentials` is missing"),
        (
            {"tether": {"base_url": TETHER, "credentials": {"auth_type": "token", "access_token": None}}},
            "`tether.credentials.access_token` is missing",
        ),
        ({"quo": {"api_key": "x", "call_ids": [None]}}, "`quo.call_ids.0`"),
    ],
)  # fmt: skip
def test_null_for_a_required_key_is_a_missing_key(settings: Row, expected: str, connector: Connector) -> None:
    output = connector.check(settings)

    assert output.connection["status"] == "FAILED"
    assert expected in output.connection["message"]


# Dates


def in_future(**ahead: float) -> str:
    return (datetime.now(timezone.utc) + timedelta(**ahead)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize("ahead", [{"minutes": 10}, {"days": 1}, {"days": 400}], ids=str)
@pytest.mark.parametrize("end", [None, "9999-12-31T23:59:59.5Z"])
def test_a_start_in_the_future_is_told(
    ahead: dict[str, float], end: str | None, connector: Connector, api: requests_mock.Mocker
) -> None:
    """A sync could never bring anything, and would say that it has succeeded."""
    settings = {**config("quo"), "start_date": in_future(**ahead), "end_date": end}

    assert_told(connector, settings, "`start_date`", "future")

    assert api.call_count == 0


@pytest.mark.parametrize("ahead", [0, 2, -1440])
def test_a_clock_may_be_a_little_behind(ahead: int, connector: Connector, api: requests_mock.Mocker) -> None:
    api.get(QUO.url, json=QUO.answer)

    output = connector.check({**config("quo"), "start_date": in_future(minutes=ahead), "end_date": None})

    assert output.connection == {"status": "SUCCEEDED"}


@pytest.mark.parametrize("start", ["0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z"])
@pytest.mark.parametrize("lookback", [0, 3650])
@pytest.mark.parametrize("provider", SECTIONS)
def test_a_start_long_ago_is_everything(
    provider: str, lookback: int, start: str, connector: Connector, api: requests_mock.Mocker
) -> None:
    case = next(case for case in LISTS if case.provider == provider)
    api.get(case.url, json=case.answer)
    settings = {**config(provider), "start_date": start, "lookback_days": lookback}

    output = connector.read(settings, case.stream, sync_mode="incremental")

    assert (output.exit_code, output.errors) == (0, [])
    assert output.records(case.stream)


# Secrets


def wrong_configs() -> Iterator[tuple[str, Row]]:
    """A config of all providers with each key in turn replaced by something wrong that has a secret in it."""
    whole: Row = {
        **deepcopy(SECTIONS),
        "start_date": "2024-01-01T00:00:00Z",
        "end_date": "2024-01-02T00:00:00Z",
        "lookback_days": 3,
        "max_file_size_mb": 5,
        "num_workers": 4,
    }
    whole["tether"]["credentials"] = LOGIN
    for name in SECTIONS:
        whole[name] |= {"base_url": TETHER, "recording_ids": [], "call_ids": [], "call_sids": []}
    secret = SECRETS["quo"]
    wrong: list[Any] = [
        secret,
        f" {secret}\n",
        f"https://user:{secret}@h",
        f"https://h:{secret}",
        f"https://[{secret}",
        f"https://h?{secret}",
        [secret],
        [secret, secret],
        [f"../{secret}"],
        {secret: secret},
        {"auth_type": secret},
        {"connection": secret},
    ]
    paths: list[tuple[str, ...]] = [(key,) for key in whole]
    paths += [(name, key) for name in SECTIONS for key in whole[name]]
    paths += [("tether", "credentials", key) for key in LOGIN]
    for path in paths:
        for number, value in enumerate(wrong):
            changed = deepcopy(whole)
            inner = changed
            for key in path[:-1]:
                inner = inner[key]
            inner[path[-1]] = value
            yield f"{'.'.join(path)}={number}", changed
    yield "key and value changed places", {"quo": {secret: "api_key"}}


def test_no_wrong_config_is_quoted(connector: Connector, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is where it should not be, may be the key -> its value is in no line."""
    with requests_mock.Mocker() as host:
        monkeypatch.setattr(requests.Session, "get_adapter", lambda *_: host._adapter)
        host.register_uri(requests_mock.ANY, requests_mock.ANY, status_code=401)
        spec = build_spec(load_providers())
        for number, (name, settings) in enumerate(wrong_configs()):
            said = " ".join([*problems(settings, spec), *unknown_keys(settings, spec)])
            if number % 20 == 0:  # the way through the program takes longer
                output = connector.check(settings)
                said += output.said
                assert output.connection["status"] == "FAILED", name
            for secret in (SECRETS["quo"], json.dumps(PASSWORD)[1:-1], PASSWORD):
                assert secret not in said, name
            assert "Traceback" not in said, name
        assert number > 300


@pytest.mark.parametrize("what", ["catalog", "state"])
def test_a_config_in_another_file_s_place_is_not_quoted(what: str, connector: Connector) -> None:
    settings = config("bird", "quo", tether={"credentials": LOGIN})
    files = {"config": config("quo"), "catalog": catalog([QUO.stream]), what: settings}
    arguments = [part for name, content in files.items() for part in (f"--{name}", connector.file(name, content))]

    output = connector.command("read", *arguments)

    assert output.exit_code == 1
    for secret in (SECRETS["bird"], SECRETS["quo"], PASSWORD):
        assert secret not in output.said
