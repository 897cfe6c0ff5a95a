"""One provider: makes a request with its credential, at its pace, and gives what came back.

No redirect is followed with the credential: it would take that, or a login's password, wherever it says.
"""

import logging
import threading
import time
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from queue import SimpleQueue
from typing import Any
from urllib.parse import urlencode

import orjson
import requests
from requests.adapters import HTTPAdapter
from requests.hooks import default_hooks
from requests.structures import CaseInsensitiveDict

from source_recordings.cdk import add_to_secrets
from source_recordings.errors import UserError
from source_recordings.expressions import Names
from source_recordings.http.answers import Reply
from source_recordings.http.elsewhere import Elsewhere
from source_recordings.http.pace import Pace
from source_recordings.provider import Auth, Operation, Provider

logger = logging.getLogger("airbyte")

TIMEOUT = (10, 60)
"""Seconds, to connect and between two pieces of the answer."""

PLAIN = {"Accept": "*/*", "Accept-Encoding": "gzip, deflate", "User-Agent": "source-recordings"}

LONG_WAIT = 10.0

# A shorter one is no JWT, and to mask it in the output would mask parts of words.
SHORTEST_TOKEN = 16


@dataclass(frozen=True)
class Request:
    """What is asked. Two requests that are equal have the same answer."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, compare=False)
    body: bytes | None = None


class Closed(Exception):
    """The sync is over: nobody waits for what comes."""


class Gate:
    """Lets so many through at once. A semaphore's lock would make all threads wait for each other; a queue has none."""

    def __init__(self, limit: int) -> None:
        self._free: SimpleQueue[None] = SimpleQueue()
        for _ in range(limit):
            self._free.put(None)

    def __enter__(self) -> None:
        self._free.get()

    def __exit__(self, *_: object) -> None:
        self._free.put(None)


