"""One request until it is answered: what an answer means, when to ask again, and what to tell a person.

What an answer means, in this order:

| answer                              | what becomes of it                                             |
|-------------------------------------|----------------------------------------------------------------|
| a status of the operation's `skip`  | counted: there is nothing (yet)                                |
| 403 about one recording, after others were answered | counted, with a warning                        |
| 401, 403, a status of `refuse`      | a config error in the words of provider.yaml                   |
| 429                                 | asked again when the answer says, for hours                    |
| 408, 5xx, no answer, no or other JSON | asked again a few times, then an error; `refuse` has the word  |
| 3xx                                 | a config error: redirects are not followed, see `elsewhere.py` |
|                                     | for the one exception                                          |
| 2xx as documented                   | the answer                                                     |
| anything else                       | an error: no document explains it                              |
"""

import threading
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any

import requests

from source_recordings.errors import NEXT_STEP, PassingError, UnexpectedError, UserError
from source_recordings.expressions import Names
from source_recordings.http import waits
from source_recordings.http.answers import Answer, Reply, Unreadable, parsed, text_of
from source_recordings.http.apart import read_apart
from source_recordings.http.client import Client, Closed, Request, whole
from source_recordings.http.storage import REDIRECTS, Broken, NotAllowed
from source_recordings.provider import Operation, Provider
from source_recordings.tally import Tally

TRIES = 6
RATE_LIMITED_SECONDS = 6 * 60 * 60.0
PASSING = {408, 500, 501, 502, 503, 504, 520, 521, 522, 523, 524, 529}
LONGEST_QUOTE = 300


@dataclass
class Endpoint:
    """An operation as one stream uses it, and what has come of it so far."""

    provider: Provider
    operation: Operation
    stream_name: str
    tally: Tally
    about_one: bool = False
    """Whether each request is about one recording or call, and not about a list."""
    tries: int = TRIES
    answered: bool = False
    refusal: UserError | None = None
    """A config error: every further request would meet it too."""
    first: threading.Lock = field(default_factory=threading.Lock)
    """Held by one thread until there is an answer: a rejected key is met by one request, not by every thread."""


@dataclass(frozen=True)
class Later:
    """The request has to be made again, or looked for again, at a moment of the monotonic clock or when called."""

    due: float = 0.0
    when_done: Callable[[Callable[[], None]], None] | None = None


