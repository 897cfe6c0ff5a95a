"""The expressions of a provider.yaml: Jinja, compiled once, sandboxed, with native values."""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from jinja2 import ChainableUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

Names = Mapping[str, Any]
Expression = Callable[[Names], Any]
"""Gives the value of an expression for the names that it may use; None where something on the way is missing."""

_PATH = re.compile(r"[a-z]\w*(\.\w+)*", re.ASCII)
_CONSTANTS = {"true": True, "false": False, "none": None}
_HOLE = re.compile(r"\{([^{}]+)\}")


class _Environment(ImmutableSandboxedEnvironment):
    def getattr(self, obj: Any, attribute: str) -> Any:
        """`row.items` is the field of that name, never the method of Python's dictionaries; none if it is missing."""
        return obj.get(attribute) if isinstance(obj, Mapping) else super().getattr(obj, attribute)


_ENVIRONMENT = _Environment(undefined=ChainableUndefined)


class BadExpression(ValueError):
    """The text is no expression."""


class BadSegment(ValueError):
    """A value that can't be one segment of a path: it would lead to another endpoint."""


def compile_expression(text: str) -> Expression:
    """Raises BadExpression. `row.status == 'completed'` and the like; a plain path takes a short way."""
    if text in _CONSTANTS:
        constant = _CONSTANTS[text]
        return lambda _: constant
    if _PATH.fullmatch(text):
        return _path(*text.split("."))
    try:
        return _ENVIRONMENT.compile_expression(text, undefined_to_none=True)
    except TemplateError as error:
        raise BadExpression(f"{error}: {text}") from None


def _path(first: str, *rest: str) -> Expression:
    def value(names: Names) -> Any:
        found = names.get(first)
        for name in rest:
            if not isinstance(found, Mapping):
                return None
            found = found.get(name)
        return found

    return value


def compile_path(text: str) -> Callable[[Names], str]:
    """A path in which each `{expression}` becomes one percent-encoded segment or a part of one.

    Raises BadExpression; the path itself raises BadSegment.
    """
    parts: list[str | Expression] = []
    position = 0
    for hole in _HOLE.finditer(text):
        parts += [text[position : hole.start()], compile_expression(hole[1])]
        position = hole.end()
    parts.append(text[position:])

    def path(names: Names) -> str:
        return "".join(part if isinstance(part, str) else segment(part(names)) for part in parts)

    return path


def segment(value: Any) -> str:
    """Raises BadSegment for what is neither text nor a number, and for the two names that mean another folder."""
    if isinstance(value, bool) or not isinstance(value, str | int) or value in ("", ".", ".."):
        raise BadSegment(f"{type(value).__name__} can't be part of an address")
    try:
        return quote(str(value), safe="")
    except UnicodeEncodeError:
        raise BadSegment("half a character can't be part of an address") from None
