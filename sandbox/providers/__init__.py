"""The five providers."""

from __future__ import annotations

from .amigo import Amigo
from .base import Key, Provider, RefusalError, Row, Stream
from .bird import Bird
from .bota import Bota
from .quo import Quo
from .tether import Tether

PROVIDERS: tuple[type[Provider], ...] = (Bird, Amigo, Quo, Bota, Tether)

__all__ = ["PROVIDERS", "Key", "Provider", "RefusalError", "Row", "Stream", "Tether"]
