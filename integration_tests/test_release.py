"""The archives of a release, built, checked and tried by scripts/release_check.py."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PYTHON = ROOT / ".venv-release" / "bin" / "python"


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON.exists(), reason="THE RELEASE IS NOT TESTED: there is no .venv-release")
def test_both_archives_can_be_installed_and_run(tmp_path: Path) -> None:
    done = subprocess.run(
        [PYTHON, ROOT / "scripts" / "release_check.py", "--output", tmp_path / "dist"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ready to release" in done.stdout
    assert {file.suffix for file in (tmp_path / "dist").iterdir()} == {".gz", ".whl"}