class Client:
    """The provider's host. Used by all threads."""

    def __init__(
        self, provider: Provider, config: Mapping[str, Any], gate: "Gate", connections: int, pace: Pace
    ) -> None:
        """`config` is the provider's section, `gate` lets as many requests of all providers through as the user allows."""
        self.provider = provider
        self.base_url: str = config["base_url"]
        self.names: Names = {"config": config, "quirks": provider.quirks}
        self.pace = pace
        self.elsewhere = Elsewhere(self.base_url, connections, gate)
        self._gate = gate
        self._session = _session(connections)
        self._idle: deque[requests.Session] = deque()
        """A session holds one connection: a pool of connections has locks, for which all threads would queue."""
        self.login: Login | None = None
        self.closed = False
        self._told_until = 0.0
        self._auth = next((a for a in provider.auth if a.when(self.names)), None)

    @property
    def auth(self) -> Auth | None:
        """The way in which requests are authorized with this config."""
        return self._auth

    def tell_wait(self, why: str, seconds: float) -> None:
        """Says once, and not for every thread, that there is a long silence ahead."""
        until = time.monotonic() + seconds
        if seconds >= LONG_WAIT and until > self._told_until + LONG_WAIT:
            self._told_until = until
            logger.info("%s: it is asked again in %d seconds.", why, seconds)

    def request(self, operation: Operation, names: Names, params: Mapping[str, str] | None = None) -> Request:
        """Raises BadSegment where a value can't be part of the address."""
        query = urlencode({**operation.params, **(params or {})})
        body = None
        headers = operation.headers
        if operation.json is not None:
            body = orjson.dumps({key: value(names) for key, value in operation.json.items()})
            headers = {**headers, "Content-Type": "application/json"}
        path = operation.path(names)
        url = f"{self.base_url}{path}?{query}" if query else f"{self.base_url}{path}"
        return Request(operation.method, url, headers, body)

    def exchange(self, request: Request, read: Callable[[requests.Response], Reply] | None = None) -> Reply:
        """One request and its answer, whatever that is. Raises a RequestException if there is none."""
        try:
            session = self._idle.pop()
        except IndexError:
            session = _session(1)
        try:
            with self.open(request, session=session) as response:
                return (read or whole)(response)
        finally:
            self._idle.append(session)

    def open(self, request: Request, *, own: bool = True, session: requests.Session | None = None) -> requests.Response:
        """The answer with its body still to be read. A 401 leads to one new login, where there is a login."""
        send = partial(self._send, session or self._session, request)
        if not own or self.login is None:
            return send(self._credential if own else {})
        token = self.login.token()
        response = send({"Authorization": f"Bearer {token}"})
        if response.status_code != 401:
            return response
        response.content  # noqa: B018  read to its end, so that the connection can be used again
        response.close()
        token = self.login.token(refused=token)
        return send({"Authorization": f"Bearer {token}"})

    @cached_property
    def _credential(self) -> dict[str, str]:
        """The header. Raises a config error for a credential that a request can't carry."""
        if self._auth is None or self._auth.login:
            return {}
        if self._auth.basic:
            user, password = (part(self.names) for part in self._auth.basic)
            value = b64encode(f"{user}:{password}".encode()).decode()
            add_to_secrets(value)
        else:
            value = str(self._auth.value(self.names))
        header = f"{self._auth.scheme} {value}".strip()
        if not (header.isascii() and header.isprintable()):
            key, _ = self.provider.credential
            raise UserError(
                f"{self.provider.title}'s credential has characters that a request can't carry. Copy `{key}` again."
            )
        return {"Authorization": header}

    @cached_property
    def _settings(self) -> dict[str, Any]:
        """Proxies and certificates of the environment, looked up once and not with every request."""
        found = self._session.merge_environment_settings(self.base_url, {}, False, None, None)
        return {"proxies": found["proxies"], "verify": found["verify"], "cert": found["cert"]}

    def _send(self, session: requests.Session, request: Request, credential: Mapping[str, str]) -> requests.Response:
        prepared = requests.PreparedRequest()
        prepared.method = request.method
        prepared.url = request.url
        prepared.body = request.body
        prepared.hooks = default_hooks()
        prepared.headers = CaseInsensitiveDict({**PLAIN, **request.headers, **credential})
        if request.body is not None:
            prepared.headers["Content-Length"] = str(len(request.body))
        settings = self._settings
        self.pace.wait(lambda: self.closed)
        if self.closed:
            raise Closed
        with self._gate:
            response = session.get_adapter(request.url).send(prepared, stream=True, timeout=TIMEOUT, **settings)
        if logger.isEnabledFor(logging.DEBUG):  # without the query: it may be a signature
            address = request.url.partition("?")[0]
            logger.debug("%s %s: HTTP %s", request.method, address, response.status_code)
        return response


class _OneHost(HTTPAdapter):
    """Finds its connections once. The base class looks for them with each request, by the certificates on the disk too."""

    _found: Any = None

    def get_connection_with_tls_context(self, *arguments: Any, **more: Any) -> Any:
        if self._found is None:
            self._found = super().get_connection_with_tls_context(*arguments, **more)
        return self._found


def _session(connections: int) -> requests.Session:
    """For one host, with one way to it."""
    session = requests.Session()
    adapter = _OneHost(pool_connections=1, pool_maxsize=connections)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def whole(response: requests.Response) -> Reply:
    """The answer read to its end. Raises a RequestException if it breaks off."""
    return Reply(response.status_code, response.headers, response.content)


class Login:
    """A session's token, got from the provider's login endpoint; one for all streams."""

    def __init__(self, ask: Callable[[], str]) -> None:
        """`ask` logs in. Raises an error in words."""
        self._ask = ask
        self._lock = threading.Lock()
        self._token: str | None = None
        self._refusal: UserError | None = None

    def token(self, refused: str | None = None) -> str:
        """The token; a new one if there is none yet or it is the one that was refused.

        A login that was refused is not tried again: a few wrong ones lock an account.
        """
        with self._lock:
            if self._refusal:
                raise self._refusal
            if self._token is None or self._token == refused:
                try:
                    self._token = self._ask()
                except UserError as error:
                    self._refusal = error
                    raise
                if len(self._token) >= SHORTEST_TOKEN:
                    add_to_secrets(self._token)
            return self._token
