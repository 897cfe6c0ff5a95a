"""Prints the tables of a database as one JSON object: the type of every column, and the rows.

`python integration_tests/dump_tables.py duckdb FILE SCHEMA` or `... postgresql URL SCHEMA`
"""

import json
import sys
from datetime import datetime
from importlib import import_module
from typing import Any

COLUMNS = (
    "select table_name, column_name, data_type from information_schema.columns "
    "where table_schema = '{schema}' and table_name not like '\\_airbyte%' escape '\\'"
)


def main() -> None:
    kind, where, schema = sys.argv[1:]
    connection = (
        import_module("duckdb").connect(where, read_only=True)
        if kind == "duckdb"
        else import_module("psycopg2").connect(where)
    )
    cursor = connection.cursor()
    tables: dict[str, Any] = {}
    cursor.execute(COLUMNS.format(schema=schema))
    for table, column, data_type in cursor.fetchall():
        tables.setdefault(table, {"types": {}})["types"][column] = data_type
    for table, content in tables.items():
        columns = content["types"]
        names = ", ".join(f'"{name}"' for name in columns)
        cursor.execute(f'select {names} from {schema}."{table}"')
        content["rows"] = [
            {name: plain(value, columns[name]) for name, value in zip(columns, row, strict=True)}
            for row in cursor.fetchall()
        ]
    json.dump(tables, sys.stdout, default=str)


def plain(value: Any, data_type: str) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if data_type == "JSON" and isinstance(value, str):  # DuckDB hands out the text
        return json.loads(value)
    return value


if __name__ == "__main__":
    main()
