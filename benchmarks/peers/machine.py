"""What the figures depend on: date, machine, versions."""

import argparse
import os
import platform
import subprocess
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("dlt", "singer-sdk", "requests", "aiohttp")


def machine(chosen: argparse.Namespace) -> str:
    """One paragraph for the head of the tables."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    cdk = _version_in(chosen.ours, "airbyte-cdk")
    rounds = "one quick round" if chosen.quick else f"rounds: {chosen.rounds}"
    return (
        f"{datetime.now(timezone.utc).date().isoformat()}, {_processor()}, {os.cpu_count()} cores, {platform.system()}, "
        f"Python {platform.python_version()}, {rounds}; airbyte-cdk {cdk}, {versions}."
    )


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version_in(python: Path, package: str) -> str:
    code = f"from importlib.metadata import version; print(version({package!r}))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
