"""What tells the rows of a stream apart."""

from typing import Any


def is_key(value: Any) -> bool:
    """Whether a destination can store a row by it."""
    return isinstance(value, str | int | float) and not isinstance(value, bool) and value != ""


def key_hash(value: Any) -> int:
    """64 bits of a key. By the text of a number: Python gives the numbers -1 and -2 one hash."""
    return hash(value if isinstance(value, str) else f"{value} as a number")
