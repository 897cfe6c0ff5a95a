"""Syncs recordings into a DuckDB file with PyAirbyte, a second time for what is new, and takes a table to pandas.

`pip install airbyte` (Python 3.10 to 3.12) and this package, then:

`python examples/pyairbyte_sync.py --config config.json --stream bird_recordings --stream quo_calls`
"""

import argparse
import functools
import json
import os
import sys
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CHECKOUT = Path(__file__).resolve().parent.parent


def main() -> None:
    options = _options()
    try:
        config = json.loads(options.config.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        sys.exit(f"The config {options.config} can't be read: {error}")
    ab = pyairbyte(options.folder)

    source = ab.get_source("source-recordings", config=config, **where_it_is(options.install))
    source.check()
    source.select_streams(options.stream or "*")

    with cache(ab, options) as store:
        for run in ("first", "second"):
            result = source.read(store)
            print(f"{run} sync: {result.processed_records} records")
        for name in sorted(result.streams):
            frame = result[name].to_pandas()
            print(f"{name}: {len(frame)} rows, {len(frame.columns)} columns")
        print(frame.head().to_string(max_colwidth=40))


def pyairbyte(folder: Path) -> Any:
    """PyAirbyte, which reads its settings when it is imported: files in our folder, and nothing sent home."""
    os.environ |= {
        "AIRBYTE_PROJECT_DIR": str(folder),
        "AIRBYTE_LOGGING_ROOT": str(folder / "logs"),
        "AIRBYTE_STAGING_DIRECTORY": str(folder / "files"),  # where the file streams put the audio
        "AIRBYTE_OFFLINE_MODE": "1",  # this connector is not in Airbyte's registry
        "DO_NOT_TRACK": "1",
    }
    folder.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore", FutureWarning)
    import airbyte

    return airbyte


def where_it_is(install: bool) -> dict[str, Any]:
    """The program beside this Python, or one that PyAirbyte installs into an environment of its own (with uv)."""
    program = Path(sys.executable).with_name("source-recordings")
    if program.exists() and not install:
        return {"local_executable": program}
    return {"pip_url": str(CHECKOUT)}


def cache(ab: Any, options: argparse.Namespace) -> Any:
    """Where the rows go: a DuckDB file, or a PostgreSQL database."""
    if not options.postgres:
        return ab.DuckDBCache(db_path=options.folder / "recordings.duckdb")
    pandas: Any = import_module("pandas")
    # PyAirbyte loads PostgreSQL's tables through pandas, which takes the text +14155550100 for a number unless told not to.
    pandas.read_json = functools.partial(pandas.read_json, dtype=False, convert_dates=False)
    url = urlsplit(options.postgres)
    return ab.caches.PostgresCache(
        host=url.hostname,
        port=url.port or 5432,
        database=url.path.lstrip("/"),
        username=url.username,
        password=url.password or "",
        schema_name="recordings",
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True, help="the connector's config")
    parser.add_argument("--stream", action="append", help="repeat for several; default: all")
    parser.add_argument("--folder", type=Path, default=Path("recordings"), help="for all files")
    parser.add_argument("--postgres", metavar="URL", help="postgresql://user:password@host/database")
    parser.add_argument("--install", action="store_true", help="let PyAirbyte install the connector")
    options = parser.parse_args()
    options.folder = options.folder.resolve()
    return options


if __name__ == "__main__":
    main()
