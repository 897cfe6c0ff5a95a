"""Logging in again when a session has run out."""

import threading
from collections.abc import Mapping
from typing import Any

import requests
from airbyte_cdk.sources.declarative.auth.declarative_authenticator import DeclarativeAuthenticator
from airbyte_cdk.sources.declarative.auth.token_provider import SessionTokenProvider
from airbyte_cdk.utils.airbyte_secrets_utils import add_to_secrets


class ReloginAuthenticator(DeclarativeAuthenticator):
    """A session token as Bearer; an answer 401 leads to one new login and the same request once more.

    Done where `requests` lets an authenticator answer a challenge, so that the error handling above sees only a 401 that
    stays one. All streams share the login.
    """

    def __init__(self, provider: SessionTokenProvider) -> None:
        self._provider = provider
        self._lock = threading.Lock()
        self._token: str | None = None

    def get_auth_header(self) -> Mapping[str, Any]:
        return {}

    def get_request_params(self) -> Mapping[str, Any]:
        return {}

    def get_request_body_data(self) -> Mapping[str, Any]:
        return {}

    def get_request_body_json(self) -> Mapping[str, Any]:
        return {}

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._current(refused=None)}"
        if self._answer_401 not in request.hooks["response"]:
            request.register_hook("response", self._answer_401)
        return request

    def _current(self, refused: str | None) -> str:
        """The token; a new one if there is none yet or it is the one that was refused."""
        with self._lock:
            if self._token is None or self._token == refused:
                self._provider._refresh()
                self._token = str(self._provider._token)
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
        answer: requests.Response = response.connection.send(again, **kwargs)  # type: ignore[attr-defined]
        answer.history.append(response)
        answer.request = again
        return answer
