"""What the examples that read the demo's database share: the connection, and tables for a person to read."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

DATABASE = "calls.duckdb"
MEDIA = "media"
WIDEST = 60


def connect(folder: Path) -> Any:
    """The demo's database, which nobody can change through this connection."""
    import duckdb

    if not (folder / DATABASE).exists():
        sys.exit("There is nothing to query yet: run `make demo` first.")
    return duckdb.connect(str(folder / DATABASE), read_only=True)


def query(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    """The rows that a query gives."""
    with connect(folder) as connection:
        rows: list[tuple[Any, ...]] = connection.execute(sql).fetchall()
        return rows


def table_names(connection: Any) -> set[str]:
    """The streams' tables, without what this connection has made for itself."""
    found = connection.execute("select table_name from duckdb_tables() where schema_name = 'main' and not temporary")
    return {name for (name,) in found.fetchall()}


def shortest(path: Path) -> Path:
    """How a person names it who is in this folder."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def print_table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Numbers to the right, text to the left."""
    texts = [[_text(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(head), *texts]) for i in range(len(head))]
    right = [any(isinstance(row[i], int | float) for row in rows) for i in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        padded = (c.rjust(w) if r else c.ljust(w) for c, w, r in zip(cells, widths, right, strict=True))
        return "  ".join(padded).rstrip()

    say("\n" + line(list(head)))
    say(line(["-" * width for width in widths]))
    for cells in texts:
        say(line(cells))


def say(text: str) -> None:
    """Prints for a person, also while standard output is taken elsewhere."""
    assert sys.__stdout__
    print(text, file=sys.__stdout__, flush=True)


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float):
        return f"{cell:,.1f}"
    if isinstance(cell, int):
        return f"{cell:,}"
    # What a provider sends may hold line breaks, or commands to a terminal.
    plain = "".join(c if c.isprintable() else " " for c in str(cell))
    return plain if len(plain) <= WIDEST or "/" in plain else plain[: WIDEST - 1] + "…"
