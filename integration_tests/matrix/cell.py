"""One cell of the matrix: a kind of fault at one provider's requests of one role."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from integration_tests.matrix.figures import Figures
from integration_tests.matrix.hurry import hurried
from integration_tests.matrix.kinds import KINDS, Ending, Kind, Scene
from integration_tests.matrix.observed import Expected, Observed, leaks, observe, wrong_files
from integration_tests.matrix.spots import Role, Spot, spots_of
from integration_tests.other_host import OtherHost
from integration_tests.syncing import Row, sandbox_config
from sandbox import Sandbox
from sandbox.faults import Fault
from source_recordings.provider import Provider

START = "2026-07-01T00:00:00Z"
"""Before the sandbox's first row."""

ADVICE = re.compile(r"[Nn]ext (one|sync)|Check |Set |Switch on |Take |tell the provider")
TIMES = 2


@dataclass(frozen=True)
class Cell:
    """Where the fault strikes, and its kind."""

    provider: Provider
    role: Role
    kind: Kind
    spots: tuple[Spot, ...]

    def __str__(self) -> str:
        return f"{self.provider.name}-{self.role}-{self.kind.name}"

    @property
    def ending(self) -> Ending | None:
        return self.kind.ending(self.spots[0])


def cells(providers: Mapping[str, Provider]) -> Iterator[Cell]:
    """All that can be."""
    for provider in providers.values():
        spots = spots_of(provider)
        for role in dict.fromkeys(spot.role for spot in spots):
            for kind in KINDS:
                struck = tuple(spot for spot in spots if spot.role == role and kind.applies(spot))
                if struck:
                    yield Cell(provider, role, kind, struck)


@dataclass
class Findings:
    """What is wrong with a cell's syncs."""

    problems: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)

    @property
    def all(self) -> list[str]:
        return [*self.problems, *self.lost, *self.leaks]

    def __repr__(self) -> str:
        return "\n".join(["", *dict.fromkeys(self.all)])

    @property
    def figures(self) -> Figures:
        return Figures(1, int(not self.all), len(self.lost), len(self.leaks))


@dataclass
class Ground:
    """What all cells share, and one cell's findings."""

    sandbox: Sandbox
    providers: Mapping[str, Provider]
    expected: Expected
    foreign: OtherHost
    staging: Path
    findings: Findings = field(default_factory=Findings)

    def config(self, provider: Provider, **more: Any) -> Row:
        """Of the provider and its neighbour, with the login where there is one."""
        names = [provider.name, self.neighbour(provider).name]
        found = sandbox_config(self.sandbox, *names, start_date=START, num_workers=4, **more)
        for name, section in self.sandbox.config(names, login=True).items():
            found[name] |= section
        return found

    def neighbour(self, provider: Provider) -> Provider:
        names = list(self.providers)
        return self.providers[names[(names.index(provider.name) + 1) % len(names)]]

    def streams(self, provider: Provider) -> list[str]:
        """All of the provider's, and one list of its neighbour's."""
        neighbour = self.neighbour(provider)
        return [*provider.streams, next(iter(neighbour.streams))]

    def sync(self, provider: Provider, state: Iterable[Row] = (), **more: Any) -> Observed:
        """One sync, and all that is to be said about any."""
        config = self.config(provider, **more)
        observed = observe(config, self.streams(provider), state)
        findings = self.findings
        findings.problems += observed.protocol_problems()
        findings.problems += self.expected.repeated(observed)
        findings.problems += wrong_files(observed, self.staging)
        findings.leaks += leaks(self.sandbox, self.providers, config, observed)
        findings.leaks += [f"the foreign host was asked: {asked}" for asked in self.foreign.asked]
        return observed

    def strike(self, cell: Cell, times: int | None) -> "Strikes":
        scene = Scene(self.sandbox, self.foreign.address, times)
        faults = []
        for spot in cell.spots:
            arguments = {"times": times, **cell.kind.fault(spot, scene)}
            path = arguments.pop("path", None)
            faults.append(self.sandbox.fault(spot.host, path(spot) if path else spot.path, **arguments))
        return Strikes(cell, faults)

    def must_be_whole(self, observed: Observed, streams: Iterable[str]) -> None:
        for stream in streams:
            if observed.status(stream) != "COMPLETE":
                self.findings.problems.append(f"{stream} is {observed.status(stream)}: {observed.result.errors()}")

    def must_be_at_an_end(self, cell: Cell, concerned: frozenset[str], observed: Observed) -> None:
        """The streams concerned end incomplete and say why; the others are whole."""
        others = set(observed.streams) - concerned
        if cell.kind.takes_host:
            others -= set(cell.provider.streams)
        self.must_be_whole(observed, others)
        problems = self.findings.problems
        problems += [f"{s} is {observed.status(s)}" for s in concerned if observed.status(s) != "INCOMPLETE"]
        problems += self.expected.missing(others, observed)
        if not observed.result.failed:
            problems.append("the sync did not fail")
        told = {error["stream_descriptor"]["name"] for error in observed.errors if error.get("stream_descriptor")}
        problems += [f"{stream} says nothing" for stream in concerned - told]
        for error in observed.errors:
            problems += self._wrong_words(cell, error)

    def _wrong_words(self, cell: Cell, error: Row) -> Iterator[str]:
        text, kind = error["message"], error["failure_type"]
        if cell.provider.title not in text and cell.provider.name not in text.lower():
            yield f"names no provider: {text}"
        if not ADVICE.search(text):
            yield f"says not what to do: {text}"
        # A file that the provider gives no good address for: no key of the config mends it.
        is_strange = any(spot.follows for spot in cell.spots) and kind == "system_error"
        refusals = {text for stream in cell.provider.streams.values() for text in stream.operation.refuse.values()}
        is_refused = cell.ending == "refused" or text in refusals
        if is_refused != (is_strange or kind == "config_error"):
            yield f"is a {kind}: {text}"


