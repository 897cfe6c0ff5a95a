"""A host that answers with exact bytes, also such as no library would send."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from typing import Any

Answer = bytes | Callable[[bytes], bytes]
"""All that is sent, or a function of the request's head that gives it."""


def answer(body: bytes = b"", status: str = "200 OK", length: str | None = None, **headers: str | bytes) -> bytes:
    """An answer whose headers are sent as they are; `Content_Type` is Content-Type."""
    said: dict[str, str | bytes] = {name.replace("_", "-"): value for name, value in headers.items()}
    said.setdefault("Content-Length", str(len(body)) if length is None else length)
    lines = [f"HTTP/1.1 {status}".encode(), b"Connection: close"]
    for name, value in said.items():
        lines.append(name.encode() + b": " + (value if isinstance(value, bytes) else value.encode()))
    return b"\r\n".join([*lines, b"", b""]) + body


def as_json(value: Any) -> bytes:
    return answer(json.dumps(value).encode(), Content_Type="application/json")


class RawHost:
    """Answers by path, each connection once. What it does not know is a 404."""

    def __init__(self, answers: Mapping[str, Answer] | None = None) -> None:
        self.answers: dict[str, Answer] = dict(answers or {})
        self.asked: list[bytes] = []
        """The targets of the requests, as they came."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> RawHost:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def times(self, path: str) -> int:
        """How often it was asked for."""
        return sum(target.partition(b"?")[0] == path.encode() for target in self.asked)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with closing(connection), suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                data = connection.recv(65536)
                if not data:
                    return
                head += data
            target = head.split(b" ", 2)[1]
            self.asked.append(target)
            path = target.partition(b"?")[0].decode("latin-1")
            found = self.answers.get(path, answer(status="404 Not Found"))
            connection.sendall(found if isinstance(found, bytes) else found(head))
