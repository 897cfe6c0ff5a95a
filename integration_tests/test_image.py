"""The image, built and run as Airbyte's platform runs it.

It needs a container program that can build and run, and a base image: that of the Dockerfile, or the one that the
environment variable BASE_IMAGE names. Without them nothing here is tested, and the summary says so.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from airbyte_cdk.models import ConfiguredAirbyteCatalogSerializer

from integration_tests.syncing import catalog_of, sandbox_config
from sandbox import Sandbox

ROOT = Path(__file__).parent.parent
IMAGE = "localhost/source-recordings:test"

pytestmark = pytest.mark.slow


def base_image() -> str:
    named = os.environ.get("BASE_IMAGE")
    if named:
        return named
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    found = re.search(r"^ARG BASE_IMAGE=(\S+)$", text, re.MULTILINE)
    assert found
    return found[1]


@cache
def tool() -> str:
    """A program that has the base image here, or can get it."""
    for name in ("docker", "podman"):
        if not shutil.which(name) or call(name, "info").returncode:
            continue
        for command in (["image", "inspect", base_image()], ["pull", "--quiet", base_image()]):
            if call(name, *command).returncode == 0:
                return name
    return ""


def call(*command: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, **more)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Built by one of the test processes; to the others it is in the cache. It stays, as a cache for the next run."""
    if not tool():
        pytest.skip("THE IMAGE IS NOT TESTED: no docker or podman that runs and has the base image")
    with (tmp_path_factory.getbasetemp().parent / "image.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        built = call(
            "sh", str(ROOT / "scripts" / "image.sh"), env=os.environ | {"IMAGE": IMAGE, "CONTAINER_TOOL": tool()}
        )
    assert built.returncode == 0, built.stderr[-3000:]
    assert built.stdout.splitlines()[-1] == IMAGE
    return IMAGE


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(seed=5, size=30, days=20, now=datetime.now(timezone.utc)) as running:
        yield running


def inspect(image: str) -> Any:
    return json.loads(call(tool(), "image", "inspect", image).stdout)[0]


def in_shell(image: str, script: str, *options: str) -> str:
    done = call(tool(), "run", "--rm", "--entrypoint", "sh", *options, image, "-c", script)
    assert done.returncode == 0, done.stderr
    return done.stdout


