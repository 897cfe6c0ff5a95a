"""`python -m sandbox`: serve until told to stop; one JSON line says where."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from datetime import datetime, timezone
from pathlib import Path
from threading import Event, Thread

from .server import Sandbox


def main() -> None:
    options = _options()
    ended = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    if options.until_stdin_closes:
        Thread(target=_wait_for_eof, args=(ended,), daemon=True).start()
    with Sandbox(
        seed=options.seed,
        size=options.size,
        now=options.now,
        days=options.days,
        ports=options.ports,
        latency=options.latency_ms / 1000,
        limits=options.limits,
    ) as sandbox:
        if options.config_file:
            _write(options.config_file, json.dumps(sandbox.config(), indent=2) + "\n")
        where = {
            "control": sandbox.control_url,
            "now": sandbox.world.now.isoformat(),
            "storage": sandbox.storage.base_url,
            **{name: provider.base_url for name, provider in sandbox.providers.items()},
        }
        print(json.dumps(where), flush=True)
        ended.wait(options.max_seconds)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument("--size", type=int, default=100, help="recordings per provider")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--days", type=int, default=90, help="days they are spread over")
    parser.add_argument("--now", type=_moment, default=None, help="the world's clock (ISO 8601)")
    parser.add_argument("--config-file", type=Path, help="write the connector's config here")
    parser.add_argument("--latency-ms", type=float, default=0.0)
    parser.add_argument("--limits", action="store_true", help="enforce the rate limits")
    parser.add_argument("--ports", type=int, default=0, help="first of 7 ports; default: free ones")
    parser.add_argument("--max-seconds", type=float, default=3600.0)
    parser.add_argument("--until-stdin-closes", action="store_true")
    return parser.parse_args()


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def _write(path: Path, text: str) -> None:
    """At once and whole, so that whoever waits for the file never sees half of it."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _wait_for_eof(ended: Event) -> None:
    while sys.stdin.read(1):
        pass
    ended.set()


if __name__ == "__main__":
    main()
