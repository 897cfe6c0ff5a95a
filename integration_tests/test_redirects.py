"""A redirect leads nowhere: over real connections, the other host gets no request at all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from integration_tests.conftest import NOW
from integration_tests.other_host import OtherHost
from integration_tests.syncing import sandbox_config
from sandbox import Sandbox
from unit_tests.examples import DETAILS, ID_LISTS, LISTS, first_of_each
from unit_tests.harness import Connector, Output

STATUSES = [301, 302, 303, 307, 308]
LISTINGS = [case.stream for case in first_of_each(LISTS)]
# A request by id per provider; the ids are made up, as nobody answers.
BY_ID = {case.stream: case for case in first_of_each(DETAILS)}


@pytest.fixture(scope="module")
def redirecting() -> Iterator[Sandbox]:
    with Sandbox(seed=3, size=5, now=NOW) as started:
        yield started


@pytest.fixture
def other(redirecting: Sandbox) -> Iterator[OtherHost]:
    redirecting.clear_faults()
    redirecting.clear_requests()
    host = OtherHost()
    yield host
    host.stop()


def assert_nobody_went_there(output: Output, other: OtherHost, streams: list[str]) -> None:
    assert other.asked == []
    assert output.exit_code == 1
    errors = {error["stream_descriptor"]["name"]: error for error in output.errors[:-1]}
    assert sorted(errors) == sorted(streams)
    for stream in streams:
        assert output.ended(stream) == "INCOMPLETE"
        assert output.records(stream) == []
        assert errors[stream]["failure_type"] == "config_error"
        assert f"`{stream.split('_')[0]}.base_url`" in errors[stream]["message"]
    assert output.errors[-1]["failure_type"] == "config_error"


@pytest.mark.parametrize("status", STATUSES)
def test_the_listings(status: int, redirecting: Sandbox, other: OtherHost, connector: Connector) -> None:
    """The GET of every provider's listing -> one request, to the provider -> a config error that names base_url."""
    redirecting.fault("*", "", status=status, headers={"Location": other.address})

    output = connector.read(sandbox_config(redirecting), *LISTINGS)

    assert_nobody_went_there(output, other, LISTINGS)
    # Bird is also asked for a count, on which nothing depends.
    asked = sorted(r.provider for r in redirecting.requests if not r.path.endswith("/recording-metrics"))
    assert asked == sorted(redirecting.providers)


@pytest.mark.parametrize("status", [302, 307])
def test_the_requests_by_id(status: int, redirecting: Sandbox, other: OtherHost, connector: Connector) -> None:
    """Bird documents a 307 to the signed media address here -> not followed with the credential either."""
    config = sandbox_config(redirecting)
    for case in BY_ID.values():
        config[case.provider][ID_LISTS[case.provider]] = [case.by_id]
    redirecting.fault("*", "", status=status, headers={"Location": other.address})

    output = connector.read(config, *BY_ID)

    assert_nobody_went_there(output, other, list(BY_ID))
    assert len(redirecting.requests) == len(BY_ID)


@pytest.mark.parametrize("status", [302, 307, 308])
@pytest.mark.parametrize("command", ["check", "read"])
def test_tethers_login(command: str, status: int, redirecting: Sandbox, other: OtherHost, connector: Connector) -> None:
    """307 and 308 repeat a POST with its body, the password that is -> one POST, to Tether -> a config error."""
    config = redirecting.config(["tether"], login=True)
    redirecting.fault("tether", "/api/auth/login", status=status, headers={"Location": other.address})

    if command == "check":
        output = connector.check(config)
        assert output.connection["status"] == "FAILED"
        assert "`tether.base_url`" in output.connection["message"]
    else:
        output = connector.read(config, "tether_calls")
        assert_nobody_went_there(output, other, ["tether_calls"])

    assert other.asked == []
    assert [(r.method, r.path) for r in redirecting.requests] == [("POST", "/api/auth/login")]
