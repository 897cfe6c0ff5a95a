"""Builds the sdist and the wheel, and proves both: `make release-check` runs it.

Each is installed into an empty environment in another folder, where the four commands run, the last three against the
sandbox. Contents, metadata and long description are checked too. Nothing is published.
"""

# ruff: noqa: INP001, S603, T201 - a program for a person, which runs programs

from __future__ import annotations

import argparse
import email
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
NAME = "source_recordings"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--output", type=Path, default=ROOT / "dist", help="for both archives")
    output: Path = options.parse_args().output.resolve()
    with tempfile.TemporaryDirectory() as scratch:
        checkout = export(Path(scratch) / "checkout")
        sdist, wheel = build(checkout, output)
        check_contents(checkout, sdist, wheel)
        check_metadata(wheel)
        run("twine", "check", "--strict", str(sdist), str(wheel))
        say("the package's metadata and long description are fine")
        check_registry_entry()
        for archive in (sdist, wheel):
            check_install(archive, Path(scratch) / archive.suffix.strip("."))
    say(f"ready to release: {sdist.name}, {wheel.name} in {output}")


def export(folder: Path) -> Path:
    """What a fresh clone has: the tracked files as they are here, without anything that lies around beside them."""
    names = run("git", "ls-files", "-z", cwd=ROOT).split("\0")
    for name in filter(None, names):
        source, copy = ROOT / name, folder / name
        if source.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(source.read_bytes())
    return folder


def build(checkout: Path, output: Path) -> tuple[Path, Path]:
    """The sdist from the checkout, the wheel from the sdist, as an index builds it."""
    for old in output.glob(f"{NAME}-*"):
        old.unlink()
    run("build", "--outdir", str(output), str(checkout))
    (sdist,) = output.glob(f"{NAME}-*.tar.gz")
    (wheel,) = output.glob(f"{NAME}-*.whl")
    say(f"built {sdist.name} ({_kb(sdist)}) and {wheel.name} ({_kb(wheel)})")
    return sdist, wheel


def check_contents(checkout: Path, sdist: Path, wheel: Path) -> None:
    """The package as a whole, without what only its tests read, and nothing but it in the wheel."""
    files = [file for file in (checkout / NAME).rglob("*") if file.is_file() and file.name != "example.yaml"]
    package = {str(file.relative_to(checkout)) for file in files}
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = {name for name in archive.namelist() if ".dist-info/" not in name}
    with tarfile.open(sdist) as tar:
        in_sdist = {name.partition("/")[2] for name in tar.getnames()}
    _same(in_wheel, package, "the wheel")
    missing = (package | {"LICENSE", "README.md", "setup.py", "pyproject.toml"}) - in_sdist
    _fail_if(missing, "not in the sdist")
    _fail_if({n for n in in_sdist if re.match(r"secrets/|demo/|.*(\.env|/example\.yaml)$", n)}, "in the sdist")
    say(f"{len(in_wheel)} files in the wheel: all of the package, and nothing else")


def check_metadata(wheel: Path) -> None:
    """Licence, entry point, Python versions and version, as an installer reads them."""
    with zipfile.ZipFile(wheel) as archive:
        names = {Path(name).name: name for name in archive.namelist() if ".dist-info/" in name}
        metadata = email.message_from_bytes(archive.read(names["METADATA"]))
        entry_points = archive.read(names["entry_points.txt"]).decode()
    wanted = {
        "Name": "source-recordings",
        "Version": wheel.name.split("-")[1],
        "Requires-Python": "<3.14,>=3.10",
        "License-Expression": "MIT",
        "License-File": "LICENSE",
        "Description-Content-Type": "text/markdown",
    }
    # Written in one order here and in another there.
    python = ",".join(sorted(metadata["Requires-Python"].split(",")))
    metadata.replace_header("Requires-Python", python)
    found = {key: metadata[key] or metadata[key.replace("-Expression", "")] for key in wanted}
    _same(set(found.items()), set(wanted.items()), "the metadata")
    _fail_if(set() if "LICENSE" in names else {"LICENSE"}, "not in the wheel")
    if "source-recordings = source_recordings.__main__:main" not in entry_points:
        sys.exit("The wheel has no console script source-recordings.")
    body = str(metadata.get_payload())
    links = {link for link in re.findall(r"\]\(([^)#\s]+)", body) if "://" not in link}
    missing = {link for link in links if not (ROOT / link).exists()}
    _fail_if(missing, "linked in the long description, and not there")


def check_registry_entry() -> None:
    """metadata.yaml against Airbyte's own model, which refuses what it does not know; the Dockerfile against a linter."""
    metadata: Any = import_module("airbyte_connector_models.metadata.v0.connector_metadata_definition_v0")
    text = (ROOT / "metadata.yaml").read_text(encoding="utf-8")
    metadata.ConnectorMetadataDefinitionV0.model_validate(import_module("yaml").safe_load(text))
    run(str(Path(sys.executable).with_name("hadolint")), str(ROOT / "Dockerfile"))
    say("metadata.yaml and the Dockerfile are fine")


