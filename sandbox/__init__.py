"""Five call-recording providers as one local program, written from their public documents."""

from .server import Sandbox
from .world import World

__all__ = ["Sandbox", "World"]
