"""A way around a race in CPython 3.11 that fails a template now and then when many threads evaluate templates."""

from typing import Any

from airbyte_cdk.sources.declarative.interpolation.jinja import JinjaInterpolation

TRIES = 5

_stock = JinjaInterpolation._literal_eval


def _literal_eval(self: JinjaInterpolation, result: Any, valid_types: Any) -> Any:
    """The CDK's, which turns the text of a template into a value, tried again when CPython has miscounted.

    `ast.literal_eval` checks at its end a count of its depth that all threads share. If the garbage collector runs
    meanwhile and lets another thread in, it raises "SystemError: AST constructor recursion depth mismatch".
    """
    for _ in range(TRIES - 1):
        try:
            return _stock(self, result, valid_types)
        except SystemError:  # noqa: PERF203  rare, and the next try is all there is to do
            continue
    return _stock(self, result, valid_types)


def install() -> None:
    """Makes all templates of the process be evaluated like that."""
    JinjaInterpolation._literal_eval = _literal_eval  # type: ignore[method-assign]
