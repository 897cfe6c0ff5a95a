"""The matrix itself: it covers every request that a sync makes, and sees what is wrong when something is."""

import json
import logging
import re
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from integration_tests.conftest import REPOSITORY
from integration_tests.matrix.cell import Cell, Ground, cells
from integration_tests.matrix.figures import Figures, as_property, total
from integration_tests.matrix.hurry import hurried
from integration_tests.matrix.kinds import KINDS
from integration_tests.matrix.observed import Observed, leaks, wrong_files
from integration_tests.matrix.spots import FILES, spots_of
from source_recordings.provider_yaml import load_providers

PROVIDER = "quo"
LEAKS = ("?X-Amz-Signature=ab", "key sandbox-amigo-api-key")


@pytest.fixture
def whole(ground: Ground) -> Observed:
    """A sync with nothing wrong."""
    with hurried():
        found = ground.sync(ground.providers[PROVIDER])
    assert not ground.findings.all, ground.findings
    return found


@pytest.mark.parametrize("name", list(load_providers()))
def test_every_request_belongs_to_one_spot(name: str, ground: Ground) -> None:
    """What a whole sync asks for is what faults strike, each request in one place."""
    spots = spots_of(ground.providers[name])
    with hurried():
        ground.sync(ground.providers[name])
    neighbour = ground.neighbour(ground.providers[name]).name
    asked = [r for r in ground.sandbox.requests if r.provider != neighbour]
    struck = [[s for s in spots if s.host == r.provider and re.search(s.path, r.path)] for r in asked]
    assert [r.path for r, found in zip(asked, struck, strict=True) if len(found) != 1] == []
    assert [spot for spot in spots if [spot] not in struck] == []


def test_every_kind_is_somewhere() -> None:
    """Each kind strikes lists, details and files, unless its rule says where it can't be."""
    found = list(cells(load_providers()))
    assert len({str(cell) for cell in found}) == len(found)
    everywhere = {"list", "details", *FILES}
    for name in ("429", "500", "refused", "reset", "slow-start", "drip", "truncated", "redirect"):
        assert roles(found, name) >= everywhere, name
    for name in ("not-utf8", "rows-null", "whole-list", "whole-number"):
        assert roles(found, name) >= {"list", "details"}, name
    assert roles(found, "repeated-token") == roles(found, "empty-page") == roles(found, "no-rows") == {"list"}
    assert roles(found, "expired-login") == {"list", "details"}


def test_every_kind_stands_in_the_table() -> None:
    """CONTRIBUTING.md says of each kind what a sync does and what the user reads, and of no others."""
    text = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in text.splitlines() if line.startswith("|")]
    tests = [row[4] for row in rows if len(row) == 6]
    told = {name for test in tests for name in re.findall(r"`([\w-]+)`", test)}
    modules = {path.stem for path in Path(__file__).parent.glob("test_*.py")}
    assert told - modules == {kind.name for kind in KINDS}


def roles(found: list[Cell], name: str) -> set[str]:
    return {cell.role for cell in found if cell.kind.name == name}


def test_a_lost_row_and_a_wrong_file_are_seen(whole: Observed, ground: Ground) -> None:
    stream = "quo_recording_files"
    assert ground.expected.missing(whole.streams, whole) == []
    one = next(m for m in whole.result.messages if m["type"] == "RECORD" and m["record"]["stream"] == stream)
    path = ground.staging / one["record"]["data"]["media_path"]

    path.write_bytes(path.read_bytes()[:-1])
    assert len(wrong_files(whole, ground.staging)) == 1
    one["record"]["data"]["media_sha256"] = "0"
    assert len(ground.expected.missing([stream], whole)) == 1
    whole.result.messages.remove(one)
    assert len(ground.expected.missing([stream], whole)) == 1
    whole.result.messages += [whole.result.messages[-1]] * 2
    assert ground.expected.repeated(whole) == []
    record = next(m for m in whole.result.messages if m["type"] == "RECORD")
    whole.result.messages.insert(0, record)
    assert len(ground.expected.repeated(whole)) == 1


@pytest.mark.parametrize("text", LEAKS)
@pytest.mark.parametrize("where", ["log", "trace", "last word", "logger"])
def test_a_leak_is_seen(text: str, where: str, whole: Observed, ground: Ground) -> None:
    config = ground.config(ground.providers["amigo"])
    error = {"type": "TRACE", "trace": {"type": "ERROR", "error": {"message": "no", "stack_trace": text}}}
    assert leaks(ground.sandbox, ground.providers, config, whole) == []
    if where == "log":
        whole.result.messages.append({"type": "LOG", "log": {"message": text}})
    elif where == "trace":
        whole.result.messages.append(error)
    elif where == "last word":
        whole.result.last_word = error
    else:
        whole.logged.append(text)
    assert len(leaks(ground.sandbox, ground.providers, config, whole)) == 1


def test_a_signature_that_was_given_is_seen_without_its_name(whole: Observed, ground: Ground) -> None:
    given = next(r.query["X-Amz-Signature"] for r in ground.sandbox.requests if r.provider == "storage")
    whole.logged.append(f"({given})")
    assert len(leaks(ground.sandbox, ground.providers, {}, whole)) == 1


def test_a_stranger_that_is_asked_is_seen(whole: Observed, ground: Ground) -> None:
    whole.asked.add("foreign.example.com")
    assert leaks(ground.sandbox, ground.providers, {}, whole) == ["foreign.example.com was asked"]
    request = next(r for r in ground.sandbox.requests if r.provider == "storage")
    request.headers["Authorization"] = "Bearer something-of-a-provider"
    assert len(leaks(ground.sandbox, ground.providers, {}, whole)) == 2


def test_what_the_connector_logs_is_watched(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also at the level that is off, and before the secrets in it are masked."""
    close = "source_recordings.sync.Sync.close"
    monkeypatch.setattr(close, lambda _: logging.getLogger("airbyte").debug("%s", LEAKS[1]))
    provider = ground.providers["amigo"]
    with hurried():
        ground.sync(provider)
    assert len(ground.findings.leaks) == 1


Change = Callable[[list[dict[str, Any]]], Any]


@pytest.mark.parametrize(
    "change",
    [
        lambda messages: messages.append(next(m for m in messages if m["type"] == "RECORD")),
        lambda messages: messages.append(next(m for m in messages if "COMPLETE" in json.dumps(m))),
        lambda messages: messages.remove(next(m for m in messages if "STARTED" in json.dumps(m))),
        lambda messages: messages.append({"type": "LOG"}),
        lambda messages: next(m for m in messages if m["type"] == "RECORD")["record"]["data"].update(x=float("nan")),
    ],
    ids=["record at the end", "two ends", "no start", "no message", "no JSON"],
)
def test_a_broken_protocol_is_seen(change: Change, whole: Observed) -> None:
    assert list(whole.protocol_problems()) == []
    whole.result.messages = deepcopy(whole.result.messages)
    change(whole.result.messages)
    assert list(whole.protocol_problems()) != []


def test_the_figures_are_the_sum_of_all_cells() -> None:
    """Of the calls' reports: the others repeat what these have."""
    figures = [Figures(1, 1), Figures(1, 0, rows_lost=3, leaks=1)]
    reports = [
        SimpleNamespace(when=when, user_properties=[("other", 1), as_property(one)])
        for one in figures
        for when in ("setup", "call", "teardown")
    ]
    assert total([*reports, object()]).line == "fault matrix: 2 faults tried, 1 survived, 3 rows lost, 1 leaks"
