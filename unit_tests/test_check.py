"""check: one request per connected provider, side by side, a sentence for each that failed, and hints about streams that a
key or a plan may not read.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import requests_mock

from source_recordings.check import HINT_ROWS
from unit_tests.examples import CURSOR_LISTS, DETAILS, LISTS, Case, a_detail, a_list, base_url, config, first_of_each
from unit_tests.harness import LOGIN, Connector

TETHER = base_url("tether")

FIRST = first_of_each(LISTS)
every_provider = pytest.mark.parametrize("case", FIRST, ids=[case.provider for case in FIRST])
ALL = [case.provider for case in FIRST]
HINTED = [case for case in (*LISTS, *DETAILS) if case.of.in_check]


@pytest.fixture(autouse=True)
def hinted(api: requests_mock.Mocker) -> None:
    """What the check tries besides is there."""
    for case in HINTED:
        api.get(case.url, **case.reply)


def of_the_check(api: requests_mock.Mocker, case: Case) -> list[Any]:
    """The requests that decide, without those that only lead to hints."""
    tried = {other.url.partition("?")[0] for other in HINTED}
    return [request for request in api.request_history if not _is_hint(request, tried, case)]


def _is_hint(request: Any, tried: set[str], case: Case) -> bool:
    # The list above a detail is asked for with more rows.
    size = case.of.pages.size_param if case.of.pages else ""
    return request.url.partition("?")[0] in tried or request.qs.get(size) == [str(HINT_ROWS)]


@every_provider
def test_one_small_request_is_enough(case: Case, connector: Connector, api: requests_mock.Mocker) -> None:
    """A cheap authenticated request -> one row of the listing, no page more."""
    answer = case.with_next("x") if case in CURSOR_LISTS else dict(case.answer)
    api.get(case.url, json={**answer, "has_more": True, "total": 5000})

    output = connector.check(config(case.provider))

    assert output.connection == {"status": "SUCCEEDED"}
    assert output.exit_code == 0
    (request,) = of_the_check(api, case)
    assert case.of.pages and request.qs[case.of.pages.size_param] == ["1"]


@every_provider
def test_an_empty_account_is_fine(case: Case, connector: Connector, api: requests_mock.Mocker) -> None:
    api.get(case.url, json=case.with_rows(**({"total": 0} if "total" in case.answer else {})))

    assert connector.check(config(case.provider)).connection["status"] == "SUCCEEDED"
    assert len(of_the_check(api, case)) == 1


FAULTS: dict[str, dict[str, Any]] = {
    "401": {"status_code": 401},
    "403": {"status_code": 403},
    "404": {"status_code": 404},
    "429": {"status_code": 429, "headers": {"Retry-After": "30"}},
    "500": {"status_code": 500},
    "302": {"status_code": 302, "headers": {"Location": "https://example.org/login"}},
    "html": {"text": "<html>"},
    "no host": {"exc": requests.exceptions.ConnectionError("Name or service not known")},
    "time-out": {"exc": requests.exceptions.ConnectTimeout("slow")},
    "TLS": {"exc": requests.exceptions.SSLError("self-signed certificate")},
}


@pytest.mark.parametrize(
    ("case", "fault"),
    [
        (case, fault)
        for case in FIRST
        for fault in FAULTS
        if case.stream == "quo_calls" or fault in ("401", "404", "429", "500", "no host")
    ],
    ids=str,
)
def test_a_failure_names_the_provider_and_takes_one_request(
    case: Case, fault: str, connector: Connector, api: requests_mock.Mocker, naps: list[float]
) -> None:
    """Whoever fills in the form waits -> no retry, no wait -> FAILED with the provider's name."""
    api.get(case.url, **FAULTS[fault])

    output = connector.check(config(case.provider))

    assert output.connection["status"] == "FAILED"
    assert case.provider in output.connection["message"].lower()
    assert (api.call_count, naps) == (1, [])
    assert output.exit_code == 0


@every_provider
@pytest.mark.parametrize(
    ("fault", "key"), [("401", ""), ("no host", "base_url"), ("TLS", "base_url"), ("302", "base_url")], ids=lambda v: v
)
def test_a_failure_says_which_key_to_check(
    case: Case, fault: str, key: str, connector: Connector, api: requests_mock.Mocker
) -> None:
    """The credential, or the address."""
    api.get(case.url, **FAULTS[fault])

    message = connector.check(config(case.provider)).connection["message"]

    assert (key or case.key) in message


@pytest.mark.parametrize("case", [a_list("bird_recordings"), a_list("amigo_calls")], ids=["bird", "amigo"])
def test_an_unknown_workspace_is_called_so(case: Case, connector: Connector, api: requests_mock.Mocker) -> None:
    api.get(case.url, status_code=404)

    message = connector.check(config(case.provider)).connection["message"]

    assert f"`{case.provider}.workspace_id`" in message


def test_all_that_failed_are_reported_together(connector: Connector, api: requests_mock.Mocker) -> None:
    """An account each -> a request each -> one message with everything to repair, not one a run."""
    for case in FIRST:
        api.get(case.url, status_code=401)
    quo = a_list("quo_calls")
    api.get(quo.url, json=quo.answer)
    api.get(a_list("bota_recordings").url, exc=requests.exceptions.ConnectionError("refused"))

    output = connector.check(config(*ALL))

    message = output.connection["message"]
    for word in ("`bird.access_key`", "`amigo.api_key`", "`tether.credentials`", "Bota"):
        assert word in message
    assert "quo" not in message.lower()
    assert len({urlsplit(request.url).netloc for request in api.request_history}) == len(ALL)


