"""The qualification set: its runs, what is known to be true of them, and that a frame is what the line would see."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cathrt.export.models.keyframe.demo.dataset import PREPROCESSING
from cathrt.export.models.keyframe.truth import TRUTHS
from cathrt.export.qualify.runs import (
    FIRST_SEED,
    KnownSource,
    LeftOut,
    OpenedRun,
    PreparedFrame,
    RunInput,
    folder_inputs,
    identity_of,
    opened_run,
    phantom_inputs,
)
from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame, Grayscale, LostFrame, Run, Timing
from cathrt.runtime.phantom import PhantomSource, sample_scene
from cathrt.runtime.preprocess import Preprocessor

LIMITS = LimitsConfig()


def ramp(start: int) -> NDArray[np.uint8]:
    return (np.arange(64 * 64, dtype=np.int64).reshape(64, 64) // 20 + start).astype(np.uint8)


class Recorded:
    """A source of given items that remembers being closed."""

    def __init__(self, items: list[Frame | LostFrame], exposed: NDArray[np.int32] | None = None) -> None:
        self.closed = False
        self._items = items
        self.run = Run("id", "made up", len(items), 64, 64, Grayscale(8, exposed=exposed), Timing(10.0, "FrameTime"))

    def frames(self) -> Iterator[Frame | LostFrame]:
        return iter(self._items)

    def close(self) -> None:
        self.closed = True


def opened(inputs: list[RunInput]) -> Iterator[OpenedRun]:
    for entry in inputs:
        with opened_run(entry, [PREPROCESSING]) as run:
            yield run


def one_run(source: Recorded) -> Iterator[OpenedRun]:
    return opened([RunInput("made up", lambda: KnownSource(source, lambda index: None))])


def digests(inputs: list[RunInput]) -> list[list[bytes]]:
    return [[item.digest for item in run.frames if isinstance(item, PreparedFrame)] for run in opened(inputs)]


def prepared(inputs: list[RunInput]) -> Iterator[PreparedFrame]:
    for run in opened(inputs):
        yield from (item for item in run.frames if isinstance(item, PreparedFrame))


def save(path: Path, start: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(ramp(start)).save(path)


def test_phantom_frames_are_the_lines_own_tensors_with_the_phantoms_sides() -> None:
    inputs = phantom_inputs(TRUTHS, 1, matrix=64)
    source = PhantomSource(sample_scene(FIRST_SEED, kind=None, matrix=64))
    preprocess, expected = Preprocessor(source.run, PREPROCESSING), np.zeros((1, 3, 224, 224), np.float32)
    seen = 0
    for item in prepared(inputs):
        label = source.labels[item.index]
        preprocess(source.render(item.index), expected)
        np.testing.assert_array_equal(item.tensors["image"], expected)
        assert item.truth == (None if label.quality == "others" else label.laterality)
        assert item.due_ms == source.run.timing.due_ms(item.index)
        seen += item.truth is not None
    assert inputs[0].name == f"phantom seed {FIRST_SEED}"
    assert seen > 5


def test_seeds_that_something_was_trained_or_chosen_by_are_refused() -> None:
    with pytest.raises(SourceError, match="phantom seed 30000000: expected 60000000 or above"):
        phantom_inputs(TRUTHS, 10, first_seed=30_000_000)


def test_the_identity_is_that_of_the_frames_and_of_nothing_else() -> None:
    first, again = (identity_of(digests(phantom_inputs(TRUTHS, 1, matrix=64))) for _ in range(2))
    other = identity_of(digests(phantom_inputs(TRUTHS, 1, first_seed=FIRST_SEED + 1, matrix=64)))
    assert first == again
    assert first != other
    assert identity_of([[b"a"], [b"b"]]) != identity_of([[b"a", b"b"]]), "where runs end is part of the set"


def test_the_name_of_a_file_is_no_part_of_the_identity_and_its_side_is(tmp_path: Path) -> None:
    for name in ("a/lca_1.png", "b/LCA-other.png", "c/rca_1.png"):
        save(tmp_path / name)
    left, also_left, right = (identity_of(digests(folder_inputs(TRUTHS, tmp_path / name, LIMITS))) for name in "abc")
    assert left == also_left
    assert left != right


def test_stills_named_by_their_artery_are_runs_of_their_own_and_others_have_no_side(tmp_path: Path) -> None:
    for number, name in enumerate(("lca_1.png", "lca_2.png", "RCA_1.png", "sub/frame_1.png", "sub/frame_2.png")):
        save(tmp_path / name, start=number)
    (tmp_path / "notes.txt").write_text("no input")
    runs = opened(folder_inputs(TRUTHS, tmp_path, LIMITS))
    sides = {run.name: [item.truth for item in run.frames if isinstance(item, PreparedFrame)] for run in runs}
    assert sides == {
        "lca_1.png": ["left"],
        "lca_2.png": ["left"],
        "RCA_1.png": ["right"],
        "sub/frame_[1-2].png": [None, None],
    }


def test_frames_that_the_line_would_give_no_finding_are_left_out_with_the_reason() -> None:
    lost = LostFrame(1, 0, "it never came", failed=False)
    source = Recorded([Frame(ramp(0), 0, 0), lost, Frame(ramp(0), 2, 0), Frame(ramp(9), 3, 0)])
    items = list(next(one_run(source)).frames)
    assert [item.index for item in items] == [0, 1, 2, 3]
    assert items[1] == LeftOut(1, "it never came")
    assert items[2] == LeftOut(2, "same pixels as the frame before")
    assert isinstance(items[3], PreparedFrame)


def test_a_frame_that_the_shutter_covers_is_left_out() -> None:
    source = Recorded([Frame(ramp(0), 0, 0)], exposed=np.zeros((64, 2), np.int32))
    (item,) = next(one_run(source)).frames
    assert item == LeftOut(0, "no exposed pixel: shutter and collimator cover the frame")


def test_a_run_is_closed_at_the_end_and_one_tensor_serves_all_its_frames() -> None:
    sources = [Recorded([Frame(ramp(start), start, 0) for start in range(3)]) for _ in range(2)]
    seen: list[Recorded] = []

    def open_next() -> KnownSource:
        assert all(source.closed for source in seen)
        seen.append(sources[len(seen)])
        return KnownSource(seen[-1], lambda index: None)

    for run in opened([RunInput("made up", open_next)] * 2):
        assert len({id(item.tensors["image"]) for item in run.frames if isinstance(item, PreparedFrame)}) == 1
    assert [source.closed for source in sources] == [True, True]


def test_a_file_that_cannot_be_read_spoils_the_set_by_name(tmp_path: Path) -> None:
    save(tmp_path / "lca_1.png")
    (tmp_path / "rca_1.png").write_bytes(b"no picture")
    with pytest.raises(SourceError, match=r"rca_1\.png"):
        digests(folder_inputs(TRUTHS, tmp_path, LIMITS))


def test_a_folder_that_is_none_or_holds_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such folder"):
        folder_inputs(TRUTHS, tmp_path / "gone", LIMITS)
    with pytest.raises(SourceError, match="no X-ray run found"):
        folder_inputs(TRUTHS, tmp_path, LIMITS)
