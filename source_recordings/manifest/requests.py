"""A provider's requests as components of the CDK: requester, authenticator, and what an answer means."""

import re
from collections.abc import Iterator, Mapping
from functools import partial

from source_recordings.manifest.words import Component, Entry, Words, condition, got

_EQUAL = re.compile(r"config\.(?P<path>[\w.]+) == '(?P<value>[^']*)'")
_TIME_OUTS = {"connect_timeout_in_seconds": 10, "read_timeout_in_seconds": 60}


class Requests:
    """Makes the components of one provider's requests."""

    def __init__(self, words: Words) -> None:
        self._words = words
        self.provider = words.provider
        self._auth = self._authenticator()

    def requester(self, entry: Entry) -> Component:
        found = self._request(entry)
        found["authenticator"] = self._auth
        found["error_handler"] = self._errors(entry, self.provider.definition.get("refuse", {}))
        return found

    def _request(self, entry: Entry) -> Component:
        method = "get" if "get" in entry else "post"
        key, credential_help = self.provider.credential
        found: Component = {
            "type": "HttpRequester",
            "url": self._words.url(entry[method]),
            "http_method": method.upper(),
            "use_cache": False,
            **_TIME_OUTS,
            "$parameters": {
                "vendor": self.provider.title,
                "provider": self.provider.name,
                "credential": key,
                "credential_help": credential_help,
            },
        }
        if "headers" in entry:
            found["request_headers"] = dict(entry["headers"])
        if "params" in entry:
            found["request_parameters"] = dict(entry["params"])
        if "json" in entry:
            value = {name: self._words.value(text) for name, text in entry["json"].items()}
            found["request_body"] = {"type": "RequestBodyJsonObject", "value": value}
        return found

    def _errors(self, entry: Entry, refuse: Mapping[int, str], tries: int = 5) -> Component:
        """What an operation says about a status goes before what its provider says, and that before what all say."""
        skip = entry.get("skip", {})
        refuse = {**refuse, **entry.get("refuse", {})}
        refuse = {code: text for code, text in refuse.items() if code not in skip}
        config_error = {"failure_type": "config_error"}
        # Of a server's error a few tries tell whether it means what is documented.
        final = {code: text for code, text in refuse.items() if int(code) < 500}
        tried = {code: text for code, text in refuse.items() if int(code) >= 500}
        filters = [
            *_by_codes(skip, {"action": "IGNORE"}),
            *_by_codes(final, {"action": "FAIL", **config_error}),
            *_by_codes(tried, {"action": "RETRY", **config_error}),
            *common("errors", "rejected", "rate_limited", "server_error", "redirect", "unexpected"),
        ]
        title, pages = self.provider.title, entry.get("pages", {})
        told = partial(_told, filters)
        for rule in entry.get("skip_when", []):
            told(f"{self._words.text(rule['when'])}", "IGNORE", rule["reason"])
        where = entry.get("rows") or entry.get("row")
        good = self._words.text(entry["valid_when"]) if "valid_when" in entry else None
        good = good or (f"{got('response', where.split('.'))} is not none" if where else None)
        incomplete = f"{title} sent an answer without the documented content."
        if good:
            told(f"response is not mapping or not ({good})", "RETRY", incomplete)
        if "cursor" in pages and "more" in pages:
            goes_on = f"({self._words.text(pages['more'])}) and not ({self._words.text(pages['next'])})"
            told(goes_on, "FAIL", f"{title} pages its list without a cursor, which is not supported.")
        return {
            "type": "DefaultErrorHandler",
            "max_retries": tries,
            "backoff_strategies": [*common("backoff", "retry_after", "ratelimit_reset", "exponential")],
            "response_filters": filters,
        }

    def _authenticator(self) -> Component:
        entries = self.provider.definition.get("auth", [])
        if isinstance(entries, Mapping):
            return self._authenticator_of(entries)
        conditions = [_EQUAL.fullmatch(entry.get("when", "")) for entry in entries]
        path = next(found["path"] for found in conditions if found).split(".")
        # The entry without a condition is for the choice that no other one names.
        choices = _constants(self.provider.spec["properties"], path)
        named = {found["value"] for found in conditions if found}
        other = next(iter(choices - named), "")
        return {
            "type": "SelectiveAuthenticator",
            "authenticator_selection_path": [self.provider.name, *path],
            "authenticators": {
                found["value"] if found else other: self._authenticator_of(entry)
                for found, entry in zip(conditions, entries, strict=True)
            },
        }

    def _authenticator_of(self, entry: Entry) -> Component:
        if entry["type"] == "bearer":
            return {"type": "BearerAuthenticator", "api_token": self._words.value(entry["token"])}
        if entry["type"] == "basic":
            user, password = self._words.value(entry["username"]), self._words.value(entry["password"])
            return {"type": "BasicHttpAuthenticator", "username": user, "password": password}
        if entry["type"] == "login":
            login = self._request(entry)
            valid = {**entry, "valid_when": entry["token"]}
            login["error_handler"] = self._errors(valid, {}, tries=2)
            return {
                "type": "SessionTokenAuthenticator",
                "login_requester": login,
                "session_token_path": entry["token"].split(".")[1:],
                "expiration_duration": "PT30M",
                "request_authentication": {"type": "Bearer"},
            }
        return {
            "type": "ApiKeyAuthenticator",
            "api_token": f"{entry.get('scheme', '')} {self._words.value(entry['key'])}".strip(),
            "inject_into": option("Authorization", "header"),
        }


def option(name: str, where: str = "request_parameter") -> Component:
    return {"type": "RequestOption", "inject_into": where, "field_name": name}


def common(group: str, *names: str) -> Iterator[Component]:
    return ({"$ref": f"#/definitions/{group}/{name}"} for name in names)


def _by_codes(reasons: Mapping[int, str], action: Component) -> Iterator[Component]:
    """One filter for all codes that mean the same."""
    for reason in dict.fromkeys(reasons.values()):
        codes = [int(code) for code, text in reasons.items() if text == reason]
        yield {"type": "HttpResponseFilter", "http_codes": codes, **action, "error_message": reason}


def _told(filters: list[Component], predicate: str, action: str, message: str) -> None:
    """Adds a filter that looks into an answer."""
    found: Component = {"type": "HttpResponseFilter", "predicate": condition(predicate)}
    found |= {"action": action, "error_message": message}
    if action == "FAIL":
        found["failure_type"] = "system_error"
    filters.append(found)


def _constants(properties: Entry, path: list[str]) -> set[str]:
    """What the choice at the path can be: the constants of a form's options."""
    options = properties[path[0]]["oneOf"]
    return {option["properties"][path[1]]["const"] for option in options}
