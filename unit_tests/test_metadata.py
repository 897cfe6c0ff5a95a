"""What Airbyte's registry and platform read about the connector agrees with the connector."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import pytest
import yaml

from source_recordings.provider_yaml import load_providers, provider_folders
from source_recordings.spec import DOCUMENTATION_URL, build_spec
from source_recordings.unified import UNIFIED

ROOT = Path(__file__).parent.parent
SPEC = build_spec(load_providers())
DATA: dict[str, Any] = yaml.safe_load((ROOT / "metadata.yaml").read_text(encoding="utf-8"))["data"]


def first(file: str, pattern: str) -> str:
    found = re.search(pattern, (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    assert found, f"{file} has no line like {pattern}"
    return found[1]


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        ("metadata.yaml", r"^  dockerImageTag: (\S+)$"),
        ("Dockerfile", r"^ARG VERSION=(\S+)$"),
        ("docs/recordings.md", r"^\| Version +\|.*\n\|[-| :]+\|\n\| (\S+)"),
    ],
)
def test_there_is_one_version(file: str, pattern: str) -> None:
    assert first(file, pattern) == first("setup.py", r'^    version="([^"]+)",$')


def test_the_changelog_ends_in_the_version() -> None:
    """Or in none, before the first release."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## \[?(\d[^\s\]]*)", text, re.MULTILINE)
    assert released[:1] in ([], [first("setup.py", r'^    version="([^"]+)",$')])
    assert released or "## [Unreleased]" in text


def test_there_is_one_base_image_and_it_is_pinned() -> None:
    image = first("Dockerfile", r"^ARG BASE_IMAGE=(\S+)$")
    assert image == DATA["connectorBuildOptions"]["baseImage"]
    assert re.fullmatch(r"\S+:\S+@sha256:[0-9a-f]{64}", image)


def test_the_image_goes_by_its_registered_name() -> None:
    assert first("Dockerfile", r"io\.airbyte\.name=(\S+)") == DATA["dockerRepository"]
    assert first("scripts/image.sh", r"IMAGE:-(\S+?):") == DATA["dockerRepository"]


def test_there_is_one_documentation() -> None:
    assert DATA["documentationUrl"] == DOCUMENTATION_URL
    assert (ROOT / "docs" / f"{DATA['documentationUrl'].rsplit('/', 1)[1]}.md").is_file()


def test_there_is_one_licence() -> None:
    assert first("setup.py", r'^    license="([^"]+)",$') == DATA["license"]
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith(f"{DATA['license']} License")


def test_suggested_streams_exist() -> None:
    suggested = DATA["suggestedStreams"]["streams"]
    assert len(suggested) == len(set(suggested))
    providers = load_providers().values()
    assert set(suggested) <= {*UNIFIED, *(name for provider in providers for name in provider.streams)}
    for provider in providers:
        assert set(suggested) & set(provider.streams), provider.name


@pytest.mark.parametrize("provider", [folder.name for folder in provider_folders()])
def test_each_provider_may_be_reached(provider: str) -> None:
    section = SPEC["properties"][provider]
    base_url = section["oneOf"][1]["properties"]["base_url"]
    hosts = DATA["allowedHosts"]["hosts"]
    assert f"${{{provider}.base_url}}" in hosts, "a proxy of the user's own"
    if "default" in base_url:
        assert urlsplit(base_url["default"]).hostname in hosts


def test_allowed_hosts_are_hosts() -> None:
    """No scheme and no path; a wildcard for a whole label; a variable from the config."""
    host = r"(\*\.)?([a-z0-9-]+\.)+[a-z]+|\$\{[a-z_]+\.base_url\}"
    assert [name for name in DATA["allowedHosts"]["hosts"] if not re.fullmatch(host, name)] == []


def test_files_may_be_transferred() -> None:
    assert DATA["supportsFileTransfer"] is True


def test_the_icon_is_a_small_square() -> None:
    text = (ROOT / DATA["icon"]).read_text(encoding="utf-8")
    icon = ET.fromstring(text)
    assert icon.tag == "{http://www.w3.org/2000/svg}svg"
    assert icon.get("width") == icon.get("height")
    assert icon.get("viewBox") == f"0 0 {icon.get('width')} {icon.get('height')}"
    assert len(text) < 4096
    assert not re.search(r"<script|href=|<image|font", text)
