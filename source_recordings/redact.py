"""What may be said: no query of an address, no credential, no text of another library, in no line at any level.

All that goes to stdout comes through here, but for what is data: records, states, the catalog and the spec.
"""

import json
import logging
import re
from base64 import b64encode
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

from airbyte_cdk.models import AirbyteMessage

from source_recordings.cdk import filter_secrets
from source_recordings.errors import stack_of, without_stack_trace

OURS = ("airbyte", "airbyte_cdk", "source_recordings")
"""The loggers whose texts are written for a person. Others' have whole requests, headers and bodies."""

SHORTEST_SECRET = 4
LEVELS = {logging.FATAL: "FATAL", logging.ERROR: "ERROR", logging.WARNING: "WARN", logging.DEBUG: "DEBUG"}

_USER = re.compile(r"(?<=://)[^\s/?#@\"'<>]*@")
_QUERY = re.compile(r"([a-z][a-z0-9+.-]*://[^\s?#\"'<>]*)[?#][^\s\"'<>]*", re.IGNORECASE)
# Without a host, as http.client and urllib3 name a request: only what assigns a value is a query there.
_BARE_QUERY = re.compile(r"(?<=[\w/.~%-])\?[^\s\"'<>()=]*=[^\s\"'<>()]*")


def cleaned(text: str) -> str:
    """The text without the queries and passwords of addresses, and without what the config or a login keeps secret."""
    text = _QUERY.sub(r"\1?...", _USER.sub("", filter_secrets(text)))
    return _BARE_QUERY.sub("?...", text)


def redacted(message: AirbyteMessage) -> AirbyteMessage:
    """The message, cleaned in place where it is something that is said."""
    if message.log:
        message.log.message = cleaned(message.log.message)
    if message.connectionStatus and message.connectionStatus.message:
        message.connectionStatus.message = cleaned(message.connectionStatus.message)
    error = message.trace.error if message.trace else None
    if error:
        error.message = cleaned(error.message)
        error.internal_message = cleaned(error.internal_message or "") or None
        error.stack_trace = cleaned(error.stack_trace or "") or None
    return message


def forms_of(secrets: Iterable[str]) -> list[str]:
    """The ways in which secrets may stand in a text, longest first.

    Very short ones are left: to mask every "a" would mask the protocol itself.
    """
    found: set[str] = set()
    for secret in secrets:
        escaped = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}
        escaped |= {json.dumps(form)[1:-1] for form in escaped}
        raw = secret.encode("utf-8", "replace")
        found |= {secret, quote(raw, safe=""), quote(raw), quote_plus(raw), b64encode(raw).decode(), *escaped}
    return sorted((form for form in found if len(form) >= SHORTEST_SECRET), key=len, reverse=True)


class LogFormatter(logging.Formatter):
    """A log line as a message of the protocol, at every level."""

    def format(self, record: logging.LogRecord) -> str:
        without_stack_trace(record)
        if is_ours(record):
            text = record.getMessage()
            if record.exc_info and record.exc_info[1]:
                text = f"{text}\n{stack_of(record.exc_info[1])}"
        else:
            text = f"{record.name}: {record.msg}"  # without its arguments
        level = LEVELS.get(record.levelno, "INFO")
        return json.dumps({"type": "LOG", "log": {"level": level, "message": cleaned(text)}})


def is_ours(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] in OURS


def is_for_the_log(record: logging.LogRecord) -> bool:
    """A log filter: of other libraries only what they warn of."""
    return is_ours(record) or record.levelno >= logging.WARNING
