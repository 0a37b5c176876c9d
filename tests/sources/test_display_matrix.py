"""The grey that a network is given, against DCMTK's picture, bit for bit, over every combination of display steps.

The suite compares with DCMTK's pictures as kept in display_goldens.json. Where there is dcm2pnm, they are made anew.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.sources.display_goldens import PATH, digests_of, digests_of_all
from tests.sources.display_matrix import DCMTK, Cell, as_dcmtk_rounds, digest, grey_of, groups

GROUPS = dict(groups())
GOLDENS: dict[str, list[str]] = json.loads(PATH.read_text())
# The others have the pipeline of one of these: `make test-slow` shows it.
QUICK = ("XA", "Enhanced XA", "secondary capture")


def assert_equal(name: str, cell: Cell, folder: Path) -> None:
    run, grey = grey_of(cell, folder)
    assert digest(as_dcmtk_rounds(cell, run, grey)) == GOLDENS[name][cell.inverted], cell


def test_every_group_has_its_pictures() -> None:
    assert GOLDENS.keys() == GROUPS.keys()
    assert all(upright != inverted for upright, inverted in GOLDENS.values())


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("sop_class", QUICK)
def test_a_picture_of_each_group_and_polarity_is_dcmtks(sop_class: str, bits: int, tmp_path: Path) -> None:
    chosen = {name: cells for name, cells in GROUPS.items() if name.startswith(f"{sop_class}, {bits} bits")}
    assert chosen
    for place, (name, cells) in enumerate(chosen.items()):
        for inverted in (False, True):
            alike = [cell for cell in cells if cell.inverted == inverted]
            assert_equal(name, alike[place % len(alike)], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("sop_class", sorted({cell.sop_class for cells in GROUPS.values() for cell in cells}))
def test_every_cell_is_dcmtks_picture(sop_class: str, tmp_path: Path) -> None:
    for name, cells in GROUPS.items():
        for cell in cells if cells[0].sop_class == sop_class else ():
            assert_equal(name, cell, tmp_path)


@pytest.fixture
def dcmtk() -> None:
    if shutil.which(DCMTK) is None:
        pytest.skip(f"no {DCMTK}: its pictures as kept are compared with all the same (Debian: apt-get install dcmtk)")


@pytest.mark.usefixtures("dcmtk")
def test_some_pictures_that_dcmtk_makes_here_are_those_that_are_kept() -> None:
    for name in list(GROUPS)[::83]:
        assert digests_of(GROUPS[name]) == GOLDENS[name], name


@pytest.mark.slow
@pytest.mark.usefixtures("dcmtk")
def test_every_picture_that_dcmtk_makes_here_is_that_which_is_kept() -> None:
    assert digests_of_all() == GOLDENS