@pytest.mark.parametrize("case", first_of_each(DETAILS), ids=str)
def test_with_ids_the_first_one_is_asked_for(case: Case, connector: Connector, api: requests_mock.Mocker) -> None:
    """Contract: an id list uses the get endpoints only -> so does check, with a single id."""
    settings = case.config
    assert case.by_id
    for keys in settings.values():
        for value in keys.values() if isinstance(keys, dict) else []:
            if isinstance(value, list):
                value += [f"{case.by_id}2", f"{case.by_id}3"]
    api.get(case.url, json=case.answer)

    output = connector.check(settings)

    assert output.connection["status"] == "SUCCEEDED"
    assert api.request_history[0].url == case.url
    assert not any(
        other in request.url for request in api.request_history for other in (f"{case.by_id}2", f"{case.by_id}3")
    )


def test_a_first_id_without_a_recording_is_no_failure(connector: Connector, api: requests_mock.Mocker) -> None:
    """404 of a detail means that there is no recording (any more) -> host, key and workspace are fine."""
    case = a_detail("quo_call_recordings")
    api.get(case.url, status_code=404)

    assert connector.check(case.config).connection["status"] == "SUCCEEDED"


def test_a_good_login_is_a_login_and_a_request(connector: Connector, api: requests_mock.Mocker) -> None:
    api.post(f"{TETHER}/api/auth/login", json={"token": "t0ken"})
    history = a_list("tether_calls")
    api.get(history.url, json=history.answer)

    output = connector.check(config(tether={"credentials": LOGIN}))

    assert output.connection["status"] == "SUCCEEDED"
    assert [request.method for request in api.request_history] == ["POST", "GET"]


@pytest.mark.parametrize("status", [400, 401, 500])
def test_a_refused_login_is_called_so(
    status: int, connector: Connector, api: requests_mock.Mocker, naps: list[float]
) -> None:
    api.post(f"{TETHER}/api/auth/login", status_code=status)

    output = connector.check(config(tether={"credentials": LOGIN}))

    assert output.connection["status"] == "FAILED"
    assert "tether" in output.connection["message"].lower()
    if status < 500:
        assert "`tether.credentials.password`" in output.connection["message"]
    assert (api.call_count, naps) == (1, [])


def test_a_message_is_a_sentence_without_internals(connector: Connector, api: requests_mock.Mocker) -> None:
    for case in FIRST:
        api.get(case.url, status_code=500, text="<html>stack</html>")

    message = connector.check(config(*ALL)).connection["message"]

    for word in ("Traceback", "Exception", "<html>", "{{", "None", "https://"):
        assert word not in message


def above(case: Case) -> Case:
    """The list whose rows a case is about, or the case itself."""
    return a_list(case.owner.root_of(case.of).name)


@pytest.mark.parametrize("case", HINTED, ids=str)
@pytest.mark.parametrize("status", [401, 403])
def test_what_a_key_may_not_read_is_a_hint(
    case: Case, status: int, connector: Connector, api: requests_mock.Mocker, naps: list[float]
) -> None:
    """Nobody knows yet whether the stream will be selected -> SUCCEEDED, and a warning that names it."""
    for other in (above(case), first_of_each([c for c in LISTS if c.provider == case.provider])[0]):
        api.get(other.url, json=other.answer)
    api.get(case.url, status_code=status)

    output = connector.check(config(case.provider))

    assert output.connection == {"status": "SUCCEEDED"}
    (hint,) = output.logs("WARN")
    assert hint.startswith(f"Stream {case.stream} can't be read with this config: ")
    assert case.key in hint or case.stream in hint.partition(": ")[2]
    assert naps == []


@pytest.mark.parametrize("case", HINTED, ids=str)
@pytest.mark.parametrize("fault", ["429", "500", "html", "time-out"])
def test_what_may_pass_is_none(case: Case, fault: str, connector: Connector, api: requests_mock.Mocker) -> None:
    for other in (above(case), first_of_each([c for c in LISTS if c.provider == case.provider])[0]):
        api.get(other.url, json=other.answer)
    api.get(case.url, **FAULTS[fault])

    output = connector.check(config(case.provider))

    assert output.connection == {"status": "SUCCEEDED"}
    assert output.logs("WARN") == []


def test_an_account_without_calls_gives_no_hint(connector: Connector, api: requests_mock.Mocker) -> None:
    calls = a_list("quo_calls")
    api.get(calls.url, json=calls.with_rows())
    transcripts = a_detail("quo_call_transcripts")
    api.get(transcripts.url, status_code=402)

    output = connector.check(config("quo"))

    assert (output.connection["status"], output.logs("WARN")) == ("SUCCEEDED", [])


def test_transcripts_that_the_plan_has_not_are_told_before_the_first_sync(
    connector: Connector, api: requests_mock.Mocker
) -> None:
    calls, transcripts = a_list("quo_calls"), a_detail("quo_call_transcripts")
    api.get(calls.url, json=calls.answer)
    api.get(transcripts.url, status_code=402)

    (hint,) = connector.check(config("quo")).logs("WARN")

    assert "Business or Scale plan" in hint
