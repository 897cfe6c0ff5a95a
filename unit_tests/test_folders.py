"""Each provider's folder has what the general tests need to know of it, and the whole stays small."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import requests_mock

from source_recordings.provider_yaml import provider_folders
from unit_tests.examples import EXAMPLES, Example, config, example_file, load_example, load_examples
from unit_tests.harness import Connector

REPOSITORY = Path(__file__).parent.parent
FOLDERS = provider_folders()
every_folder = pytest.mark.parametrize("folder", FOLDERS, ids=[folder.name for folder in FOLDERS])
every_example = pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)


@every_folder
def test_a_provider_has_an_example_of_every_stream(folder: Path) -> None:
    file = example_file(folder)
    assert file.is_file(), f"{file} is missing: the general tests know nothing of this provider"
    assert load_example(folder).lacks() == []


@every_example
def test_the_answers_together_are_a_row_of_every_stream(
    example: Example, connector: Connector, api: requests_mock.Mocker
) -> None:
    """A list names what its details are about, so that one example is an account of one call."""
    for case in example.cases:
        api.get(case.url, **case.reply)

    output = connector.read(config(example.provider.name), *example.streams)

    assert (output.exit_code, output.errors) == (0, [])
    assert {stream: len(output.records(stream)) for stream in example.streams} == dict.fromkeys(example.streams, 1)


@every_example
def test_its_secrets_are_in_no_address_and_no_answer(example: Example) -> None:
    """What is looked for in logs and addresses is not there by mistake."""
    assert example.secrets
    text = str([(case.url, case.answer) for case in example.cases])
    assert not [secret for secret in example.secrets if secret in text]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A provider's folder that a test may spoil."""
    (folder,) = (folder for folder in FOLDERS if folder.name == "amigo")
    return shutil.copytree(folder, tmp_path / "providers" / folder.name)


def test_an_example_that_is_missing_is_left_to_the_test_that_names_it(copy: Path) -> None:
    example_file(copy).unlink()
    assert load_examples(copy.parent) == {}
    with pytest.raises(AssertionError, match=r"example\.yaml is missing"):
        test_a_provider_has_an_example_of_every_stream(copy)


@pytest.mark.parametrize(
    ("wrong", "right", "said"),
    [
        ("- stream: amigo_calls\n", "- stream: amigo_cells\n", "answers has none of stream amigo_calls"),
        ("documented:\n  amigo_calls:", "documented:\n  amigo_cells:", "documented has no stream amigo_calls"),
        ('  amigo_recording_urls: "true"\n', "", "final has no stream amigo_recording_urls"),
        ("documented:\n  amigo_calls:", "documented:\n  amigo_cells:", "there is no stream amigo_cells"),
    ],
)
def test_what_an_example_lacks_is_told_with_the_file(copy: Path, wrong: str, right: str, said: str) -> None:
    file = example_file(copy)
    text = file.read_text(encoding="utf-8")
    assert wrong in text
    file.write_text(text.replace(wrong, right), encoding="utf-8")
    assert f"{file}: {said}" in load_example(copy).lacks()


def test_the_guide_s_provider_has_the_guide_s_example(tmp_path: Path) -> None:
    """CONTRIBUTING.md shows a whole provider and its example: both are as good as they are said to be."""
    guide = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for name, text in zip(("provider", "example"), re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL), strict=True):
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    assert load_example(tmp_path).lacks() == []


def test_no_file_is_long() -> None:
    """What does not fit in one's head is two files."""
    folders = [folder for folder in REPOSITORY.iterdir() if folder.is_dir() and folder.name not in ("build", "dist")]
    sources = [file for folder in folders if folder.name[0] != "." for file in folder.rglob("*.py")]
    assert len(sources) > 100
    lines = {str(file.relative_to(REPOSITORY)): count_lines(file) for file in [*sources, REPOSITORY / "setup.py"]}
    assert {name: count for name, count in lines.items() if count > 400} == {}


def test_a_provider_takes_few_lines() -> None:
    assert sum(count_lines(folder / "provider.yaml") for folder in FOLDERS) <= 1000


def count_lines(file: Path) -> int:
    return len(file.read_text(encoding="utf-8").splitlines())
