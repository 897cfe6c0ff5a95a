"""The sandbox as a program of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import requests

from integration_tests.documents.client import NOW, ROOT
from sandbox import Sandbox


def test_command_line(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    command = [
        sys.executable, "-m", "sandbox", "--size", "30", "--seed", "5", "--now",
        "2026-06-01T12:00:00Z", "--config-file", str(file), "--max-seconds", "60",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        where = json.loads(process.stdout.readline())
        control = where["control"]
        assert json.loads(file.read_text("utf-8")) == requests.get(control + "/config").json()
        assert urlsplit(control).hostname == "127.0.0.1"
        twin = Sandbox(seed=5, size=30, now=NOW)
        truth = requests.get(control + "/truth/quo_calls").json()
        assert [tuple(key) for key in truth] == twin.truth("quo_calls")
        lines = requests.get(control + "/rows/bota_transcriptions").text.splitlines()
        assert [json.loads(line) for line in lines] == list(twin.rows("bota_transcriptions"))
        assert requests.get(control + "/truth/nothing").status_code == 400

        url, key = where["quo"] + "/v1/phone-numbers", json.loads(file.read_text())["quo"]
        fault = {"provider": "quo", "path_regex": "phone", "status": 500, "times": 1}
        assert requests.post(control + "/faults", json=fault).status_code == 204
        headers = {"Authorization": key["api_key"]}
        assert [requests.get(url, headers=headers).status_code for _ in range(2)] == [500, 200]
        seen = requests.get(control + "/requests").json()
        assert [(entry["path"], entry["status"]) for entry in seen] == [
            ("/v1/phone-numbers", 500), ("/v1/phone-numbers", 200)
        ]  # fmt: skip
        requests.delete(control + "/requests")
        assert requests.get(control + "/requests").json() == []
        bad = requests.post(control + "/knobs", json={"quo_plan": "free"})
        assert (bad.status_code, "quo_plan" in bad.text) == (400, True)
        requests.post(control + "/advance", json={"seconds": 86_400 * 30})
        assert len(requests.get(control + "/truth/quo_calls").json()) >= len(truth) + 50
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0


def test_it_ends_by_itself() -> None:
    command = [sys.executable, "-m", "sandbox", "--size", "1"]
    for options, stdin in ((["--max-seconds", "0.2"], None), (["--until-stdin-closes"], "")):
        done = subprocess.run(
            [*command, *options], input=stdin, capture_output=True, text=True, cwd=ROOT, timeout=20, check=True
        )
        assert "control" in json.loads(done.stdout)
