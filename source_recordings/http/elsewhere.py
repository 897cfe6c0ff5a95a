"""What a provider keeps at another host: a redirect is followed there with the bare address and nothing of the credential."""

import logging
from contextlib import AbstractContextManager

import requests

from source_recordings.http.answers import Reply
from source_recordings.http.storage import MAX_REDIRECTS, REDIRECTS, Broken, NotAllowed, Storage, allowed, redirected

logger = logging.getLogger("airbyte")

HEADERS = {"Accept-Encoding": "gzip, deflate"}


class Elsewhere:
    """The hosts that a provider's redirects lead to. Used by all threads."""

    def __init__(self, base_url: str, connections: int, gate: AbstractContextManager[None]) -> None:
        """`gate` lets as many requests through as the user allows."""
        self._base_url = base_url
        self._gate = gate
        self._storage = Storage(connections)

    def follow(self, asked: str, reply: Reply) -> Reply:
        """What the redirect `reply` of the address `asked` leads to, whatever that is. Raises Broken or NotAllowed."""
        url = asked
        for _ in range(MAX_REDIRECTS):
            location = reply.headers.get("Location")
            if not location:
                raise NotAllowed("is not there")
            url = allowed(redirected(url, location), self._base_url)
            reply = self._get(url)
            if reply.status not in REDIRECTS:
                return reply
        raise Broken("it sent on to another address too often")

    def _get(self, url: str) -> Reply:
        try:
            with self._gate, self._storage.get(url, HEADERS, self._base_url) as response:
                reply = Reply(response.status_code, response.headers, response.content)
        except requests.exceptions.Timeout as error:
            raise Broken("no answer in time") from error
        except requests.exceptions.RequestException as error:
            raise Broken("its host could not be reached or broke the connection") from error
        if logger.isEnabledFor(logging.DEBUG):  # without the query: it is a signature
            logger.debug("GET %s: HTTP %s", url.partition("?")[0], reply.status)
        return reply
