"""The results as Markdown: medians, and what this connector does beside each of the others."""

from collections.abc import Iterable, Iterator, Sequence

from benchmarks.peers.figures import Figures, Results
from benchmarks.peers.startup import BARE, times
from benchmarks.peers.systems import BEFORE, NOTES, OURS, PEERS, RAW
from benchmarks.peers.work import FILE_SIZE, Case

TITLES = {system.key: system.title for system in (OURS, BEFORE, *PEERS, RAW)}
NONE = "-"


def markdown(results: Results) -> Iterator[str]:
    """All tables that there is something for, line by line."""
    yield from _list(results)
    yield from _matrix(results, "details", "Details/s")
    yield from _cpu(results)
    yield from _matrix(results, "tail", "Details/s, one answer in ten is slow")
    yield from _limit(results)
    yield from _files(results)
    yield from _commands(results)
    yield from _ceiling(results)


def _table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield from ("", f"### {title}", "", f"| {' | '.join(heads)} |")
    yield f"|---|{'---:|' * (len(heads) - 1)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _number(value: float | None, digits: int = 0) -> str:
    return NONE if value is None else f"{value:,.{digits}f}"


def _ratio(ours: float | None, other: float | None) -> str:
    return f"{ours / other:.2f}" if ours and other else NONE


def _compared(results: Results, case: Case) -> list[str]:
    return [s for s in results.systems([case]) if s != RAW.key]


def _spread(results: Results, cases: Iterable[Case]) -> Iterator[str]:
    if results.rounds < 2:
        return
    spread = max(
        results.spread(case, system, lambda f: f.rate) for case in cases for system in _compared(results, case)
    )
    yield ""
    yield f"Rounds of one system differ by {spread:.0f}% at most."


def _list(results: Results) -> Iterator[str]:
    for case in results.cases("list"):
        ours = results.of(case, OURS.key, lambda f: f.rate)
        rows = [
            (
                TITLES[system],
                _number(results.of(case, system, lambda f: f.rate)),
                _ratio(ours, results.of(case, system, lambda f: f.rate)),
                _number(results.of(case, system, lambda f: f.whole_rate)),
                _memory(results, case, system),
            )
            for system in _compared(results, case)
        ]
        heads = ("", "rows/s", "this connector ÷ it", "with start-up", "peak memory, MB")
        yield from _table(f"List of {case.count:,} rows", heads, rows)
        yield from _spread(results, [case])


def _memory(results: Results, case: Case, system: str) -> str:
    peak = results.of(case, system, lambda f: f.peak)
    return _number(peak / 1e6) if peak else NONE


def _matrix(results: Results, work: str, title: str) -> Iterator[str]:
    cases = results.cases(work)
    if not cases:
        return

    def rate(case: Case, system: str) -> float | None:
        return results.of(case, system, lambda f: f.rate)

    systems = [s for s in results.systems(cases) if s != RAW.key]
    rows = [(TITLES[s], *(_number(rate(case, s)) for case in cases)) for s in systems]
    rows += [
        (f"{TITLES[OURS.key]} ÷ {TITLES[s]}", *(_ratio(rate(case, OURS.key), rate(case, s)) for case in cases))
        for s in systems
        if s != OURS.key and OURS.key in systems
    ]
    yield from _table(title, ("", *(case.name for case in cases)), rows)
    yield from _spread(results, cases)
    yield from ("", f"{NONE}: {NOTES['singer']}.")


