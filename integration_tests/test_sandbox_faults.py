"""The sandbox's faults on the wire: each breaks what it matches, in the way that its name says, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from integration_tests.conftest import NOW
from sandbox import Sandbox
from sandbox.faults import DAMAGES, Kind


@pytest.fixture(scope="module")
def started() -> Iterator[Sandbox]:
    with Sandbox(seed=3, size=6, now=NOW) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(started: Sandbox) -> Sandbox:
    started.clear_faults()
    started.clear_requests()
    return started


def ask(sandbox: Sandbox, path: str = "/v1/recordings", session: Any = requests, **more: Any) -> requests.Response:
    """One of Bota's lists, unless another path of it is named."""
    section = sandbox.config()["bota"]
    headers = {"Authorization": f"Bearer {section['api_key']}"}
    response: requests.Response = session.get(section["base_url"] + path, headers=headers, timeout=5, **more)
    return response


@pytest.mark.parametrize("kind", ["drop", "reset"])
def test_a_connection_ends_without_an_answer(sandbox: Sandbox, kind: Kind) -> None:
    sandbox.fault("bota", "recordings$", kind=kind, times=1)
    with pytest.raises(requests.ConnectionError, match="reset by peer" if kind == "reset" else None):
        ask(sandbox)
    assert ask(sandbox).status_code == 200
    assert [entry.status for entry in sandbox.requests] == [None, 200]


@pytest.mark.parametrize("kind", ["truncate", "reset_inside"])
def test_a_body_ends_half_way(sandbox: Sandbox, kind: Kind) -> None:
    whole = ask(sandbox).content
    sandbox.fault("bota", "recordings$", kind=kind, times=1)
    response = ask(sandbox, stream=True)
    assert response.headers["Content-Length"] == str(len(whole))
    with pytest.raises(
        requests.exceptions.RequestException, match="reset by peer" if "reset" in kind else "Incomplete"
    ):
        response.content  # noqa: B018
    assert ask(sandbox).content == whole


def test_a_late_answer_is_the_answer(sandbox: Sandbox) -> None:
    whole = ask(sandbox).content
    sandbox.fault("bota", "recordings$", kind="late", seconds=0.2, times=1)
    began = time.monotonic()
    assert ask(sandbox).content == whole
    assert time.monotonic() - began >= 0.2


def test_a_dripping_answer_is_the_answer(sandbox: Sandbox) -> None:
    """Each piece comes within the pause, the whole only after all of them."""
    whole = ask(sandbox).content
    sandbox.fault("bota", "recordings$", kind="drip", seconds=0.05, times=1)
    began = time.monotonic()
    response = ask(sandbox, stream=True)
    first = time.monotonic() - began
    assert response.content == whole
    assert time.monotonic() - began >= 0.25 > first


def test_a_rewritten_answer(sandbox: Sandbox) -> None:
    """The function gets the request and the values, and gives values or bytes."""
    seen: list[Any] = []

    def rewrite(request: Any, body: Any) -> Any:
        seen.append((request.query.get("limit"), sorted(body)))
        return {"data": "\u2713"} if len(seen) == 1 else b"\xff"

    sandbox.fault("bota", "recordings$", kind="rewrite", rewrite=rewrite, times=2)
    assert ask(sandbox, "/v1/recordings?limit=1").json() == {"data": "\u2713"}
    assert ask(sandbox).content == b"\xff"
    assert seen == [("1", ["data", "has_more", "next_cursor"]), (None, ["data", "has_more"])]
    assert "limit=1" not in ask(sandbox).text


@pytest.mark.parametrize("kind", DAMAGES)
def test_only_a_good_answer_can_be_damaged(sandbox: Sandbox, kind: Kind) -> None:
    """What is refused is refused as ever, and the fault waits for the next request."""
    more: dict[str, Any] = {"rewrite": lambda *_: b"other"} if kind == "rewrite" else {"seconds": 0.0}
    fault = sandbox.fault("bota", "^/v1/recordings", kind=kind, times=1, **more)
    assert ask(sandbox, "/v1/recordings/rec_1").json()["error"]["code"] == "not_found"
    assert (fault.seen, fault.hits) == (1, 0)
    try:
        ask(sandbox)
    except requests.exceptions.RequestException:
        assert kind in ("truncate", "reset_inside")
    assert (fault.seen, fault.hits) == (2, 1)


@pytest.mark.parametrize("kind", ["drip", "reset_inside", "rewrite"])
def test_a_file_is_damaged_as_well(sandbox: Sandbox, kind: Kind) -> None:
    url = next(row["url"] for row in sandbox.rows("quo_call_recordings") if row["url"])
    whole = requests.get(url, timeout=5)
    more: dict[str, Any] = {"rewrite": lambda _, body: body[:7]} if kind == "rewrite" else {"seconds": 0.0}
    sandbox.fault("storage", "^/quo/", kind=kind, times=1, **more)
    if kind == "reset_inside":
        with pytest.raises(requests.exceptions.RequestException):
            requests.get(url, timeout=5)
    else:
        broken = requests.get(url, timeout=5)
        assert broken.content == whole.content[: 7 if kind == "rewrite" else None]
        assert broken.headers["ETag"] == whole.headers["ETag"]
    assert requests.get(url, timeout=5).content == whole.content


def test_a_host_goes_down_and_comes_up(sandbox: Sandbox) -> None:
    """The connections it has are reset, new ones are refused; the other hosts answer; the address stays the same."""
    with requests.Session() as session:
        assert ask(sandbox, session=session).status_code == 200
        sandbox.fault("bota", "transcriptions", kind="down", times=1)
        with pytest.raises(requests.ConnectionError, match="reset by peer"):
            ask(sandbox, "/v1/transcriptions/txn_1", session)
        for _ in range(3):
            with pytest.raises(requests.ConnectionError, match="refused"):
                ask(sandbox, session=session)
        assert requests.get(sandbox.config()["quo"]["base_url"], timeout=5).status_code == 404
        sandbox.clear_faults()
        assert ask(sandbox, session=session).status_code == 200


def test_a_host_comes_up_by_itself(sandbox: Sandbox) -> None:
    sandbox.fault("bota", "recordings$", kind="down", seconds=0.2, times=1)
    for _ in range(2):
        with pytest.raises(requests.ConnectionError):
            ask(sandbox)
    time.sleep(0.4)
    assert ask(sandbox).status_code == 200


def test_a_host_that_is_down_can_be_stopped() -> None:
    with Sandbox(seed=3, size=1, now=NOW) as other:
        other.fault("bota", ".", kind="down", seconds=0.01)
        with pytest.raises(requests.ConnectionError):
            ask(other)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"kind": "late"}, "needs seconds"),
        ({"kind": "drip"}, "needs seconds"),
        ({"kind": "rewrite"}, "function"),
        ({"kind": "drop", "rewrite": lambda *_: None}, "function"),
        ({"kind": "explode"}, "kind is one of"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(sandbox: Sandbox, fault: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        sandbox.fault("bota", ".", **fault)