class Asking:
    """A request under way. `once` is called until it gives an Answer; `release` whatever happens."""

    INCOMPLETE = "{} sent an answer without the documented content."

    def __init__(self, client: Client, endpoint: Endpoint, request: Request, names: Names | None = None) -> None:
        self.client = client
        self.endpoint = endpoint
        self.request = request
        self._names = names or client.names
        self._failed = 0
        self._limited = 0
        self._limited_since = 0.0
        self.is_probe = False
        """Whether something else is asked for where this is not there: then that is no skip yet."""

    def once(self) -> Answer | Later:
        """One try. Raises an error in words once no other try makes sense."""
        return self.take(self.fetch)

    def release(self) -> None:
        """Nobody waits for the answer any more."""

    def fetch(self) -> Reply:
        """The bare exchange. Raises a RequestException or Broken if there is no answer."""
        self.endpoint.tally.requested()
        operation = self.endpoint.operation
        read = partial(read_apart, field=operation.apart) if operation.apart else whole
        reply = self.client.exchange(self.request, read)
        if operation.elsewhere and reply.status in REDIRECTS:
            self.client.pace.answered()
            reply = self.client.elsewhere.follow(self.request.url, reply)
            if reply.status != 200 and reply.status not in operation.skip:
                raise Broken(f"its host answered HTTP {reply.status}")
        return reply

    def take(self, fetch: Callable[[], Reply]) -> Answer | Later:
        """What the reply that `fetch` gets means."""
        endpoint = self.endpoint
        if endpoint.answered and not endpoint.refusal:
            return self._take(fetch)
        with endpoint.first:
            if not endpoint.answered and not endpoint.refusal:
                return self._take(fetch)
        if endpoint.refusal:
            raise endpoint.refusal
        return self._take(fetch)

    def _take(self, fetch: Callable[[], Reply]) -> Answer | Later:
        try:
            found = self._meaning(fetch)
        except UserError as error:
            self.endpoint.refusal = self.endpoint.refusal or error
            raise
        if isinstance(found, Answer):
            self.endpoint.answered = True
            if found.skipped is not None and not self.is_probe:
                self.endpoint.tally.skip(found.skipped)
        return found

    def _meaning(self, fetch: Callable[[], Reply]) -> Answer | Later:
        try:
            reply = fetch()
        except requests.exceptions.RequestException as error:
            return self._again(_network_account(error))
        except Broken as broken:
            return self._again(f"{self._title} led to another address: {broken}.")
        except NotAllowed as wrong:
            raise UnexpectedError(
                f"{self._title} led to an address that {wrong}: it was not asked for. If it stays so, tell the provider."
            ) from None
        status, operation, title = reply.status, self.endpoint.operation, self._title
        if status == 429:
            return self._slow_down(reply)
        self.client.pace.answered()
        if status in operation.skip:
            return Answer(skipped=operation.skip[status])
        if status == 403 and self.endpoint.about_one and self.endpoint.answered:
            reason = f"{title} refuses access to it (HTTP 403)"
            self.endpoint.tally.warn_once(
                f"{title} refuses access to some of what was asked for (HTTP 403), but not to all."
            )
            return Answer(skipped=reason)
        if status in PASSING:
            return self._again(f"{title} could not answer (server error).", reply)
        if status in operation.refuse:
            raise UserError(operation.refuse[status])
        if status in (401, 403):
            raise self._rejected()
        if 300 <= status < 400:
            raise self._redirected()
        if not 200 <= status < 300:
            raise UnexpectedError(f"{title} refused a request: {_quoted(reply)} (HTTP {status}).")
        return self._content(reply)

    def _content(self, reply: Reply) -> Answer | Later:
        """The documented content, or another try."""
        incomplete = self.INCOMPLETE.format(self._title)
        operation = self.endpoint.operation
        try:
            value = {operation.text: text_of(reply.body)} if operation.text else parsed(reply.body)
        except Unreadable:
            return self._again(incomplete, reply)
        if not isinstance(value, Mapping):
            return self._again(incomplete, reply)
        names = {**self._names, "answer": value}
        if operation.valid_when and not operation.valid_when(names):
            return self._again(incomplete, reply)
        found: Any = value
        for name in operation.rows:
            found = found.get(name) if isinstance(found, Mapping) else None
        if not isinstance(found, list if operation.is_list else Mapping):
            return self._again(incomplete, reply)
        for condition, reason in operation.skip_when:
            if condition(names):
                return Answer(skipped=reason)
        return Answer(value, size=len(reply.body), apart=reply.apart)

    def _slow_down(self, reply: Reply) -> Later:
        """Others may use up the same limit for minutes: that is no failure, and the count of failures begins anew."""
        said = waits.asked_for(reply.headers, reset=True)
        self.client.pace.refused(said)
        self._failed = 0
        self._limited += 1
        self._limited_since = self._limited_since or monotonic()
        given_up = monotonic() - self._limited_since > RATE_LIMITED_SECONDS
        if self.endpoint.tries == 1 or given_up:
            raise PassingError(f"{self._title} asks to slow down (HTTP 429). {NEXT_STEP}")
        wait = waits.grown(self._limited) if said is None else said
        self.client.tell_wait(f"{self._title} asks to slow down (HTTP 429)", wait)
        return Later(waits.due(wait))

    def _again(self, said: str, reply: Reply | None = None) -> Later:
        """After a wait, unless this was the last try."""
        self._failed += 1
        if self._failed >= self.endpoint.tries:
            raise self._gave_up(said, reply)
        wait = None
        if reply and reply.status == 503:
            wait = waits.asked_for(reply.headers, reset=False)
            self.client.tell_wait(f"{self._title} is not available (HTTP 503)", wait or 0.0)
        return Later(waits.due(waits.grown(self._failed) if wait is None else wait))

    def _gave_up(self, said: str, reply: Reply | None) -> Exception:
        refuse = self.endpoint.operation.refuse
        if reply and reply.status in refuse:
            return UserError(refuse[reply.status])
        if reply and not 200 <= reply.status < 300:
            said = f"{said.rstrip('.')} (HTTP {reply.status})."
        if self.endpoint.tries == 1:
            return PassingError(f"{self._title} did not give an answer: {said} {NEXT_STEP}")
        return PassingError(
            f"{self._title} did not give an answer to a request of stream {self.endpoint.stream_name}, "
            f"{self._failed} tries: {said} {NEXT_STEP}"
        )

    def _rejected(self) -> UserError:
        key, advice = self.endpoint.provider.credential
        return UserError(f"{self._title} rejected the credential. Check `{key}`: {advice}")

    def _redirected(self) -> UserError:
        return UserError(
            f"{self._title} answered with a redirect, which is not followed so that the credential stays with its host. "
            f"Set `{self.endpoint.provider.name}.base_url` to the address that answers itself."
        )

    @property
    def _title(self) -> str:
        return self.endpoint.provider.title