def _cpu(results: Results) -> Iterator[str]:
    ones = results.cases("one")
    many = [c for c in results.cases("details") if c.latency_ms == 0 and c.workers == 16]
    if not ones or not many:
        return
    one, case = ones[0], many[0]

    def cpu(system: str) -> float | None:
        # What the start takes is in both.
        least = results.of(one, system, lambda f: f.cpu)
        whole = results.of(case, system, lambda f: f.cpu)
        return None if least is None or whole is None else (whole - least) * 1000 / (case.count - one.count)

    rows = [
        (
            TITLES[system],
            _number(cpu(system), 3),
            _ratio(cpu(OURS.key), cpu(system)),
            _number(results.of(one, system, lambda f: f.cpu), 2),
            _number(results.of(one, system, lambda f: f.whole), 2),
            _memory(results, case, system),
        )
        for system in _compared(results, case)
    ]
    heads = (
        "",
        "CPU seconds per 1,000 details",
        "this connector ÷ it",
        "CPU seconds with one detail",
        "seconds with one detail",
        f"peak memory with {case.count:,}, MB",
    )
    yield from _table(f"What it costs: details, {case.name}", heads, rows)


def _limit(results: Results) -> Iterator[str]:
    for case in results.cases("limit"):
        rows = [
            (
                TITLES[system],
                _number(results.of(case, system, lambda f: f.used), 1),
                _number(results.of(case, system, lambda f: f.refused_share), 1),
                _number(results.of(case, system, lambda f: f.seconds), 1),
            )
            for system in _compared(results, case)
        ]
        heads = ("", "rate used, % of allowed", "answers with 429, %", "seconds")
        title = f"{case.count:,} details where {case.per_second} a second are allowed"
        yield from _table(title, heads, rows)
        yield from ("", f"Left out: {NOTES['aio']}.")


def _files(results: Results) -> Iterator[str]:
    for case in results.cases("files"):
        size = FILE_SIZE / 1e6
        ours = results.of(case, OURS.key, lambda f: f.rate)
        ours_whole = results.of(case, OURS.key, lambda f: f.whole_rate)
        rows = []
        for system in _compared(results, case):
            rate = results.of(case, system, lambda f: f.rate)
            whole = results.of(case, system, lambda f: f.whole_rate)
            cells = (_number(rate and rate * size), _ratio(ours, rate))
            more = (_number(whole and whole * size), _ratio(ours_whole, whole))
            rows.append((TITLES[system], *cells, *more))
        beside = "this connector ÷ it"
        heads = ("", "MB/s", beside, "MB/s with start-up", beside)
        title = f"{case.count:,} files of {size:.0f} MB with SHA-256, {case.workers} workers"
        yield from _table(title, heads, rows)
        yield from _spread(results, [case])
        yield from ("", f"Left out: {NOTES['files']}.")


def _commands(results: Results) -> Iterator[str]:
    if not results.commands:
        return
    found = times(results.commands)
    rows = [
        (
            f"`{command}`" if version == OURS.key else f"`{command}`, {version}",
            _number(seconds, 2),
            _ratio(seconds, found[version, BARE]),
        )
        for (version, command), seconds in found.items()
    ]
    yield from _table("Start-up", ("", "seconds", "÷ the bare import"), rows)


def _ceiling(results: Results) -> Iterator[str]:
    """The server's own measurement, beside the fastest program in the same work."""

    def request_rate(figures: Figures) -> float:
        return figures.request_rate

    rows = []
    for case in dict.fromkeys(case for case, system in results.runs if system == RAW.key):
        ceiling = results.of(case, RAW.key, request_rate)
        rates = {s: results.of(case, s, request_rate) or 0 for s in _compared(results, case)}
        if not rates:
            continue
        fastest = max(rates, key=lambda s: rates[s])
        busy = results.of(case, fastest, lambda f: f.server_busy)
        rows.append(
            (
                f"{case.kind}, {case.name}",
                _number(ceiling),
                f"{TITLES[fastest]}: {_number(rates[fastest])}",
                _ratio(ceiling, rates[fastest]),
                _number(busy),
            )
        )
    if rows:
        heads = (
            "",
            "server's ceiling, requests/s",
            "fastest, requests/s",
            "ceiling ÷ fastest",
            "server's core busy with it, %",
        )
        yield from _table("The server is not what holds them up", heads, rows)
