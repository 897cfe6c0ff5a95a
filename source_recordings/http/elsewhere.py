"""What a provider keeps at another host: a redirect is followed there with the bare address and nothing of the credential."""

import logging
import re
from contextlib import AbstractContextManager
from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter

from source_recordings.http.answers import Reply

logger = logging.getLogger("airbyte")

REDIRECTS = frozenset({301, 302, 303, 307, 308})
MOST = 5
"""Redirects in a row, the provider's own included."""

TIMEOUT = (10, 60)
"""Seconds, to connect and between two pieces of the answer."""

PLAIN = {"Accept": "*/*", "Accept-Encoding": "gzip, deflate", "User-Agent": "source-recordings"}

_LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|::1")


class Refused(Exception):
    """The other host did not give it this time. The provider may have another address the next time."""


class NotAllowed(Exception):
    """An address that nobody may be sent to. The message says what is wrong with it, without its query."""


def checked(url: str, base_url: str) -> str:
    """The address, if an answer of the provider at `base_url` may lead there. Raises NotAllowed.

    https only, and no host of this machine or of its link, where clouds keep credentials. A provider that is itself on this
    machine may lead to others that are.
    """
    parts = _parts(url)
    host = parts.hostname or ""
    if is_loopback(host):
        if is_loopback(urlsplit(base_url).hostname or ""):
            return url
        raise NotAllowed(f"one on this machine (host {host})")
    if parts.scheme != "https" or not host:
        raise NotAllowed(f"one that is not https ({parts.scheme or 'no scheme'}, host {host or 'none'})")
    if _is_link_local(host):
        raise NotAllowed(f"one of this machine's own network (host {host})")
    return url


def _joined(url: str, location: str) -> str:
    """The address that a redirect names, which may be relative."""
    try:
        return urljoin(url, location)
    except ValueError:
        raise NotAllowed("one that can't be read") from None


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # looked at only now
    except ValueError:
        raise NotAllowed("one that can't be read") from None
    return parts


def is_loopback(host: str) -> bool:
    return bool(_LOOPBACK.fullmatch(host))


def _is_link_local(host: str) -> bool:
    try:
        found = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return bool((mapped or found).is_link_local)


class Elsewhere:
    """Other hosts, asked with nothing but the address: no credential, no cookie, no netrc, no referrer. Used by all threads."""

    def __init__(self, base_url: str, connections: int, gate: AbstractContextManager[None]) -> None:
        """`gate` lets as many requests through as the user allows."""
        self._base_url = base_url
        self._gate = gate
        self._session = requests.Session()
        adapter = HTTPAdapter(pool_maxsize=connections)
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, adapter)

    def follow(self, asked: str, reply: Reply) -> Reply:
        """What the redirect `reply` of the address `asked` leads to, whatever that is. Raises Refused or NotAllowed."""
        url = asked
        for _ in range(MOST):
            location = reply.headers.get("Location")
            if not location:
                raise NotAllowed("none at all")
            url = checked(_joined(url, location), self._base_url)
            reply = self._get(url)
            if reply.status not in REDIRECTS:
                return reply
        raise Refused("sent on to another one too often")

    def _get(self, url: str) -> Reply:
        # The environment's proxies and certificates, which differ from host to host.
        settings: dict[str, Any] = dict(self._session.merge_environment_settings(url, {}, True, None, None))
        try:
            request = requests.Request("GET", url, headers=PLAIN).prepare()
            adapter = self._session.get_adapter(url)
            with self._gate, adapter.send(request, timeout=TIMEOUT, **settings) as response:
                reply = Reply(response.status_code, response.headers, response.content)
        except requests.exceptions.Timeout as error:
            raise Refused("did not answer in time") from error
        except requests.exceptions.RequestException as error:
            raise Refused("could not be reached, or broke the connection") from error
        if logger.isEnabledFor(logging.DEBUG):  # without the query: it is a signature
            logger.debug("GET %s: HTTP %s", url.partition("?")[0], reply.status)
        return reply
