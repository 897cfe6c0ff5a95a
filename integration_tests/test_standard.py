"""Airbyte's own tests of a connector, against the sandbox, with their advice taken as an order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from airbyte_cdk.test.models import ConnectorTestScenario
from airbyte_cdk.test.standard_tests import SourceTestSuiteBase

from integration_tests.conftest import NOW, REPOSITORY
from integration_tests.syncing import sandbox_config
from sandbox import Sandbox
from source_recordings.source import SourceRecordings

pytestmark = pytest.mark.filterwarnings("error::airbyte_cdk.test.standard_tests.DiscoveredCatalogWarning")


@pytest.fixture(autouse=True, scope="module")
def served() -> Iterator[None]:
    with Sandbox(seed=3, size=60, now=NOW) as sandbox:
        TestSourceRecordings.config.update(sandbox_config(sandbox))
        yield


class TestSourceRecordings(SourceTestSuiteBase):
    """The scenarios of acceptance-test-config.yml; the config of the sandbox is made here."""

    config: ClassVar[dict[str, Any]] = {}

    # These build and run the image: `make image` and its tests do.
    test_docker_image_build_and_spec = None  # type: ignore[assignment]
    test_docker_image_spec_backward_compatibility = None  # type: ignore[assignment]
    test_docker_image_build_and_check = None  # type: ignore[assignment]
    test_docker_image_build_and_config_matches_spec = None  # type: ignore[assignment]
    test_docker_image_build_and_discover = None  # type: ignore[assignment]
    test_docker_image_build_and_read = None  # type: ignore[assignment]

    @classmethod
    def get_connector_root_dir(cls) -> Path:
        return REPOSITORY

    @classmethod
    def get_scenarios(cls) -> list[ConnectorTestScenario]:
        """One that works and one that does not; `config` is filled in once the sandbox is up."""
        invalid = {"quo": {"api_key": "nobody-listens-here", "base_url": "http://127.0.0.1:9"}}
        good = ConnectorTestScenario.model_construct(config_dict=cls.config, status="succeed")
        bad = ConnectorTestScenario(config_dict=invalid, status="failed", sections=("connection",))
        for scenario, name in ((good, "sandbox"), (bad, "nobody listens")):
            object.__setattr__(scenario, "_id", name)
        return [good, bad]

    @classmethod
    def create_connector(cls, scenario: ConnectorTestScenario | None) -> SourceRecordings:
        """The CDK's suite makes a source without a config; ours needs it when it is made."""
        if scenario is None or not scenario.config_dict:
            return SourceRecordings()
        return SourceRecordings(config=scenario.config_dict)
