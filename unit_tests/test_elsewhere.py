"""Answers that a provider keeps at another host: where a redirect may lead, and what goes along."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests
import requests_mock

from source_recordings.errors import PassingError, UnexpectedError
from source_recordings.http.answers import Answer
from source_recordings.http.asking import Asking, ask
from source_recordings.http.storage import MAX_REDIRECTS, NotAllowed, allowed
from source_recordings.provider import Operation
from unit_tests.parts import HOST, URL, a_client, an_asking, an_endpoint, operation

STORAGE = "https://storage.example.net/t1.vtt"
SIGNED = f"{STORAGE}?X-Amz-Signature=s1gnature"
PROVIDER = "https://api.example.com"


@pytest.mark.parametrize(
    "url",
    [
        SIGNED,
        "https://storage.example.net:8443/x",
        "HTTPS://storage.example.net/",
        "https://93.184.216.34/x",
        "https://[2606:2800:220:1::1]/x",
    ],
)
def test_an_encrypted_address_is_good(url: str) -> None:
    assert allowed(url, PROVIDER) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://storage.example.net/x",
        "ftp://storage.example.net/x",
        "file:///etc/passwd",
        "//storage.example.net/x",
        "https:///x",
        "",
        "https://storage.example.net:port/x",
        "https://[::1/x",
        "https://localhost/x",
        "https://127.0.0.1/x",
        "http://127.0.0.1/x",
    ],
)
def test_any_other_address_is_not_asked(url: str) -> None:
    with pytest.raises(NotAllowed):
        allowed(url, PROVIDER)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9000/x", "http://localhost/x", "https://[::1]/x"])
def test_a_provider_on_this_machine_may_lead_to_this_machine(url: str) -> None:
    assert allowed(url, "http://127.0.0.1:8000") == url


def test_nor_may_it_lead_anywhere_else_without_encryption() -> None:
    with pytest.raises(NotAllowed):
        allowed("http://storage.example.net/x", "http://127.0.0.1:8000")


def redirect(to: str, status: int = 307) -> dict[str, Any]:
    return {"status_code": status, "headers": {"Location": to}}


def text(**more: Any) -> Operation:
    return operation(text="vtt", elsewhere=True, skip={404: "there is none"}, **more)


def asking(**more: Any) -> Asking:
    return an_asking(an_endpoint(text(), about_one=True, **more))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed_without_the_credential(status: int, api: requests_mock.Mocker) -> None:
    api.get(URL, **redirect(SIGNED, status), cookies={"session": "s3cret"})
    api.get(STORAGE, text="WEBVTT")

    assert ask(asking()).value == {"vtt": "WEBVTT"}

    own, other = api.request_history
    assert own.headers["Authorization"] == "Bearer key"
    assert other.url == SIGNED, "as it came"
    sent = {name.lower() for name in other.headers}
    assert not {"authorization", "cookie", "referer"} & sent


def test_without_it_a_redirect_stays_a_config_error(api: requests_mock.Mocker) -> None:
    api.get(URL, **redirect(SIGNED))

    with pytest.raises(Exception, match="answered with a redirect"):
        ask(an_asking(an_endpoint(operation(text="vtt"))))

    assert api.call_count == 1


def test_the_text_may_come_at_once(api: requests_mock.Mocker) -> None:
    api.get(URL, text="WEBVTT")

    assert ask(asking()).value == {"vtt": "WEBVTT"}


def test_a_few_redirects_in_a_row_are_followed(api: requests_mock.Mocker) -> None:
    """A relative one too; and nothing of the credential comes back with a way home."""
    api.get(URL, **redirect("/moved"))
    api.get(f"{HOST}/moved", **redirect(SIGNED))
    api.get(STORAGE, text="WEBVTT")

    assert ask(asking()).value == {"vtt": "WEBVTT"}

    assert ["Authorization" in request.headers for request in api.request_history] == [True, False, False]


def test_not_for_ever(api: requests_mock.Mocker) -> None:
    api.get(URL, **redirect(SIGNED))
    api.get(STORAGE, **redirect(SIGNED))

    with pytest.raises(PassingError, match="too often"):
        ask(asking(tries=2))

    assert api.call_count == 2 * (1 + MAX_REDIRECTS)


@pytest.mark.parametrize(
    "to",
    [
        "http://storage.example.net/x?sig=s1gnature",
        "https://169.254.169.254/latest/meta-data",
        "https://[fe80::1]/x",
        "https://[::ffff:169.254.169.254]/x",
        "https://[bad",
    ],
)
def test_an_address_that_is_not_allowed_is_an_error_at_once(to: str, api: requests_mock.Mocker) -> None:
    api.get(URL, **redirect(to))

    with pytest.raises(UnexpectedError, match=r"Quo led to an address that .*: it was not asked for") as told:
        ask(asking())

    assert api.call_count == 1
    assert "s1gnature" not in f"{told.value.message} {told.value.internal_message}"


def test_a_redirect_without_an_address_is_an_error(api: requests_mock.Mocker) -> None:
    api.get(URL, status_code=302)

    with pytest.raises(UnexpectedError, match="is not there"):
        ask(asking())


@pytest.mark.parametrize("status", [400, 401, 403, 410, 429, 500, 503])
def test_what_storage_refuses_is_asked_for_again(status: int, api: requests_mock.Mocker) -> None:
    """Its 401 is not the provider's: a new address may be good."""
    api.get(URL, [redirect(SIGNED), redirect(f"{STORAGE}?second")])
    api.get(STORAGE, [{"status_code": status}, {"text": "WEBVTT"}])

    assert ask(asking()).value == {"vtt": "WEBVTT"}

    assert [request.query for request in api.request_history] == ["", "X-Amz-Signature=s1gnature", "", "second"]