def check_install(archive: Path, folder: Path) -> None:
    """Installs into an empty environment, away from the checkout, and runs the four commands."""
    folder.mkdir()
    run(sys.executable, "-m", "venv", str(folder / "venv"))
    python = folder / "venv" / "bin" / "python"
    install(python, archive)
    program = python.with_name("source-recordings")
    where = run(str(python), "-c", f"import {NAME}; print({NAME}.__file__)", cwd=folder).strip()
    if not where.startswith(str(folder)):
        sys.exit(f"{archive.name}: the package came from {where}.")
    with sandbox(folder) as config:
        spec = messages(program, folder, "spec")
        check = messages(program, folder, "check", "--config", config)
        discover = messages(program, folder, "discover", "--config", config)
        streams = next(m for m in discover if m["type"] == "CATALOG")["catalog"]["streams"]
        (folder / "catalog.json").write_text(json.dumps(configured(streams)), encoding="utf-8")
        read = messages(program, folder, "read", "--config", config, "--catalog", "catalog.json")
    if "SPEC" not in {m["type"] for m in spec}:
        sys.exit(f"{archive.name}: no spec")
    statuses = [m["connectionStatus"] for m in check if m["type"] == "CONNECTION_STATUS"]
    if [status["status"] for status in statuses] != ["SUCCEEDED"]:
        sys.exit(f"{archive.name}: check said {statuses}")
    delivered = {m["record"]["stream"] for m in read if m["type"] == "RECORD"}
    _same(delivered, {stream["name"] for stream in streams}, f"{archive.name}: streams with records")
    _fail_if({m["trace"]["error"]["message"] for m in read if "error" in m.get("trace", {})}, f"{archive.name}: errors")
    say(f"{archive.name}: installed, and all four commands run; {len(delivered)} streams have records")


def install(python: Path, archive: Path) -> None:
    """With uv where this environment has it: it is quick. pip is in every environment."""
    uv = Path(sys.executable).with_name("uv")
    if uv.exists():
        try:
            run(str(uv), "pip", "install", "--quiet", "--python", str(python), str(archive))
        except SystemExit:
            say("uv could not install it; trying pip")
        else:
            return
    run(str(python), "-m", "pip", "install", "--quiet", str(archive))


@contextmanager
def sandbox(folder: Path) -> Iterator[str]:
    """The sandbox of this checkout, and a config for it that does not wait for limits that it does not have."""
    file = folder / "config.json"
    command = [sys.executable, "-m", "sandbox", "--size", "60", "--until-stdin-closes"]
    with subprocess.Popen(
        [*command, "--config-file", str(file)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        if not process.stdout.readline():
            sys.exit("The sandbox did not start.")
        config = json.loads(file.read_text(encoding="utf-8"))
        config["quo"]["requests_per_second"] = 1000
        config["bota"]["requests_per_minute"] = 100_000
        file.write_text(json.dumps(config), encoding="utf-8")
        try:
            yield str(file)
        finally:
            process.terminate()


def configured(streams: list[dict[str, Any]]) -> dict[str, Any]:
    """All streams, read as a whole."""
    return {
        "streams": [
            {"stream": stream, "sync_mode": "full_refresh", "destination_sync_mode": "append"} for stream in streams
        ]
    }


def messages(program: Path, folder: Path, *arguments: str) -> list[dict[str, Any]]:
    """What a command prints, each line of which must be a message."""
    lines = run(str(program), *arguments, cwd=folder).splitlines()
    try:
        return [json.loads(line) for line in lines]
    except ValueError as error:
        sys.exit(f"{program.name} {arguments[0]} printed a line that is no message: {error}")


def run(*command: str, cwd: Path | None = None) -> str:
    """Runs a program, or a module of this environment, and gives what it printed."""
    if command[0] in ("build", "twine"):
        command = (sys.executable, "-m", *command)
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment["AIRBYTE_STAGING_DIRECTORY"] = str((cwd or Path.cwd()) / "files")
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return str(done.stdout)


def say(text: str) -> None:
    print(text, flush=True)


def _kb(file: Path) -> str:
    return f"{file.stat().st_size / 1000:,.0f} kB"


def _same(found: set[Any], wanted: set[Any], what: str) -> None:
    if found != wanted:
        sys.exit(f"{what}: missing {sorted(wanted - found)}, too many {sorted(found - wanted)}")


def _fail_if(wrong: set[str], what: str) -> None:
    if wrong:
        sys.exit(f"{what}: {sorted(wrong)}")


if __name__ == "__main__":
    main()
