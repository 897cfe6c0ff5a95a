"""Logging in again when a session has run out."""

import threading
from typing import Any

import requests
from airbyte_cdk.models import FailureType
from airbyte_cdk.sources.declarative.auth.declarative_authenticator import DeclarativeAuthenticator
from airbyte_cdk.sources.declarative.auth.token_provider import SessionTokenProvider
from airbyte_cdk.utils import AirbyteTracedException
from airbyte_cdk.utils.airbyte_secrets_utils import add_to_secrets

# A shorter one is no JWT, and to mask it in the output would mask parts of words.
SHORTEST_TOKEN = 16


class ReloginAuthenticator(DeclarativeAuthenticator):
    """A session token as Bearer; an answer 401 leads to one new login and the same request once more.

    Done where `requests` lets an authenticator answer a challenge, so that the error handling above sees only a 401 that
    stays one. All streams share the login.
    """

    def __init__(self, provider: SessionTokenProvider) -> None:
        self._provider = provider
        self._lock = threading.Lock()
        self._token: str | None = None
        self._refusal: AirbyteTracedException | None = None

    @property
    def auth_header(self) -> str:
        return "Authorization"

    @property
    def token(self) -> str:
        return f"Bearer {self._current(refused=None)}"

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers[self.auth_header] = self.token
        if self._answer_401 not in request.hooks["response"]:
            request.hooks["response"].append(self._answer_401)
        return request

    def _current(self, refused: str | None) -> str:
        """The token; a new one if there is none yet or it is the one that was refused.

        A login that was refused is not tried again: a few wrong ones lock an account.
        """
        with self._lock:
            if self._refusal:
                raise self._refusal
            if self._token is None or self._token == refused:
                try:
                    self._provider._refresh()
                except AirbyteTracedException as error:
                    if error.failure_type == FailureType.config_error:
                        self._refusal = error
                    raise
                self._token = str(self._provider._token)
                if len(self._token) >= SHORTEST_TOKEN:
                    add_to_secrets(self._token)
            return self._token

    def _answer_401(self, response: requests.Response, **kwargs: Any) -> requests.Response:
        request = response.request
        sent = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if response.status_code != 401 or getattr(request, "second_try", False):
            return response
        response.content  # noqa: B018  read to its end, so that the connection can be used again
        response.close()
        again = request.copy()
        again.headers["Authorization"] = f"Bearer {self._current(refused=sent)}"
        again.second_try = True  # type: ignore[attr-defined]
        answer: requests.Response = response.connection.send(again, **kwargs)
        answer.history.append(response)
        answer.request = again
        return answer
