"""Cuts a backfill into parts: one config for each, with a start date and an end date.

`python examples/backfill_parts.py --config config.json --start 2023-01-01 --parts 4 --output parts`

The parts meet at the same instants, without gap or overlap. The last one has no end date (unless the config has one), so
that it can go on as the regular sync. The rate limits of Bird, Quo and Bota are those of a key, which the parts share: each gets its share of
them, unless --own-limits says that the parts will not run at the same time.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from copy import deepcopy
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

Config = dict[str, Any]

# What the providers allow one key, as in the connector's own defaults.
LIMITS = {"bird": ("requests_per_second", 50), "quo": ("requests_per_second", 10), "bota": ("requests_per_minute", 100)}


def main() -> None:
    options = _options()
    try:
        config = json.loads(options.config.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        sys.exit(f"The config {options.config} can't be read: {error}")
    start = _moment(config.get("start_date") if options.start is None else options.start)
    now = datetime.now(timezone.utc).isoformat()
    until = _moment(options.until or config.get("end_date") or now)
    parts = cut(config, start, until, options.parts, share_limits=not options.own_limits)
    options.output.mkdir(parents=True, exist_ok=True)
    files = [options.output / f"part-{number}.json" for number in range(1, len(parts) + 1)]
    if others := sorted({*options.output.glob("part-*.json")} - {*files}):
        sys.exit(f"{others[0]} is of another cut: take it away first, or name another folder.")
    for file, part in zip(files, parts, strict=True):
        write(file, part)
        print(f"{file}   {part['start_date']} to {part.get('end_date', 'now, and on')}")


def cut(config: Mapping[str, Any], start: datetime, until: datetime, count: int, *, share_limits: bool) -> list[Config]:
    """The configs of parts of equal length in time, to the second."""
    seconds = int((until - start).total_seconds())
    if seconds < count:
        sys.exit(f"From {_text(start)} to {_text(until)} there is no room for {count} parts.")
    begin = int(start.timestamp())
    bounds = [begin + seconds * number // count for number in range(count)]
    parts = []
    for number, bound in enumerate(bounds):
        part = deepcopy(dict(config))
        part["start_date"] = _text(datetime.fromtimestamp(bound, timezone.utc))
        if number + 1 < count:
            part["end_date"] = _text(datetime.fromtimestamp(bounds[number + 1], timezone.utc))
        if share_limits:
            _share_limits(part, count)
        parts.append(part)
    return parts


def _share_limits(part: Config, count: int) -> None:
    for provider, (key, default) in LIMITS.items():
        section = part.get(provider)
        if section is None or section.get("connection") == "disabled":
            continue
        limit = section.get(key) or default
        if limit < count:
            sys.exit(f"{provider} allows {limit} requests: too few to share among {count} parts.")
        section[key] = limit // count


def write(file: Path, config: Config) -> None:
    """The config holds credentials: nobody else may read it."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.fchmod(descriptor, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as output:
        json.dump(config, output, indent=2)
        output.write("\n")


def _moment(text: str | None) -> datetime:
    if text is None:
        sys.exit("Say from when: --start, or start_date in the config.")
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        sys.exit(f"{text} is no date. Write it as 2023-01-01 or 2023-01-01T00:00:00Z.")
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def _text(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True, help="the config of the whole")
    parser.add_argument("--start", help="the first day; default: the config's start_date")
    parser.add_argument("--until", help="what to cut ends here; default: the config's end_date, or now")
    parser.add_argument("--parts", type=int, required=True, metavar="N", help="1 to 1000")
    parser.add_argument("--output", type=Path, required=True, help="a folder for the configs")
    parser.add_argument("--own-limits", action="store_true", help="leave the rate limits as they are")
    options = parser.parse_args()
    if not 1 <= options.parts <= 1000:
        parser.error("--parts must be from 1 to 1000")
    return options


if __name__ == "__main__":
    main()
