"""The request budgets: no provider is asked more often than the config says, and none waits for another's."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter

from integration_tests.conftest import NOW, REPOSITORY, Program
from integration_tests.syncing import Row, sandbox_config
from sandbox import Sandbox
from unit_tests.harness import Connector, catalog

CALLS = 14
# The program, which otherwise keeps what it has printed last until it prints again.
UNBUFFERED = """
from airbyte_cdk.logger import PRINT_BUFFER
from source_recordings.run import run

PRINT_BUFFER.flush_interval = 0
run()
"""


def limited(sandbox: Sandbox, requests_per_second: int) -> Row:
    """A config of Quo that asks for one transcript per call."""
    sandbox.limits = True
    config = sandbox_config(sandbox, "quo")
    config["quo"]["requests_per_second"] = requests_per_second
    config["quo"]["call_ids"] = [row["id"] for row in sandbox.rows("quo_calls")][:CALLS]
    return config


def test_quo_is_not_asked_faster_than_configured(connector: Connector) -> None:
    """Two requests a second, sixteen workers -> the sandbox, which refuses what is too fast, refuses nothing."""
    with Sandbox(seed=6, size=60, now=NOW, days=20, rates={"quo": (10, 1.0)}) as sandbox:
        output = connector.read(limited(sandbox, 2), "quo_call_transcripts")

    assert output.exit_code == 0
    assert len(sandbox.requests) == CALLS
    assert 429 not in {request.status for request in sandbox.requests}
    # Each two go out a second after the two before; how late they arrive is the machine's affair.
    times = [request.time for request in sandbox.requests]
    assert max(times) - min(times) > CALLS / 2 - 2


def test_without_a_budget_the_sandbox_refuses(connector: Connector) -> None:
    """What shows that the test above shows something: too fast -> 429 -> waited out, and all the same complete."""
    with Sandbox(seed=6, size=60, now=NOW, days=20, rates={"quo": (10, 1.0)}) as sandbox:
        budgeted = limited(sandbox, 5)
        unbudgeted = limited(sandbox, 1_000_000)
        unbudgeted["num_workers"] = CALLS
        sandbox.knobs.turn(rates={"quo": (4, 1.0)})
        output = connector.read(unbudgeted, "quo_call_transcripts")

    assert budgeted["quo"]["call_ids"] == unbudgeted["quo"]["call_ids"]
    assert output.exit_code == 0
    answers = Counter(request.status for request in sandbox.requests)
    assert answers[429] > 0
    assert sum(number for status, number in answers.items() if status != 429) == CALLS


def test_a_provider_that_waits_holds_up_no_other(program: Program) -> None:
    """Ten requests a minute to Bota, two workers -> Quo and Tether are complete while Bota's minute passes."""
    with Sandbox(seed=6, size=60, now=NOW, days=20) as sandbox:
        config = sandbox_config(sandbox, "bota", "quo", "tether", num_workers=2)
        config["bota"]["requests_per_minute"] = 10
        quick = {"quo_calls", "quo_call_transcripts", "tether_calls", "tether_call_recordings"}
        streams = ["bota_recordings", "bota_transcriptions", *sorted(quick)]
        assert len(sandbox.truth("bota_transcriptions")) > 10
        arguments = ["--config", program.file("config.json", config)]
        arguments += ["--catalog", program.file("catalog.json", catalog(streams))]
        complete: list[str] = []
        with subprocess.Popen(
            [sys.executable, "-c", UNBUFFERED, "read", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=REPOSITORY,
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                status = json.loads(line).get("trace", {}).get("stream_status")
                if status and status["status"] == "COMPLETE":
                    complete.append(status["stream_descriptor"]["name"])
                if quick <= set(complete):
                    break
            process.kill()  # Bota's minute is not waited for
        asked = Counter(request.provider for request in sandbox.requests)

    assert quick <= set(complete)
    assert "bota_transcriptions" not in complete
    assert 0 < asked["bota"] <= 10
