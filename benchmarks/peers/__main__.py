"""Measures this connector beside other programs and prints Markdown: `make bench-peers`, or

    .venv-peers/bin/python -m benchmarks.peers [--quick] [--only list tail] [--rounds 5]

All systems take turns in each round, each time with another one first.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

from benchmarks.peers import proof, startup
from benchmarks.peers.control import Server
from benchmarks.peers.figures import Figures, Results
from benchmarks.peers.machine import machine
from benchmarks.peers.ours import Connector
from benchmarks.peers.process import Failed, run
from benchmarks.peers.systems import BEFORE, OURS, PEERS, RAW, System, start
from benchmarks.peers.table import markdown
from benchmarks.peers.work import CASES, WORKS, Case

ROOT = Path(__file__).parents[2]


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    keys = [system.key for system in (OURS, *PEERS, RAW)]
    add = parser.add_argument
    add("--rounds", type=int, default=3)
    add("--only", nargs="+", choices=WORKS, default=WORKS, metavar="WORK", help=_of(WORKS))
    add("--systems", nargs="+", choices=keys, default=keys, metavar="SYSTEM", help=_of(keys))
    add("--quick", action="store_true", help="one round of a tenth of the work: whether it runs")
    ours = "Python of the environment with this connector (default: that of .venv)"
    add("--ours", type=Path, default=ROOT / ".venv/bin/python", metavar="PYTHON", help=ours)
    before = "Python of an environment with another version of it, to be measured in the same rounds"
    add("--before", type=Path, metavar="PYTHON", help=before)
    add("--json", type=Path, metavar="FILE", help="where to write every single figure as well")
    found = parser.parse_args(arguments)
    if found.quick:
        found.rounds = 1
    return found


def _of(choices: Sequence[str]) -> str:
    return f"some of: {', '.join(choices)}"


class Bench:
    """The rounds."""

    def __init__(self, chosen: argparse.Namespace, server: Server, proofs: Executor, folder: Path) -> None:
        self.chosen = chosen
        self.proofs = proofs
        self.server = server
        self.folder = folder
        self.results = Results()
        versions = {OURS.key: chosen.ours, BEFORE.key: chosen.before}
        self.connectors = {
            key: Connector(python, server.base_url, folder / key)
            for key, python in versions.items()
            if python and (key in chosen.systems or key == BEFORE.key)
        }
        self.systems = [
            system
            for system in (OURS, BEFORE, *PEERS, RAW)
            if system.key in self.connectors or (system.key in chosen.systems and system.module)
        ]

    def cases(self) -> Iterator[Case]:
        only = set(self.chosen.only)
        for case in CASES:
            for_cpu = case.work == "one" or (case.work == "details" and not case.latency_ms and case.workers == 16)
            if case.work in only or (for_cpu and "cpu" in only):
                yield case.smaller() if self.chosen.quick else case

    def run(self) -> None:
        for number in range(self.chosen.rounds):
            say(f"round {number + 1} of {self.chosen.rounds}")
            first = number % len(self.systems)
            in_turn = self.systems[first:] + self.systems[:first]
            for case in self.cases():
                for system in in_turn:
                    if system.does(case):
                        self.one(case, system)
            if "startup" in self.chosen.only:
                for key, connector in self.connectors.items():
                    startup.measure(key, connector, self.server, self.folder / "output", self.results.commands)

    def one(self, case: Case, system: System) -> None:
        told = replace(case, count=case.count_for(sequential=system.sequential))
        output = self.folder / "output"
        with tempfile.TemporaryDirectory(dir=self.folder) as made:
            begin = start(system, told, self.connectors, self.server.base_url, Path(made), ROOT)
            self.server.prepare(told)
            ran = run(begin.command, output, cwd=begin.cwd, env=begin.env)
            stats = self.server.stats()
            # In a process of its own: see `process.Ran.peak`.
            self.proofs.submit(proof.check, system.key, told, output, Path(made), stats).result()
        assert stats.first is not None
        figures = Figures(
            count=told.count,
            seconds=ran.last - stats.first,
            whole=ran.ended - ran.started,
            cpu=ran.cpu,
            peak=ran.peak,
            requests=stats.requests,
            refused=stats.refused,
            server_cpu=stats.cpu,
            per_second=case.per_second,
        )
        self.results.add(case, system.key, figures)
        say(f"  {case.work}, {case.name}: {system.title}: {figures.rate:,.0f}/s in {figures.whole:.1f} s")


def say(what: str) -> None:
    """On the way; the tables alone go to the standard output."""
    print(what, file=sys.stderr, flush=True)


def main() -> None:
    chosen = options()
    with (
        tempfile.TemporaryDirectory() as folder,
        Server(ROOT) as server,
        ProcessPoolExecutor(1, get_context("spawn")) as proofs,
    ):
        bench = Bench(chosen, server, proofs, Path(folder))
        try:
            bench.run()
        except Failed as failed:
            sys.exit(f"failed: {failed}")
    if chosen.json:
        chosen.json.write_text(json.dumps(bench.results.dump(), indent=1))
    print(machine(chosen))
    print("\n".join(markdown(bench.results)))


if __name__ == "__main__":
    main()