def ask(asking: Asking) -> Answer:
    """The answer, waited for. Raises an error in words."""
    try:
        while isinstance(found := asking.once(), Later):
            if found.when_done:
                done = threading.Event()
                found.when_done(done.set)
                while not done.wait(1.0):
                    if asking.client.closed:
                        raise Closed
            else:
                waits.sleep_until(found.due, lambda: asking.client.closed)
        return found
    finally:
        asking.release()


def answer_to(asking: Asking) -> Generator[Any, Any, Answer]:
    """The same for a job, whose worker does something else meanwhile."""
    try:
        answer: Answer = yield asking
        return answer
    finally:
        asking.release()


def log_in(client: Client, provider: Provider, operation: Operation, tries: int = TRIES) -> Callable[[], str]:
    """Asks the provider's login endpoint for a token."""
    assert client.auth
    token = client.auth.value

    def logged_in() -> str:
        name = f"{provider.name}_login"
        endpoint = Endpoint(provider, operation, name, Tally(name), tries=min(tries, LOGIN_TRIES))
        answer = ask(_LoginAsking(client, endpoint, client.request(operation, client.names)))
        return str(token({**client.names, "answer": answer.value}))

    return logged_in


LOGIN_TRIES = 3


class Download(Asking):
    """A file at the provider's own host: the answer is the open response, and what it means is mostly the caller's affair."""

    PASSED_ON = frozenset({400, 404, 410, 416, 422})

    def _meaning(self, fetch: Callable[[], Reply]) -> Answer | Later:
        self.endpoint.tally.requested()
        try:
            response = self.client.open(self.request)
        except requests.exceptions.RequestException as error:
            return self._again(_network_account(error))
        if response.status_code < 400 or response.status_code in self.PASSED_ON:
            self.client.pace.answered()
            return Answer(response)

        def refusal() -> Reply:
            with response:
                return whole(response)

        return super()._meaning(refusal)


class _LoginAsking(Asking):
    INCOMPLETE = "{}'s login sent no token."

    def fetch(self) -> Reply:
        with self.client.open(self.request, own=False) as response:
            return whole(response)


def _network_account(error: Exception) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        return "The TLS connection failed; check `base_url` and the host's certificate."
    if isinstance(error, requests.exceptions.Timeout):
        return "There was no answer in time."
    if isinstance(error, requests.exceptions.ConnectionError):
        return "The host could not be reached, or broke the connection; check `base_url` and the network."
    return f"The request failed ({type(error).__name__})."


def _quoted(reply: Reply) -> str:
    """The reason that the provider gives."""
    try:
        value = parsed(reply.body)
    except Unreadable:
        value = None
    said = None
    if isinstance(value, Mapping):
        said = value.get("message") or value.get("detail") or value.get("error")
    text = str(said or "no reason given")[:LONGEST_QUOTE]
    return text.encode("utf-8", "replace").decode()  # half a surrogate pair can't be printed
