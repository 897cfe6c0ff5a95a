"""The staging directory: no half file under a final name, nothing left behind, nothing outside."""

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from airbyte_cdk import AirbyteTracedException
from airbyte_cdk.models import FailureType

from source_recordings.files import folders
from source_recordings.files import staging as module
from source_recordings.files.staging import PARTS, Staging, staging_directory


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    return Staging(tmp_path / "not" / "yet" / "there")


def files(staging: Staging) -> list[str]:
    return sorted(str(p.relative_to(staging.root)) for p in staging.root.rglob("*") if p.is_file())


def test_a_part_becomes_a_file_only_when_it_is_finished(staging: Staging) -> None:
    with staging.part() as part:
        part.write(b"abc")
        part.write(memoryview(b"def"))
        assert [Path(name).parent.name for name in files(staging)] == [PARTS]
        final = part.finish("bird/2026/01/x.mp3")
        assert files(staging) == ["bird/2026/01/x.mp3"]
    assert final.read_bytes() == b"abcdef"
    assert (part.size, part.sha256) == (6, hashlib.sha256(b"abcdef").hexdigest())


def test_a_part_that_is_not_finished_is_removed(staging: Staging) -> None:
    with staging.part() as part:
        part.write(b"abc")
    assert files(staging) == []


def test_a_restarted_part_forgets(staging: Staging) -> None:
    with staging.part() as part:
        part.write(b"x" * 1000)
        part.restart()
        part.write(b"y")
        final = part.finish("a.bin")
    assert final.read_bytes() == b"y"
    assert (part.size, part.sha256) == (1, hashlib.sha256(b"y").hexdigest())


def test_a_file_that_was_there_is_replaced_at_once(staging: Staging) -> None:
    for content in (b"old", b"new"):
        with staging.part() as part:
            part.write(content)
            final = part.finish("a/b.bin")
    assert final.read_bytes() == b"new"


def test_a_write_that_takes_a_part_of_the_data_goes_on(staging: Staging, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:3]))
    with staging.part() as part:
        part.write(b"0123456789")
        assert part.finish("a.bin").read_bytes() == b"0123456789"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.ENOSPC, "is full"),
        (errno.EDQUOT, "is full"),
        (errno.EROFS, "can't be written"),
        (errno.EACCES, "can't be written"),
    ],
)
def test_what_the_disk_refuses_is_a_config_error(
    staging: Staging, monkeypatch: pytest.MonkeyPatch, code: int, said: str
) -> None:
    def refuse(*_: Any) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "write", refuse)
    with pytest.raises(AirbyteTracedException) as raised, staging.part() as part:
        part.write(b"x")
    assert raised.value.failure_type == FailureType.config_error
    assert said in str(raised.value.message)
    assert str(staging.root) in str(raised.value.message)
    assert files(staging) == []


def test_a_staging_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AirbyteTracedException, match="can't be written"):
        Staging(tmp_path / "file").part()