def messages(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_it_says_what_it_is(image: str) -> None:
    version = re.findall(r'^    version="([^"]+)",$', (ROOT / "setup.py").read_text(), re.MULTILINE)
    config = inspect(image)["Config"]
    assert config["Labels"]["io.airbyte.name"] == "airbyte/source-recordings"
    assert config["Labels"]["io.airbyte.version"] == version[0]
    environment = dict(entry.split("=", 1) for entry in config["Env"])
    assert config["Entrypoint"] == [environment["AIRBYTE_ENTRYPOINT"]]
    assert environment["AIRBYTE_ENTRYPOINT"].startswith("/")
    assert config["User"] == "1000:1000"


def test_it_holds_the_package_and_nothing_to_build_or_test_it_with(image: str) -> None:
    listing = in_shell(
        image, "find / -xdev \\( -path /proc -o -path /sys \\) -prune -o -print 2>/dev/null; true"
    ).splitlines()
    package = [path for path in listing if "/source_recordings/" in path]
    assert any(path.endswith("/provider.yaml") for path in package)
    unwanted = r"/(sandbox|unit_tests|integration_tests)/|/bin/(gcc|cc|make)$|/\.git/|/\.venv"
    assert [path for path in listing if re.search(unwanted, path)] == []
    for module in [path for path in package if path.endswith(".py")]:
        folder, _, name = module.rpartition("/")
        compiled = rf"{re.escape(folder)}/__pycache__/{re.escape(name[:-3])}\.cpython-3\d+\.pyc"
        assert any(re.fullmatch(compiled, path) for path in package), f"{module} is not compiled"


def test_its_user_may_write_where_the_platform_expects_it(image: str) -> None:
    assert in_shell(image, "id -u; id -un").split() == ["1000", "airbyte"]
    in_shell(image, "touch /airbyte/here && mktemp")


def test_it_runs_with_docker(image: str, sandbox: Sandbox, tmp_path: Path) -> None:
    """The four commands, as the README has them."""
    tmp_path.chmod(0o755)
    config = sandbox_config(sandbox)
    write(tmp_path / "config.json", config)
    write(tmp_path / "catalog.json", configured(config))
    # Read-only, and nothing but /tmp to write to.
    run = [tool(), "run", "--rm", "--network", "host", "--read-only", "--tmpfs", "/tmp"]
    run += ["-v", f"{tmp_path}:/config:ro", image]

    spec = call(*run, "spec")
    assert [m["type"] for m in messages(spec.stdout) if m["type"] != "LOG"] == ["SPEC"]
    check = call(*run, "check", "--config", "/config/config.json")
    assert '"SUCCEEDED"' in check.stdout, check.stdout
    discover = call(*run, "discover", "--config", "/config/config.json")
    assert any(m["type"] == "CATALOG" for m in messages(discover.stdout))
    read = call(*run, "read", "--config", "/config/config.json", "--catalog", "/config/catalog.json")
    assert read.returncode == 0, read.stdout[-3000:]
    records = [m["record"] for m in messages(read.stdout) if m["type"] == "RECORD"]
    for stream in ("bird_recordings", "quo_call_transcripts", "tether_call_recordings"):
        assert sum(record["stream"] == stream for record in records) == len(sandbox.truth(stream))


def test_it_runs_as_the_platform_runs_it(image: str, sandbox: Sandbox, tmp_path: Path) -> None:
    """No capabilities, a folder of the platform's, the entry point in a shell, messages into a named pipe, files apart."""
    source, staging = tmp_path / "source", tmp_path / "staging"
    config = sandbox_config(sandbox)
    for folder in (tmp_path, source, staging):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o777)
    write(source / "connectorConfig.json", config)
    catalog = configured(config)
    write(source / "catalog.json", catalog)
    script = (
        "mkfifo /source/pipe && cat /source/pipe >/source/messages & "
        "while [ ! -p /source/pipe ]; do sleep 0.1; done; "
        'eval "$AIRBYTE_ENTRYPOINT read --config /source/connectorConfig.json --catalog /source/catalog.json" '
        ">/source/pipe; code=$?; wait; exit $code"
    )
    done = call(
        *(tool(), "run", "--rm", "--network", "host", "--entrypoint", "sh"),
        *("--user", "1000:1000", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
        *("--workdir", "/source", "-v", f"{source}:/source", "-v", f"{staging}:/staging"),
        *("-e", "AIRBYTE_STAGING_DIRECTORY=/staging/files", image, "-c", script),
    )
    assert done.returncode == 0, done.stderr
    read = messages((source / "messages").read_text(encoding="utf-8"))
    delivered = {m["record"]["stream"] for m in read if m["type"] == "RECORD"}
    expected = {row["stream"]["name"] for row in catalog["streams"]}
    assert delivered == expected
    stored = [
        m["record"]["data"]
        for m in read
        if m["type"] == "RECORD" and m["record"]["data"].get("media_status") == "stored"
    ]
    for record in stored:
        file = staging / "files" / record["media_path"]
        assert file.stat().st_size == record["media_bytes"]
    assert not expected & {"bird_recording_files"} or stored


def test_it_compiles_nothing_when_it_starts(image: str) -> None:
    """The modules beside the sources are those that Python takes: otherwise every command starts a second later."""
    spoken = in_shell(image, "/opt/connector/bin/python -v $AIRBYTE_ENTRYPOINT spec 2>&1 >/dev/null")
    loaded = re.findall(r"^# code object from '?([^'\n]+)'?$", spoken, re.MULTILINE)
    assert any(path.endswith(".pyc") and "/source_recordings/" in path for path in loaded)
    assert [path for path in loaded if not path.endswith(".pyc")] == []


def configured(config: Any) -> Any:
    return json.loads(json.dumps(ConfiguredAirbyteCatalogSerializer.dump(catalog_of(config))))


def write(file: Path, content: Any) -> None:
    """For whatever user the container has: it need not be ours."""
    file.write_text(json.dumps(content), encoding="utf-8")
    file.chmod(0o644)
