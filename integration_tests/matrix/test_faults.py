"""Every provider, every role of its requests, every kind of fault: once with a fault that passes, once with one that lasts."""

import pytest

from integration_tests.matrix.cell import Cell, Ground, cells, lasting, passing
from source_recordings.provider_yaml import load_providers

pytestmark = pytest.mark.usefixtures("counted")
CELLS = list(cells(load_providers()))


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell.kind.passes], ids=str)
def test_a_passing_fault_costs_waits_and_nothing_else(cell: Cell, ground: Ground) -> None:
    """It hits the first requests -> they are made again -> every row and file comes, in the same sync."""
    passing(cell, ground)
    assert not ground.findings.all, ground.findings


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell.ending], ids=str)
def test_a_lasting_fault_loses_nothing(cell: Cell, ground: Ground) -> None:
    """It hits for ever -> the streams concerned end incomplete and say why, no other one does -> the next sync has the rest."""
    lasting(cell, ground)
    assert not ground.findings.all, ground.findings
