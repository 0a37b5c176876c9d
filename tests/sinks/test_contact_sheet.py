"""The contact sheet: every tile in its place, and grey values for the eye."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import ImageFont

from cathrt.runtime.alert import NOTICES
from cathrt.runtime.sinks import contact_sheet as contact_sheet_module
from cathrt.runtime.sinks.contact_sheet import TILE, Tile, contact_sheet, display_grey
from cathrt.runtime.sinks.page_frame import japanese_font


def test_display_grey_stretches_and_survives_a_flat_frame() -> None:
    ramp = np.linspace(1000, 3000, 4096).astype(np.uint16).reshape(64, 64)
    grey = display_grey(ramp)
    assert grey.min() == 0
    assert grey.max() == 255
    assert (display_grey(np.full((4, 4), 7, np.uint8)) == 0).all()


def test_the_sheet_holds_every_tile_in_its_place() -> None:
    dark, bright = np.zeros((32, 32), np.uint8), np.zeros((32, 32), np.uint8)
    bright[:, 16:] = 200
    sheet = np.asarray(contact_sheet([Tile(dark, "a"), Tile(bright, "b"), Tile(bright, "c")], columns=2))
    assert sheet.shape[1] >= 2 * TILE
    assert (sheet == 255).sum() == 2 * TILE * TILE // 2


def test_a_sheet_without_tiles_says_so_in_ink() -> None:
    assert (np.asarray(contact_sheet([])) == 200).any()


@pytest.mark.parametrize("notice", NOTICES)
@pytest.mark.parametrize("tiles", [0, 1, 2, 4])
def test_the_notice_is_there_to_its_last_word_however_narrow_the_sheet(tiles: int, notice: str) -> None:
    font = ImageFont.truetype(str(japanese_font()), 14)
    dark = Tile(np.zeros((8, 8), np.uint8), "")
    sheet = np.asarray(contact_sheet([dark] * tiles, notice=notice))
    lines = contact_sheet_module._in_lines(notice, sheet.shape[1] - 16, font.getlength)
    assert " ".join(lines) == notice
    assert all(font.getlength(line) <= sheet.shape[1] - 16 for line in lines)
    banner = sheet[: 16 + 18 * len(lines)] > 128
    assert not banner[:, -8:].any(), "nothing is cut off at the edge"
    assert all(banner[8 + 18 * number : 26 + 18 * number].any() for number in range(len(lines)))
