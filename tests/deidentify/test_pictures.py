"""Text burned into pictures: found where it stands still, painted over, or the file is refused."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from cathrt.runtime.deidentify.pictures import BurnedInTextError, Stills, paint, text_detector, text_in

SIZE = 256


def moving_run(text: str = "", at: tuple[int, int] = (8, 8), colour: int = 255) -> list[NDArray[np.uint8]]:
    """Soft vessels that move over a grey ground, with a text that stands still."""
    frames = []
    random = np.random.default_rng(7)
    for number in range(6):
        rows, columns = np.mgrid[:SIZE, :SIZE]
        ground = 110 + 40 * np.sin(rows / 60) + 20 * np.cos(columns / 45)
        path = SIZE / 2 + 40 * np.sin(columns / 30 + number)
        vessel = 60 * np.exp(-(((rows - path) / 6) ** 2))
        picture = np.clip(ground - vessel + random.normal(0, 3, ground.shape), 0, 255).astype(np.uint8)
        if text:
            image = Image.fromarray(picture)
            ImageDraw.Draw(image).text(at, text, fill=colour, font=ImageFont.load_default(18))
            picture = np.asarray(image)
        frames.append(picture)
    return frames


def stills(frames: list[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    seen = Stills(8)
    for frame in frames:
        seen.add(frame)
    return seen.pictures()


def test_a_run_without_text_has_none_by_the_border_rule() -> None:
    assert text_in(stills(moving_run()), None) == []


@pytest.mark.parametrize("at", [(8, 8), (40, SIZE - 30)])
@pytest.mark.parametrize("colour", [255, 0])
def test_text_at_the_border_is_painted_over_in_every_frame(at: tuple[int, int], colour: int) -> None:
    frames = [frame.copy() for frame in moving_run("YAMADA TARO 1950", at, colour)]
    boxes = text_in(stills(frames), None)
    assert boxes
    clean = moving_run()
    for frame, without in zip(frames, clean, strict=True):
        paint(frame, boxes)
        inside = np.zeros(frame.shape, bool)
        for box in boxes:
            inside[box.top : box.bottom, box.left : box.right] = True
        assert not frame[inside].any()
        assert np.array_equal(frame[~inside], without[~inside]), "nothing of the text is outside the boxes"


def test_text_in_the_middle_is_refused_by_the_border_rule() -> None:
    with pytest.raises(BurnedInTextError, match="away from the border may be text"):
        text_in(stills(moving_run("YAMADA", (90, 110))), None)


def test_a_detector_that_never_comes_to_an_end_is_not_believed() -> None:
    from cathrt.runtime.deidentify.pictures import Box

    with pytest.raises(BurnedInTextError, match="still found after"):
        text_in(stills(moving_run()), lambda _picture: [Box(0, 0, 4, 4)])


@pytest.mark.slow
@pytest.mark.skipif(find_spec("rapidocr_onnxruntime") is None, reason="no text detector: pip install '.[deidentify]'")
def test_the_detector_finds_text_anywhere_and_none_in_vessels() -> None:
    detect = text_detector()
    assert detect is not None
    assert text_in(stills(moving_run()), detect) == []
    frames = moving_run("YAMADA TARO", (90, 110))
    boxes = text_in(stills(frames), detect)
    assert boxes
    inside = np.zeros((SIZE, SIZE), bool)
    for box in boxes:
        inside[box.top : box.bottom, box.left : box.right] = True
    written = np.abs(frames[0].astype(int) - moving_run()[0]) > 20
    assert written.any()
    assert not (written & ~inside).any()
