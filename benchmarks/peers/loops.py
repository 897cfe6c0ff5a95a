"""The fastest event loop that is installed."""

import asyncio
from collections.abc import Coroutine

try:
    import uvloop
except ImportError:  # there is none for this Python or system
    uvloop = None


def run(main: Coroutine[None, None, None]) -> None:
    if uvloop:
        uvloop.run(main)
    else:
        asyncio.run(main)
