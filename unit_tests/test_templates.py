"""CPython 3.11 miscounts the depth of a literal when threads meet in it -> a template is evaluated once more."""

import ast
from typing import Any

import pytest
from airbyte_cdk.sources.declarative.interpolation.jinja import JinjaInterpolation

import source_recordings.source  # noqa: F401  what the connector imports is what installs it


def miscounting(monkeypatch: pytest.MonkeyPatch, times: int) -> list[str]:
    """Lets `ast.literal_eval` fail that often; the list holds what it was asked for."""
    asked: list[str] = []
    stock = ast.literal_eval

    def literal_eval(text: Any) -> Any:
        asked.append(text)
        if len(asked) <= times:
            raise SystemError("AST constructor recursion depth mismatch (before=93, after=78)")
        return stock(text)

    monkeypatch.setattr(ast, "literal_eval", literal_eval)
    return asked


def test_a_miscount_is_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = miscounting(monkeypatch, times=2)
    assert JinjaInterpolation().eval("{{ config['ids'] | list }}", {"ids": ["a", "b"]}) == [
        "a",
        "b",
    ]
    assert asked == ["['a', 'b']"] * 3


def test_an_error_that_stays_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = miscounting(monkeypatch, times=100)
    with pytest.raises(SystemError):
        JinjaInterpolation().eval("{{ config['ids'] | list }}", {"ids": ["a", "b"]})
    assert len(asked) == 5