def test_a_link_that_leads_out_is_not_followed(staging: Staging, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    staging.root.mkdir(parents=True)
    (staging.root / "bird").symlink_to(outside)
    with pytest.raises(AirbyteTracedException), staging.part() as part:
        part.finish("bird/x.mp3")
    assert list(outside.iterdir()) == []
    assert files(staging) == []


@pytest.mark.parametrize("linked", ["bird", "bird/2026", "bird/2026/01", PARTS])
@pytest.mark.parametrize("by_fd", [True, False])
def test_no_folder_is_made_behind_a_link(
    staging: Staging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, linked: str, by_fd: bool
) -> None:
    monkeypatch.setattr(folders, "_BY_FD", by_fd)
    outside = tmp_path / "outside"
    outside.mkdir()
    link = staging.root / linked
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    with pytest.raises(AirbyteTracedException, match="link"), staging.part() as part:
        part.finish("bird/2026/01/x.mp3")
    assert list(outside.iterdir()) == []
    assert files(staging) == []


def test_parts_behind_a_link_are_not_swept(staging: Staging, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x.part").touch()
    staging.root.mkdir(parents=True)
    (staging.root / PARTS).symlink_to(outside)
    staging.sweep()
    assert (outside / "x.part").exists()


def test_a_file_in_a_links_place_replaces_the_link(staging: Staging, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("mine")
    staging.root.mkdir(parents=True)
    (staging.root / "x.mp3").symlink_to(target)
    with staging.part() as part:
        part.write(b"audio")
        part.finish("x.mp3")
    assert target.read_text() == "mine"
    assert not (staging.root / "x.mp3").is_symlink()


@pytest.mark.parametrize("by_fd", [True, False])
def test_files_and_folders_are_their_owners_alone(
    staging: Staging, monkeypatch: pytest.MonkeyPatch, by_fd: bool
) -> None:
    monkeypatch.setattr(folders, "_BY_FD", by_fd)
    before = os.umask(0)
    try:
        with staging.part() as part:
            part.write(b"audio")
            assert part._path
            assert part._path.stat().st_mode & 0o777 == 0o600
            final = part.finish("bird/2026/01/x.mp3")
    finally:
        os.umask(before)
    assert final.stat().st_mode & 0o777 == 0o600
    made = [staging.root, *(p for p in staging.root.rglob("*") if p.is_dir())]
    assert len(made) == 5
    assert {folder.stat().st_mode & 0o777 for folder in made} == {0o700}


def test_a_staging_directory_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    """Whoever made it may have let others in on purpose."""
    tmp_path.chmod(0o755)
    with Staging(tmp_path).part() as part:
        part.finish("x.mp3")
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_the_first_bytes_are_kept(staging: Staging) -> None:
    with staging.part() as part:
        part.write(b"a" * 1000)
        part.write(memoryview(b"b" * 1000))
        assert part.head == b"a" * 1000 + b"b" * 24
        part.restart()
        part.write(b"c")
        assert part.head == b"c"


def test_a_staging_directory_behind_a_link_is_fine(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with Staging(tmp_path / "link").part() as part:
        part.finish("a/x.mp3")
    assert (tmp_path / "real" / "a" / "x.mp3").exists()


KILLED = """
import os, sys
from pathlib import Path
from source_recordings.files.staging import Staging
part = Staging(Path(sys.argv[1])).part()
part.write(b"half")
if sys.argv[2] == "wait":
    print("ready", flush=True)
    sys.stdin.read()
os._exit(9)
"""


def test_parts_of_a_killed_process_are_removed_at_the_next_start(staging: Staging) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(staging.root), "die"], check=False)
    assert len(files(staging)) == 1
    Staging(staging.root).sweep()
    assert files(staging) == []


def test_parts_of_a_living_process_are_left_alone(staging: Staging) -> None:
    command = [sys.executable, "-c", KILLED, str(staging.root), "wait"]
    environment = {**os.environ, "AIRBYTE_STAGING_DIRECTORY": str(staging.root)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as other:
        assert other.stdout and other.stdout.readline() == b"ready\n"
        with Staging(staging.root).part():
            assert len(files(staging)) == 2
        assert len(files(staging)) == 1
        other.communicate(b"")
    Staging(staging.root).sweep()
    assert files(staging) == []


def test_sweeping_happens_once_and_needs_no_directory(staging: Staging) -> None:
    staging.sweep()
    (staging.root / PARTS).mkdir(parents=True)
    (staging.root / PARTS / "x.part").touch()
    staging.sweep()
    assert files(staging) == [f"{PARTS}/x.part"]


def test_without_locks_parts_work_too(staging: Staging, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows."""
    (staging.root / PARTS).mkdir(parents=True)
    (staging.root / PARTS / "x.part").touch()
    monkeypatch.setattr(module, "fcntl", None)
    with staging.part() as part:
        part.write(b"x")
        part.finish("a.bin")
    with staging.part():
        pass
    assert files(staging) == ["a.bin"]


def test_a_directory_that_nobody_has_named_is_told(
    staging: Staging, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The state counts a file as delivered, also one that goes with its container."""
    monkeypatch.delenv("AIRBYTE_STAGING_DIRECTORY", raising=False)
    for _ in range(2):
        with staging.part():
            pass
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1
    assert str(staging.root) in said[0] and "AIRBYTE_STAGING_DIRECTORY" in said[0]


def test_the_directory_is_the_environments_or_the_cdks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRBYTE_STAGING_DIRECTORY", str(tmp_path / "new"))
    assert staging_directory() == tmp_path / "new"
    monkeypatch.delenv("AIRBYTE_STAGING_DIRECTORY")
    assert str(staging_directory()) in ("/staging/files", "/tmp/airbyte-file-transfer")
