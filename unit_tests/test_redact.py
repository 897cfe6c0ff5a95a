"""What is said says no query, no credential, no text of another library: the one place that all lines come through."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import requests
import requests_mock
from airbyte_cdk import AirbyteTracedException
from airbyte_cdk.models import (
    AirbyteConnectionStatus,
    AirbyteLogMessage,
    AirbyteMessage,
    AirbyteRecordMessage,
    Level,
    Status,
    Type,
)

from source_recordings.cdk import update_secrets
from source_recordings.errors import PassingError, UserError, explained, place_of, stack_of
from source_recordings.redact import LogFormatter, cleaned, forms_of, is_for_the_log, redacted
from unit_tests.examples import EXAMPLES, a_list, config
from unit_tests.harness import PASSWORD, Connector

SECRETS = {name: example.secrets[0] for name, example in EXAMPLES.items()}

QUO = a_list("quo_calls")
SIGNED = "https://u:pw@s3.example.com/a/b.mp3?X-Amz-Credential=AKIA&X-Amz-Signature=0123abcd#f"


@pytest.fixture
def secrets() -> Iterator[None]:
    update_secrets(forms_of([PASSWORD, SECRETS["quo"]]))
    yield
    update_secrets([])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SIGNED, "https://s3.example.com/a/b.mp3?..."),
        (f"GET <{SIGNED}>.", "GET <https://s3.example.com/a/b.mp3?...>."),
        (f"'{SIGNED}', \"{SIGNED}\"", "'https://s3.example.com/a/b.mp3?...', \"https://s3.example.com/a/b.mp3?...\""),
        ("Max retries exceeded with url: /a.mp3?sig=abc (Caused by x)", "Max retries exceeded with url: /a.mp3?... (Caused by x)"),
        ("HTTPS://H/P?TOKEN", "HTTPS://H/P?..."),
        ("https://h/p#access_token=x", "https://h/p?..."),
        ("wss://h?x", "wss://h?..."),
        ("Is it right? Or a=b?", "Is it right? Or a=b?"),
        ("`quo.api_key` is missing: where? There.", "`quo.api_key` is missing: where? There."),
        ("", ""),
    ],
)  # fmt: skip
def test_addresses_lose_their_query(text: str, expected: str) -> None:
    assert cleaned(text) == expected
    assert cleaned(cleaned(text)) == expected


@pytest.mark.usefixtures("secrets")
def test_secrets_are_masked_in_each_form() -> None:
    for secret in (PASSWORD, SECRETS["quo"]):
        for form in forms_of([secret]):
            text = cleaned(f"a {form} b")
            assert form not in text and "****" in text
    assert "\\" not in cleaned(json.dumps({"echo": json.dumps({"p": PASSWORD}, ensure_ascii=False)})).replace('\\"', "")


def test_a_short_secret_masks_no_words() -> None:
    assert "a" not in forms_of(["a"]) and "abc" not in forms_of(["abc"])


def test_only_what_is_said_is_changed() -> None:
    """A record keeps its addresses: they are data."""
    record = AirbyteRecordMessage(stream="x", data={"url": SIGNED}, emitted_at=1)
    assert redacted(AirbyteMessage(type=Type.RECORD, record=record)).record == record
    log = AirbyteLogMessage(level=Level.INFO, message=SIGNED)
    status = AirbyteConnectionStatus(status=Status.FAILED, message=SIGNED)
    messages = [
        AirbyteMessage(type=Type.LOG, log=log),
        AirbyteMessage(type=Type.CONNECTION_STATUS, connectionStatus=status),
        AirbyteTracedException(SIGNED, SIGNED, exception=KeyError(SIGNED)).as_airbyte_message(),
    ]
    for message in messages:
        assert "0123abcd" not in str(redacted(message))


def raise_(error: Exception) -> None:
    raise error


def an_error() -> Exception:
    """One as the reading meets it: ours, whose cause and context quote an address and a row."""
    quoting = requests.exceptions.ConnectionError(f"Max retries exceeded with url: {SIGNED}")
    try:
        try:
            raise_(KeyError('{"row": "PRIVATE"}'))
        except KeyError:
            raise_(quoting)
    except requests.exceptions.ConnectionError as error:
        ours = PassingError("Quo did not answer.")
        ours.__cause__ = error
    return ours


def test_a_stack_has_places_and_kinds_and_our_words_only() -> None:
    stack = stack_of(an_error())

    for part in (
        "requests.exceptions.ConnectionError",
        "KeyError",
        "PassingError: Quo did not answer.",
        "test_redact.py",
    ):
        assert part in stack
    for part in ("0123abcd", "s3.example.com", "Max retries exceeded"):
        assert part not in stack


def test_a_stack_of_errors_that_cause_each_other_ends() -> None:
    first, second = ValueError(), TypeError()
    first.__cause__, second.__cause__ = second, first
    assert stack_of(first).count("ValueError") == 1


def test_an_error_of_ours_tells_its_place_and_not_its_text() -> None:
    with pytest.raises(UnicodeEncodeError) as caught:
        "\u00e9".encode("ascii")
    found = explained(caught.value, "Quo", "quo_calls")
    assert place_of(caught.value).startswith("UnicodeEncodeError in test_redact.py, line ")
    trace = found.as_airbyte_message().trace
    assert trace and trace.error
    assert "\u00e9" not in str(trace.error)
    assert trace.error.internal_message and "test_redact.py" in trace.error.internal_message


def line(name: str, level: int, message: str, *args: object, error: BaseException | None = None) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord(name, level, "", 0, message, args, info)


class TestLog:
    def test_every_level_is_a_message_of_the_protocol(self) -> None:
        for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.FATAL, 17):
            record = line("airbyte.x", level, "a %s", SIGNED)
            record.extra_body = "BODY"
            text = LogFormatter().format(record)
            found = json.loads(text)
            assert set(found) == {"type", "log"} and found["log"]["level"]
            assert "0123abcd" not in text and "BODY" not in text and "\n" not in text

    def test_an_error_comes_with_its_stack(self) -> None:
        text = LogFormatter().format(line("airbyte", logging.ERROR, "failed", error=an_error()))
        assert "PassingError" in text and "0123abcd" not in text and "Max retries exceeded with url: https" not in text

    def test_a_mistake_of_the_user_comes_without(self) -> None:
        text = LogFormatter().format(line("airbyte", logging.ERROR, "failed", error=UserError("Check it.")))
        assert json.loads(text)["log"]["message"] == "failed"

    def test_half_a_character_is_no_error(self) -> None:
        assert json.loads(LogFormatter().format(line("airbyte", logging.INFO, "\ud83d")))

    @pytest.mark.parametrize("name", ["urllib3.connectionpool", "requests", "http.client", "asyncio", "root"])
    def test_other_libraries_warn_without_their_values(self, name: str) -> None:
        record = line(name, logging.WARNING, "Failed to parse headers (url=%s): %s", SIGNED, "Set-Cookie: SECRET")
        assert is_for_the_log(record)
        assert json.loads(LogFormatter().format(record))["log"]["message"] == (
            f"{name}: Failed to parse headers (url=%s): %s"
        )
        for level in (logging.DEBUG, logging.INFO):
            assert not is_for_the_log(line(name, level, "%s", SIGNED))


@pytest.mark.parametrize("status", [400, 401, 418, 422])
@pytest.mark.parametrize("command", ["check", "read"])
def test_a_provider_that_quotes_the_key_is_not_quoted(
    status: int, command: str, connector: Connector, api: requests_mock.Mocker
) -> None:
    """`{"message": "Invalid key ..."}` is the provider's reason, and goes into the message for a person."""
    key = SECRETS["quo"]
    api.get(QUO.url, status_code=status, json={"message": f"Invalid key {key}, see {SIGNED}"})

    output = connector.check(config("quo")) if command == "check" else connector.read(config("quo"), QUO.stream)

    assert key not in output.said
    assert "0123abcd" not in output.said
    assert "Traceback" not in output.said or status in (400, 418, 422)


def test_root_at_debug_prints_nothing_of_other_libraries(connector: Connector, api: requests_mock.Mocker) -> None:
    """A program around ours may have set it -> urllib3 would log each address."""
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.DEBUG)

    def answer(_request: object, _context: object) -> object:
        logging.getLogger("urllib3.connectionpool").debug('%s "GET %s"', "https://h:443", "/x?signature=0123abcd")
        logging.getLogger("urllib3.connectionpool").warning("Failed to parse headers (url=%s)", SIGNED)
        return QUO.answer

    api.get(QUO.url, json=answer)
    try:
        output = connector.read(config("quo"), QUO.stream)
    finally:
        logging.getLogger().setLevel(level)

    assert output.exit_code == 0
    assert "0123abcd" not in output.said
