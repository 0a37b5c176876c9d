"""Weights to begin with, of networks that saw no history, the same or another one; and rows that are kept in files."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor

from cathrt.export.models.keyframe.convnext import ARCHS, ConvNext
from cathrt.export.models.keyframe.demo import network
from cathrt.export.models.keyframe.demo.dataset import PREPROCESSING, PhantomFrames
from cathrt.export.models.keyframe.demo.evaluate import Rows
from cathrt.export.models.keyframe.demo.network import OUTPUTS, ROWS, input_of, kept_rows, start_of
from cathrt.export.models.keyframe.demo.plan import Plan
from cathrt.export.models.keyframe.to_onnx import onnx_from_state
from cathrt.runtime.bundle.manifest import Preprocessing
from cathrt.runtime.bundle.shipped import demonstration_bundle
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.models.keyframe.section import CLASSIFIER
from tests.export.made_up import frames_of

WITHOUT_HISTORY = replace(PREPROCESSING, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), history=None)
assert PREPROCESSING.history is not None
ANOTHER_HISTORY = replace(PREPROCESSING, history=replace(PREPROCESSING.history, rise_s=0.2))
FIRST = "stem.0.weight"


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    torch.manual_seed(3)
    return ConvNext(ARCHS[Plan().arch], classes=ROWS.total, layer_scale=0.5).state_dict()


@pytest.fixture(scope="module")
def graph(state: dict[str, Tensor]) -> bytes:
    return onnx_from_state(state, height=64, width=64, outputs=OUTPUTS)


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    """(4, 64, 64) uint8."""
    return np.random.default_rng(4).integers(0, 256, (4, 64, 64), dtype=np.uint8)


def bundle_of(folder: Path, graph: bytes, preprocessing: Preprocessing) -> Path:
    """What is read of a bundle."""
    (folder / "model.onnx").write_bytes(graph)
    document = {"networks": {CLASSIFIER: {"preprocessing": [asdict(preprocessing)]}}}
    (folder / "manifest.json").write_text(json.dumps(document))
    return folder


def rows_of(state: dict[str, Tensor], images: Tensor) -> Tensor:
    model = ConvNext(ARCHS[Plan().arch], classes=ROWS.total).eval()
    model.load_state_dict(state)
    with torch.inference_mode():
        return model(images)


def as_first(pictures: np.ndarray) -> Tensor:
    """Network input of pictures without a run before them."""
    return input_of(np.repeat(pictures[:, None], 3, axis=1))


def grey_three_times(pictures: np.ndarray) -> Tensor:
    """Network input as it was before there was a history."""
    return ((torch.from_numpy(pictures).float() / 255.0 - 0.5) / 0.25)[:, None].repeat(1, 3, 1, 1)


def test_weights_that_saw_the_grey_value_alone_compute_of_a_first_frame_what_they_did(
    tmp_path: Path, state: dict[str, Tensor], graph: bytes, pictures: np.ndarray
) -> None:
    start = start_of(bundle_of(tmp_path, graph, WITHOUT_HISTORY)).state
    before, now = rows_of(state, grey_three_times(pictures)), rows_of(start, as_first(pictures))
    assert float((before - now).abs().max()) < 1e-4 * float(before.abs().max())
    assert not start[FIRST][:, 1:].any(), "what the history shows is not read yet"
    assert all(torch.equal(start[name], state[name]) for name in state if name != FIRST)


def test_weights_that_saw_the_same_history_are_taken_as_they_are(
    tmp_path: Path, state: dict[str, Tensor], graph: bytes
) -> None:
    start = start_of(bundle_of(tmp_path, graph, PREPROCESSING)).state
    assert start.keys() == state.keys()
    assert all(torch.equal(start[name], state[name]) for name in state)


def test_weights_that_saw_another_history_are_refused(tmp_path: Path, graph: bytes) -> None:
    with pytest.raises(ConfigError, match=r"sees the history .*'rise_s': 0\.2.*, expected History\("):
        start_of(bundle_of(tmp_path, graph, ANOTHER_HISTORY))


def test_weights_that_saw_grey_otherwise_are_refused(tmp_path: Path, graph: bytes) -> None:
    with pytest.raises(ConfigError, match=r"sees grey as .* expected 0\.5 and 0\.25 on each channel"):
        start_of(bundle_of(tmp_path, graph, replace(WITHOUT_HISTORY, mean=(0.4, 0.5, 0.6))))


def test_what_is_no_such_bundle_is_refused_by_name(tmp_path: Path, graph: bytes) -> None:
    with pytest.raises(ConfigError, match=r"no weights to begin with \(FileNotFoundError"):
        start_of(tmp_path)
    (bundle_of(tmp_path, graph, PREPROCESSING) / "manifest.json").write_text('{"networks": {}}')
    with pytest.raises(ConfigError, match=r"no weights to begin with \(KeyError"):
        start_of(tmp_path)


def test_the_shipped_bundle_is_a_start_that_computes_of_a_first_frame_what_it_does() -> None:
    """Whether or not it saw a history."""
    bundle = demonstration_bundle()
    document = json.loads((bundle / "manifest.json").read_bytes())
    (seen,) = document["networks"][CLASSIFIER]["preprocessing"]
    picture = np.random.default_rng(5).integers(0, 256, (1, seen["height"], seen["width"]), dtype=np.uint8)
    session = onnxruntime.InferenceSession((bundle / "model.onnx").read_bytes(), providers=["CPUExecutionProvider"])
    image = as_first(picture) if seen.get("history") else grey_three_times(picture)
    shipped = np.concatenate(session.run(list(OUTPUTS), {seen["input"]: image.numpy()}), axis=1)
    found = rows_of(start_of(bundle).state, as_first(picture)).numpy()
    assert np.abs(found - shipped).max() < 1e-4 * np.abs(shipped).max()


def test_rows_are_computed_once_for_the_same_weights_and_run(
    tmp_path: Path, state: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[int] = []

    def rows_of(state: dict[str, Tensor], arch: str, frames: PhantomFrames) -> Rows:
        computed.append(int(frames.scene[0]))
        return np.full((len(frames), ROWS.total), state[FIRST].sum().item(), np.float32)

    monkeypatch.setattr(network, "rows_of", rows_of)
    runs = [frames_of([None] * 3), frames_of([None] * 3)]
    runs[1].scene[:] = 7
    runs[1].images[0] += 1
    first = kept_rows(state, "convnext_atto", runs, tmp_path / "rows")
    first[0] += 1.0  # theirs to change
    again = kept_rows(state, "convnext_atto", runs, tmp_path / "rows")
    assert computed == [0, 7]
    assert np.array_equal(again[0], again[1])
    kept_rows({**state, FIRST: state[FIRST] + 1.0}, "convnext_atto", runs[:1], tmp_path / "rows")
    assert computed == [0, 7, 0], "other weights"
    runs[0].images[0] += 2
    kept_rows(state, "convnext_atto", runs[:1], tmp_path / "rows")
    assert computed == [0, 7, 0, 0], "other pictures of the same run, as of another phantom"
