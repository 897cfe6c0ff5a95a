"""The demo as a program of its own, in a folder of the test's."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PYTHON = ROOT / ".venv-demo" / "bin" / "python"

needs_demo = pytest.mark.skipif(
    not PYTHON.exists(), reason="THE DEMO IS NOT TESTED: there is no .venv-demo, which needs a Python below 3.13"
)


def command(folder: Path, *options: str, program: str = "demo.py") -> list[str]:
    return [str(PYTHON), str(ROOT / "examples" / program), "--folder", str(folder), *options]


def demo(folder: Path, *options: str, program: str = "demo.py") -> str:
    run = subprocess.run(
        command(folder, *options, program=program), cwd=folder.parent, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return str(run.stdout)
