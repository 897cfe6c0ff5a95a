"""Where a file comes from: the provider's own host with its credential, or any other host with nothing but the URL."""

import os
import random
import re
from collections.abc import Callable, Mapping
from functools import cached_property
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.hooks import default_hooks
from requests.structures import CaseInsensitiveDict
from requests.utils import get_environ_proxies
from urllib3.exceptions import LocationValueError

from source_recordings.errors import NEXT_STEP, UnexpectedError
from source_recordings.files.neighbours import GuardedAdapter, Neighbour, is_neighbour, resolves_to_neighbour
from source_recordings.http import waits

CONNECT_SECONDS, READ_SECONDS = 10, 60
CONNECTIONS = 64
MAX_REDIRECTS = 5
REDIRECTS = {301, 302, 303, 307, 308}
GONE = {404, 410}
# The provider's word about one file, in documented answers: an invalid id or name.
REFUSED = {400, 422}
# Accepted (an archived file that is being restored), No Content.
NOTHING = {202, 204}
# S3 answers 403 to a URL that has run out and 400 to one whose session token has; other hosts choose 401.
EXPIRED = {400, 401, 403}
BUSY = {408, 425, 429, 500, 502, 503, 504}
MAX_DRAINED = 65536
PLAIN = {"Accept": "*/*", "User-Agent": "source-recordings"}

_LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|::1")


class Missing(Exception):
    """There is no such file (yet)."""


class Expired(Exception):
    """The URL has run out, and so has the one that took its place."""


class Broken(Exception):
    """No answer this time; another try may get one."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class BadAddress(Exception):
    """The text is no address of a host."""


def _prepared(url: str, headers: Mapping[str, str]) -> requests.PreparedRequest:
    request = requests.PreparedRequest()
    request.method = "GET"
    request.prepare_url(url, None)
    request.headers = CaseInsensitiveDict({**PLAIN, **headers})
    request.prepare_auth(None)  # what stands in the address itself
    request.hooks = default_hooks()
    return request


class Storage:
    """Requests that carry the URL and nothing else: no credential, no cookie, no netrc, no referrer.

    The environment's proxies and certificates are honoured, but looked up once a host
    and not once a request.
    """

    def __init__(self, connections: int = CONNECTIONS) -> None:
        self._guarded = self._session(GuardedAdapter(pool_connections=connections, pool_maxsize=connections))
        self._open = self._session(HTTPAdapter(pool_connections=connections, pool_maxsize=connections))
        self._verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
        self._proxies: dict[str, dict[str, str]] = {}

    @staticmethod
    def _session(adapter: HTTPAdapter) -> requests.Session:
        session = requests.Session()
        for scheme in ("https://", "http://"):
            session.mount(scheme, adapter)
        return session

    def get(self, url: str, headers: Mapping[str, str], *, neighbours: bool = False) -> requests.Response:
        """Raises Broken if there is no answer, BadAddress, or Neighbour unless `neighbours` are welcome."""
        try:
            request = _prepared(url, headers)
            asked = request.url or ""
            if not neighbours and is_neighbour(urlsplit(asked).hostname or ""):
                raise Neighbour
            session = self._open if neighbours else self._guarded
            # The adapter itself: a session would look for cookies, redirects and settings that there are none of.
            return session.get_adapter(asked).send(
                request,
                stream=True,
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                verify=self._verify,
                proxies=self._proxies_for(asked),
            )
        except requests.exceptions.SSLError as error:
            raise Broken("the TLS connection failed") from error
        except requests.exceptions.Timeout as error:
            raise Broken("no answer in time") from error
        except (requests.exceptions.InvalidProxyURL, requests.exceptions.InvalidHeader) as error:
            raise Broken("its host could not be reached or broke the connection") from error
        except (requests.exceptions.InvalidURL, LocationValueError, ValueError) as error:
            raise BadAddress from error
        except requests.exceptions.RequestException as error:
            raise Broken("its host could not be reached or broke the connection") from error

    def _proxies_for(self, url: str) -> dict[str, str]:
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(url))
        if origin not in self._proxies:
            self._proxies[origin] = get_environ_proxies(origin)
        return self._proxies[origin]


Get = Callable[[str, Mapping[str, str]], requests.Response | None]
"""Asks the provider's own host, with its credential, pace and retries: for an address with these headers. None where the
provider says that there is nothing. Raises an error in words for what no other try will change."""


class Api:
    """The provider's own host."""

    def __init__(self, get: Get | None, base_url: str, vendor: str) -> None:
        """`get` is None where no file needs the provider's credential."""
        self.vendor = vendor
        self._get = get
        self._base_url = base_url
        self._loopback = is_loopback(base_url)

    def is_own(self, url: str) -> bool:
        """Whether the provider's credential may go along."""
        try:
            return self._get is not None and origin(url) == origin(self._base_url)
        except ValueError:
            return False

    @cached_property
    def is_neighbour(self) -> bool:
        """Whether the provider itself is next to this machine: then its files may be there, too."""
        host = urlsplit(self._base_url).hostname or ""
        return is_neighbour(host) or resolves_to_neighbour(host)

    def get(self, url: str, headers: Mapping[str, str]) -> requests.Response:
        """Raises Missing, or an error in words."""
        assert self._get
        response = self._get(url, headers)
        if response is None:
            raise Missing("the provider has no such file")
        return response

    def check(self, url: str) -> str:
        """The URL, if it may be asked for at all: https, or http on this machine when the provider is there too."""
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError as error:
            raise self.bad_address() from error
        if parts.scheme == "https" and host:
            return url
        if parts.scheme == "http" and self._loopback and is_loopback(url):
            return url
        raise UnexpectedError(
            f"{self.vendor} gave an address that is not https for a file ({parts.scheme or 'no scheme'}, host "
            f"{host or 'none'}): it was not downloaded. If it stays so, tell the provider.",
            internal_message="address of a file is not https",
        )

    def bad_address(self) -> UnexpectedError:
        """Without the address: its end may be a signature."""
        return UnexpectedError(
            f"{self.vendor} gave an address for a file that is none: it was not downloaded. If it stays so, tell the "
            "provider.",
            internal_message="address of a file can't be read",
        )

    def at_neighbour(self) -> UnexpectedError:
        return UnexpectedError(
            f"{self.vendor} gave an address for a file that only this machine and its neighbours reach (link-local, as "
            "169.254.0.0/16): it was not asked for. If it stays so, tell the provider.",
            internal_message="address of a file is link-local",
        )


