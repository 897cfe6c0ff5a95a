"""Where a file comes from: the provider's own host with its credential, or any other host with nothing but the URL."""

import random
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import requests

from source_recordings.errors import NEXT_STEP, UnexpectedError
from source_recordings.http import waits
from source_recordings.http.storage import MAX_REDIRECTS, REDIRECTS, Broken, NotAllowed, Storage, allowed, redirected

GONE = {404, 410}
# The provider's word about one file, in documented answers: an invalid id or name.
REFUSED = {400, 422}
# Accepted (an archived file that is being restored), No Content.
NOTHING = {202, 204}
# S3 answers 403 to a URL that has run out and 400 to one whose session token has; other hosts choose 401.
EXPIRED = {400, 401, 403}
BUSY = {408, 425, 429, 500, 502, 503, 504}
MAX_DRAINED = 65536


class Missing(Exception):
    """There is no such file (yet)."""


class Expired(Exception):
    """The URL has run out, and so has the one that took its place."""


Get = Callable[[str, Mapping[str, str]], requests.Response | None]
"""Asks the provider's own host, with its credential, pace and retries: for an address with these headers. None where the
provider says that there is nothing. Raises an error in words for what no other try will change."""


class Api:
    """The provider's own host."""

    def __init__(self, get: Get | None, base_url: str, vendor: str) -> None:
        """`get` is None where no file needs the provider's credential."""
        self.vendor = vendor
        self.base_url = base_url
        self._get = get

    def is_own(self, url: str) -> bool:
        """Whether the provider's credential may go along."""
        try:
            return self._get is not None and origin(url) == origin(self.base_url)
        except ValueError:
            return False

    def get(self, url: str, headers: Mapping[str, str]) -> requests.Response:
        """Raises Missing, or an error in words."""
        assert self._get
        response = self._get(url, headers)
        if response is None:
            raise Missing("the provider has no such file")
        return response

    def bad_address(self, wrong: NotAllowed) -> UnexpectedError:
        return UnexpectedError(
            f"{self.vendor} gave an address for a file that {wrong}: it was not asked for. If it stays so, tell the provider.",
            internal_message=f"address of a file {wrong}",
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
        try:
            return self._open(headers)
        except NotAllowed as wrong:
            raise self._api.bad_address(wrong) from None

    def _open(self, headers: Mapping[str, str]) -> requests.Response:
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
                self._bare = allowed(redirected(response.url or self._bare or "", location), self._api.base_url)
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
            self._bare = allowed(self._url, self._api.base_url)
        return self._storage.get(self._bare, headers, self._api.base_url), True

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
