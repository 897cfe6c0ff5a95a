"""Who does the requests: as many at once as the config allows, and no provider's wait holds up another."""

import threading
from concurrent.futures import Executor, ThreadPoolExecutor
from types import TracebackType
from typing import Any

import requests
from requests.adapters import HTTPAdapter


class Workers:
    """Threads for each provider, and a gate that lets `limit` requests of all of them through at once.

    Bota allows 100 requests a minute: with threads in common, those that wait for Bota's minute to pass would be missing
    for the providers that allow 50 a second.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.gate = threading.BoundedSemaphore(limit)
        self._executors: dict[str, ThreadPoolExecutor] = {}
        self._lock = threading.Lock()

    def of(self, stream_name: str) -> Executor:
        """The threads of the stream's provider; those of its downloads for `files-` before the name."""
        provider = stream_name.split("_", 1)[0]
        with self._lock:
            if provider not in self._executors:
                self._executors[provider] = ThreadPoolExecutor(self.limit, provider)
            return self._executors[provider]

    def adapter(self) -> HTTPAdapter:
        """What sends a session's requests through the gate."""
        return GatedAdapter(self.gate, self.limit)

    def __enter__(self) -> "Workers":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """What has not begun is dropped; what has, ends by its time-outs."""
        for executor in self._executors.values():
            executor.shutdown(wait=False, cancel_futures=True)


class GatedAdapter(HTTPAdapter):
    """Sends a request when the gate lets it; the waits for a rate limit and between tries are outside of it."""

    def __init__(self, gate: threading.BoundedSemaphore, connections: int) -> None:
        super().__init__(pool_maxsize=connections)
        self._gate = gate

    def send(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> requests.Response:
        with self._gate:
            return super().send(request, *args, **kwargs)