@dataclass
class Strikes:
    """A cell's faults, one at each of its spots."""

    cell: Cell
    faults: list[Fault]

    def concerned(self) -> frozenset[str]:
        """The streams that can't be whole while the fault lasts.

        Skips what can't be: a fault of a body where answers have none, or of requests that the definition only allows for.
        """
        struck = [spot for spot, fault in zip(self.cell.spots, self.faults, strict=True) if fault.hits]
        if struck:
            return frozenset().union(*(spot.streams for spot in struck))
        if any(fault.seen for fault in self.faults):
            pytest.skip("the answers have no body that could break")
        assert not all(spot.is_certain for spot in self.cell.spots), "no such request was made"
        pytest.skip("there are no such requests")


def passing(cell: Cell, ground: Ground) -> None:
    """The fault strikes a few times, and all comes in the same sync."""
    kind = cell.kind
    with hurried(kind.nap, kind.read_seconds) as waits:
        strikes = ground.strike(cell, TIMES)
        observed = ground.sync(cell.provider)
    concerned = strikes.concerned()
    findings = ground.findings
    if cell.ending == "missing":
        _comes_later(cell, concerned, ground, observed)
        return
    ground.must_be_whole(observed, observed.streams)
    findings.lost += ground.expected.missing(observed.streams, observed)
    findings.problems += [f"error: {error['message']}" for error in observed.errors]
    if kind.asked and cell.role != "storage":
        low, high = kind.asked
        if not any(low <= seconds <= high for seconds in waits):
            findings.problems.append(f"waits {waits}, and not {kind.asked}")


def lasting(cell: Cell, ground: Ground) -> None:
    """The fault strikes for ever; once it is gone, the next sync brings what was missed."""
    kind = cell.kind
    survives = cell.ending in ("survives", "missing")
    with hurried(kind.nap if survives else 0.002, kind.read_seconds, gives_up=not survives):
        strikes = ground.strike(cell, None)
        observed = ground.sync(cell.provider)
    concerned = strikes.concerned()
    if cell.ending == "missing":
        _comes_later(cell, concerned, ground, observed)
        return
    if cell.ending == "survives":
        ground.must_be_whole(observed, observed.streams)
        ground.findings.lost += ground.expected.missing(observed.streams, observed)
        return
    ground.must_be_at_an_end(cell, concerned, observed)
    after(ground, cell.provider, observed)


def _comes_later(cell: Cell, concerned: frozenset[str], ground: Ground, observed: Observed) -> None:
    """No stream fails; the records say that the file is missing, and the next sync inside the look-back gets it."""
    ground.must_be_whole(observed, observed.streams)
    others = [stream for stream in observed.streams if stream not in concerned]
    ground.findings.lost += ground.expected.missing(others, observed)
    statuses = {r["media_status"] for s in concerned for r in observed.result.records(s)}
    if not statuses <= {"stored", "missing"} or "missing" not in statuses:
        ground.findings.problems.append(f"files are {statuses}")
    after(ground, cell.provider, observed, lookback_days=200)


def after(ground: Ground, provider: Provider, before: Observed, **more: Any) -> Observed:
    """The next sync, without any fault."""
    ground.sandbox.clear_faults()
    with hurried():
        observed = ground.sync(provider, before.result.state, **more)
    ground.must_be_whole(observed, observed.streams)
    ground.findings.lost += ground.expected.missing(observed.streams, before, observed)
    return observed