def test_what_storage_refuses_again_and_again_is_an_error(api: requests_mock.Mocker) -> None:
    api.get(URL, **redirect(SIGNED))
    api.get(STORAGE, status_code=403)

    with pytest.raises(
        PassingError, match=r"Quo did not give an answer .*Quo led to another address: its host answered HTTP 403"
    ) as told:
        ask(asking(tries=3))

    assert api.call_count == 6
    assert "s1gnature" not in str(told.value.message)


def test_what_storage_does_not_have_is_a_skip(api: requests_mock.Mocker) -> None:
    api.get(URL, **redirect(SIGNED))
    api.get(STORAGE, status_code=404, text="<Error/>")

    assert ask(asking()) == Answer(skipped="there is none")


def test_a_404_that_no_document_explains_is_asked_for_again(api: requests_mock.Mocker) -> None:
    """It is the storage host's, and says nothing of the provider's workspace."""
    api.get(URL, **redirect(SIGNED))
    api.get(STORAGE, status_code=404)
    endpoint = an_endpoint(operation(text="vtt", elsewhere=True, refuse={404: "no such workspace"}), tries=2)

    with pytest.raises(PassingError, match="HTTP 404"):
        ask(an_asking(endpoint))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (requests.exceptions.ConnectTimeout, "no answer in time"),
        (requests.exceptions.ConnectionError, "could not be reached"),
        (requests.exceptions.SSLError, "the TLS connection failed"),
    ],
)
def test_a_storage_that_is_not_there_is_no_fault_of_the_config(
    error: type[Exception], said: str, api: requests_mock.Mocker
) -> None:
    api.get(URL, **redirect(SIGNED))
    api.get(STORAGE, exc=error)

    with pytest.raises(PassingError, match=said) as told:
        ask(asking(tries=2))

    assert "base_url" not in str(told.value.message)


def test_several_streams_share_what_was_fetched_elsewhere(api: requests_mock.Mocker) -> None:
    from source_recordings.http.shared import Answers

    api.get(URL, **redirect(SIGNED))
    api.get(STORAGE, text="WEBVTT")
    answers, client = Answers(), a_client()
    make: Callable[[], Asking] = lambda: answers.asking(an_asking(an_endpoint(text()), client=client))  # noqa: E731

    assert [ask(make()).value for _ in range(2)] == [{"vtt": "WEBVTT"}] * 2
    assert api.call_count == 2
    answers.close()