class Source:
    """One file's address. It is asked for again once it has expired."""

    def __init__(self, url: str, api: Api, storage: Storage, renew: Callable[[], str | None]) -> None:
        """`renew` gives the file's address anew, None if there is no file any more."""
        self._api = api
        self._storage = storage
        self._renew = renew
        self._expired_before = False
        self._url = url
        self._bare: str | None = None
        """Where redirects have led to."""

    def open(self, headers: Mapping[str, str]) -> requests.Response:
        """The answer with the body still to be read: 200, 206 or 416. Close it.

        Raises Missing, Expired, Broken, or an error in words for what no other try will change.
        """
        for _ in range(2 * (MAX_REDIRECTS + 1)):
            response, is_bare = self._send({**headers, "Accept-Encoding": "identity"})
            status = response.status_code
            if status in (200, 206, 416):
                # Whatever happens from here on, this address has worked.
                self._expired_before = False
                return response
            location = response.headers.get("Location")
            wait = _retry_after(response)
            _drain(response)
            if status in REDIRECTS and location:
                self._bare = self._api.check(self._redirected(response.url or self._bare or "", location))
            elif status in GONE or status in NOTHING:
                raise Missing(f"HTTP {status}")
            elif is_bare and status in EXPIRED:
                self._ask_again()
            elif status in BUSY:
                raise Broken(f"its host answered HTTP {status}", wait)
            elif not is_bare and status in REFUSED:
                raise Missing(f"HTTP {status}")
            else:
                raise UnexpectedError(
                    f"The host of a file of {self._api.vendor} refused it with HTTP {status}. {NEXT_STEP}",
                    internal_message=f"HTTP {status}",
                )
        raise Broken("too many redirects")

    def _send(self, headers: Mapping[str, str]) -> tuple[requests.Response, bool]:
        if self._bare is None:
            if self._api.is_own(self._url):
                return self._api.get(self._url, headers), False
            self._bare = self._api.check(self._url)
        try:
            try:
                return self._storage.get(self._bare, headers), True
            except Neighbour:
                if not self._api.is_neighbour:
                    raise self._api.at_neighbour() from None
                return self._storage.get(self._bare, headers, neighbours=True), True
        except BadAddress as error:
            raise self._api.bad_address() from error

    def _redirected(self, url: str, location: str) -> str:
        """Where the header leads to. Its bytes come as latin-1; what they spell is asked for byte for byte."""
        try:
            text = location.encode("latin-1").decode("utf-8")
        except UnicodeEncodeError:
            text = location
        except UnicodeDecodeError:
            text = "".join(c if c.isascii() else f"%{ord(c):02X}" for c in location)
        try:
            return urljoin(url, text)
        except ValueError as error:
            raise self._api.bad_address() from error

    def _ask_again(self) -> None:
        if self._expired_before:
            raise Expired
        self._expired_before = True
        url = self._renew()
        if url is None:
            raise Missing("no address any more")
        self._url = url
        self._bare = None


def origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    default = {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, parts.hostname or "", parts.port or default


def is_loopback(url: str) -> bool:
    return bool(_LOOPBACK.fullmatch(urlsplit(url).hostname or ""))


def _drain(response: requests.Response) -> None:
    """Reads a small body to its end, so that the connection can be used again."""
    try:
        if int(response.headers.get("Content-Length") or 0) <= MAX_DRAINED:
            response.raw.read(MAX_DRAINED)
    except Exception:  # noqa: BLE001, S110
        pass  # nobody needs it
    response.close()


def _retry_after(response: requests.Response) -> float | None:
    return waits.asked_for(response.headers, reset=False)


def backoff(tries: int) -> float:
    """0.5, 1, 2, 4 ... at most 30 seconds, with jitter."""
    return float(min(30.0, 0.5 * 2 ** (tries - 1)) * random.uniform(0.75, 1.25))  # noqa: S311  no secret
