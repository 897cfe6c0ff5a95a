"""Other hosts than a provider's own: which addresses may be asked at all, and requests that carry the address and nothing else.

Providers keep files and texts in storage, behind signed addresses that come in rows or as redirects.
"""

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.hooks import default_hooks
from requests.structures import CaseInsensitiveDict
from requests.utils import get_environ_proxies
from urllib3.exceptions import LocationValueError

from source_recordings.http.neighbours import GuardedAdapter, Neighbour, is_neighbour, resolves_to_neighbour

CONNECT_SECONDS, READ_SECONDS = 10, 60
CONNECTIONS = 64
MAX_REDIRECTS = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})
PLAIN = {"Accept": "*/*", "User-Agent": "source-recordings"}

_LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|::1")


class NotAllowed(Exception):
    """Nobody may be sent to this address. The message goes on after "an address that", without the address: its end may be a
    signature.
    """


class Broken(Exception):
    """No answer this time; another try may get one."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


def allowed(url: str, base_url: str) -> str:
    """The address, if the provider at `base_url` may lead there: https, and not this machine unless the provider is there,
    too. Raises NotAllowed.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port  # the port is looked at only now
    except ValueError:
        raise NotAllowed("is none") from None
    on_this_machine = is_loopback(host)
    if on_this_machine and not is_loopback(urlsplit(base_url).hostname or ""):
        raise NotAllowed(f"is one on this machine (host {host})")
    if host and (parts.scheme == "https" or (on_this_machine and parts.scheme == "http")):
        return url
    raise NotAllowed(f"is not https ({parts.scheme or 'no scheme'}, host {host or 'none'})")


def redirected(url: str, location: str) -> str:
    """Where the header leads to. Its bytes come as latin-1; what they spell is asked for byte for byte. Raises NotAllowed."""
    try:
        text = location.encode("latin-1").decode("utf-8")
    except UnicodeEncodeError:
        text = location
    except UnicodeDecodeError:
        text = "".join(c if c.isascii() else f"%{ord(c):02X}" for c in location)
    try:
        return urljoin(url, text)
    except ValueError:
        raise NotAllowed("is none") from None


def is_loopback(host: str) -> bool:
    return bool(_LOOPBACK.fullmatch(host))


@lru_cache
def _is_near(base_url: str) -> bool:
    """Whether the provider itself is next to this machine: then its files may be there, too."""
    host = urlsplit(base_url).hostname or ""
    return is_neighbour(host) or resolves_to_neighbour(host)


class Storage:
    """Requests that carry the URL and nothing else: no credential, no cookie, no netrc, no referrer. Used by all threads.

    The environment's proxies and certificates are honoured, but looked up once a host and not once a request.
    """

    def __init__(self, connections: int = CONNECTIONS) -> None:
        self._guarded = _session(GuardedAdapter(pool_connections=connections, pool_maxsize=connections))
        self._open = _session(HTTPAdapter(pool_connections=connections, pool_maxsize=connections))
        self._verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
        self._proxies: dict[str, dict[str, str]] = {}

    def get(self, url: str, headers: Mapping[str, str], base_url: str) -> requests.Response:
        """The answer with its body still to be read, whatever it is.

        Raises Broken if there is none, and NotAllowed for what is no address, or for one next to this machine unless the
        provider at `base_url` is there, too.
        """
        try:
            try:
                return self._get(self._guarded, url, headers)
            except Neighbour:
                if not _is_near(base_url):
                    reached = "only this machine and its neighbours reach (link-local, as 169.254.0.0/16)"
                    raise NotAllowed(reached) from None
                return self._get(self._open, url, headers)
        except requests.exceptions.SSLError as error:
            raise Broken("the TLS connection failed") from error
        except requests.exceptions.Timeout as error:
            raise Broken("no answer in time") from error
        except (requests.exceptions.InvalidProxyURL, requests.exceptions.InvalidHeader) as error:
            raise Broken("its host could not be reached or broke the connection") from error
        except (requests.exceptions.InvalidURL, LocationValueError, ValueError) as error:
            raise NotAllowed("is none") from error
        except requests.exceptions.RequestException as error:
            raise Broken("its host could not be reached or broke the connection") from error

    def _get(self, session: requests.Session, url: str, headers: Mapping[str, str]) -> requests.Response:
        """Raises Neighbour, or whatever `requests` and urllib3 raise."""
        request = _prepared(url, headers)
        asked = request.url or ""
        if session is self._guarded and is_neighbour(urlsplit(asked).hostname or ""):
            raise Neighbour
        # The adapter itself: a session would look for cookies, redirects and settings that there are none of.
        return session.get_adapter(asked).send(
            request,
            stream=True,
            timeout=(CONNECT_SECONDS, READ_SECONDS),
            verify=self._verify,
            proxies=self._proxies_for(asked),
        )

    def _proxies_for(self, url: str) -> dict[str, str]:
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(url))
        if origin not in self._proxies:
            self._proxies[origin] = get_environ_proxies(origin)
        return self._proxies[origin]


def _session(adapter: HTTPAdapter) -> requests.Session:
    session = requests.Session()
    for scheme in ("https://", "http://"):
        session.mount(scheme, adapter)
    return session


def _prepared(url: str, headers: Mapping[str, str]) -> requests.PreparedRequest:
    request = requests.PreparedRequest()
    request.method = "GET"
    request.prepare_url(url, None)
    request.headers = CaseInsensitiveDict({**PLAIN, **headers})
    request.prepare_auth(None)  # what stands in the address itself
    request.hooks = default_hooks()
    return request
