"""The five providers, a module each."""

from __future__ import annotations

from importlib import import_module
from inspect import isabstract
from pkgutil import iter_modules

from .base import Key, Provider, RefusalError, Row, Stream
from .tether import Tether


def _found() -> tuple[type[Provider], ...]:
    """By name. A new module is enough for a new provider."""
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    kinds = {
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Provider) and not isabstract(value)
    }
    return tuple(sorted(kinds, key=lambda kind: kind.name))


PROVIDERS = _found()

__all__ = ["PROVIDERS", "Key", "Provider", "RefusalError", "Row", "Stream", "Tether"]
