"""A host that nobody may reach."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from integration_tests.syncing import Row


class OtherHost:
    """Answers whatever it is asked, and remembers it: what nobody may reach."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Row, bytes]] = []
        other = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                other.asked.append((self.command, self.path, dict(self.headers), body))
                text = b'{"token": "token-of-the-other-host", "data": [], "results": [], "items": [], "calls": []}'
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_HEAD = do_PUT = answer  # noqa: N815  names of the base class

            def log_message(self, *args: Any) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def address(self) -> str:
        # By another name than the sandbox's: requests keeps a credential for the same host on another port too.
        return f"http://localhost:{self._server.server_port}/taken"

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
