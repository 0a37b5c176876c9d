"""Held-out pictures that are no angiograms: drawn again the same, and counted as the line's verdicts say.

The network calls dark pictures no angiograms, by name "dark" or "darker", and takes all others for angiograms.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper
from PIL import Image

from benchmarks.figures import Figures
from benchmarks.judged_runs import LineRecipe
from benchmarks.outsiders import HELD_OUT_KINDS, SEEN_KINDS, measure_outsiders, write_outsiders
from cathrt.export.bundle.sign import generate_key, load_key, write_bundle
from cathrt.export.models.keyframe.demo.outsiders import OUTSIDER_KINDS
from cathrt.runtime.bundle.manifest import DeclaredTensor
from cathrt.runtime.line.pipeline import Line
from cathrt.runtime.models.keyframe.section import CLASSIFIER, DomainOutput, DomainReason, section_of
from cathrt.runtime.phantom import PhantomSource, sample_scene
from cathrt.runtime.sources.picture import luma
from tests.golden import conv_model, golden_manifest

SIZE = 128
ALL_KINDS = HELD_OUT_KINDS | SEEN_KINDS
# Mean grey m becomes the domain's three logits: rising with m for an angiogram, level for the two reasons.
MEAN, STD = (0.2, 0.0, 10.0), (0.01, 100.0, 10.0)
REASONS = (DomainReason("dark", "dark", "暗い"), DomainReason("darker", "darker", "より暗い"))


@pytest.fixture(scope="module", params=[True, False], ids=["with domain", "without"])
def line(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    folder = tmp_path_factory.mktemp("darkness")
    manifest, model = golden_manifest(), conv_model()
    if request.param:
        model.graph.node.append(helper.make_node("GlobalAveragePool", [model.graph.input[0].name], ["mean_grey"]))
        model.graph.node.append(helper.make_node("Flatten", ["mean_grey"], ["domain"]))
        model.graph.output.append(helper.make_tensor_value_info("domain", TensorProto.FLOAT, [1, 3]))
        network = manifest.networks[CLASSIFIER]
        network = replace(
            network,
            outputs=(*network.outputs, DeclaredTensor("domain", (1, 3), "float32")),
            preprocessing=(replace(network.preprocessing[0], mean=MEAN, std=STD),),
        )
        section = replace(section_of(manifest), domain=DomainOutput("domain", REASONS, 0.5))
        manifest = replace(manifest, networks={CLASSIFIER: network}, model=section)
    key = generate_key(folder / "key")
    files = {"model.onnx": model.SerializeToString()}
    bundle = write_bundle(folder / "bundle", manifest, files, load_key(folder / "key"))
    with LineRecipe(bundle, (key,), "onnxruntime").opened(1) as opened:
        yield opened


@pytest.fixture(scope="module")
def phantom_frames() -> list[np.ndarray]:
    """A late frame each of four coronary runs, as _small."""
    frames = []
    for seed in range(4):
        scene = sample_scene(seed, kind="coronary", matrix=SIZE)
        stored = PhantomSource(scene).render(int(0.6 * scene.frame_count))
        frames.append(_small((stored >> (scene.display.bits_stored - 8)).astype(np.uint8)))
    return frames


def _small(picture: np.ndarray) -> np.ndarray:
    """Grey, 64 by 64."""
    return np.asarray(Image.fromarray(picture).convert("L").resize((64, 64)), float)


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_a_kind_draws_pictures_that_show_something_and_the_same_seed_the_same(kind: str) -> None:
    first, again, other = (ALL_KINDS[kind](seed, SIZE) for seed in (0, 0, 1))
    assert first.dtype == np.uint8
    assert first.shape[0] >= SIZE
    assert first.shape[2:] in ((), (3,))
    assert np.ptp(first.astype(int)) > 60
    assert np.array_equal(first, again)
    assert np.mean(np.abs(_small(first) - _small(other))) > 1.0


def test_no_kind_is_one_of_those_that_teach_the_refusal() -> None:
    assert not set(ALL_KINDS) & set(OUTSIDER_KINDS)


def test_a_kind_that_training_was_changed_for_is_not_held_out() -> None:
    assert set(SEEN_KINDS) == {"eye_ground", "landscape"}
    assert not set(HELD_OUT_KINDS) & set(SEEN_KINDS)


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_no_kind_looks_like_a_filled_frame_of_the_phantom(kind: str, phantom_frames: list[np.ndarray]) -> None:
    picture = _small(ALL_KINDS[kind](0, SIZE))
    for frame in phantom_frames:
        assert abs(np.corrcoef(picture.ravel(), frame.ravel())[0, 1]) < 0.9


def test_each_kind_is_written_as_often_as_asked(tmp_path: Path) -> None:
    written = write_outsiders(tmp_path, 2, SIZE)
    assert written.keys() == ALL_KINDS.keys()
    assert sorted(tmp_path.iterdir()) == sorted(path for paths in written.values() for path in paths)
    with Image.open(written["colour_bars"][1]) as picture:
        assert np.array_equal(np.asarray(picture), luma(HELD_OUT_KINDS["colour_bars"](1, SIZE)))


def test_the_share_refused_is_counted_by_kind_and_over_all(line: Line, capsys: pytest.CaptureFixture[str]) -> None:
    figures = Figures()
    measure_outsiders(line, figures, 2)
    if section_of(line.models[0].bundle.manifest).domain is None:
        assert (figures.rows, figures.headline) == ([], {})
        assert "not measured: domain_rejected" in capsys.readouterr().err
        return
    rows = {row["kind"]: row for row in json.loads(json.dumps(figures.rows))}
    assert rows.keys() == ALL_KINDS.keys()
    assert {kind for kind, row in rows.items() if row["held_out"]} == HELD_OUT_KINDS.keys()
    assert (rows["anatomical_plate"]["rejected"], rows["anatomical_plate"]["reasons"]) == (0.0, {"none": 2})
    assert (rows["segmentation"]["rejected"], rows["segmentation"]["reasons"]) == (1.0, {"dark": 2})
    assert figures.headline["domain_rejected"] == pytest.approx(
        np.mean([row["rejected"] for row in rows.values() if row["held_out"]])
    )
    low, high = figures.intervals["domain_rejected"]
    assert low < figures.headline["domain_rejected"] < high


def test_of_no_pictures_there_is_no_share(line: Line) -> None:
    figures = Figures()
    measure_outsiders(line, figures, 0)
    assert (figures.rows, figures.headline) == ([], {})
