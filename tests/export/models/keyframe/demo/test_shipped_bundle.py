"""The demonstration bundle as it ships: it opens, says what it is, and its card says what its evidence says."""

from __future__ import annotations

import pytest

from cathrt.export.models.keyframe.demo.dataset import LABELS, PREPROCESSING
from cathrt.export.models.keyframe.demo.model_card import model_card
from cathrt.export.models.keyframe.gate import GATES
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.bundle.shipped import demonstration_bundle, shipped_keys
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.engines import open_engine
from cathrt.runtime.models import open_bundle
from cathrt.runtime.models.keyframe.finding import KeyframeModel
from cathrt.runtime.models.keyframe.section import CLASSIFIER
from cathrt.runtime.phantom import PhantomSource, sample_scene
from cathrt.runtime.preprocess import Preprocessor

MAX_BYTES = 20 * 2**20


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return open_bundle(demonstration_bundle(), shipped_keys())


def test_it_is_a_demonstration_of_at_most_20_mib(bundle: Bundle) -> None:
    assert bundle.manifest.demonstration
    assert bundle.manifest.name == "keyframe-demonstration"
    assert sum(path.stat().st_size for path in bundle.path.iterdir()) <= MAX_BYTES


def test_its_card_is_written_from_its_evidence(bundle: Bundle) -> None:
    assert bundle.read("MODEL_CARD.md").decode() == model_card(bundle.manifest)


def test_its_card_says_it_is_not_clinical(bundle: Bundle) -> None:
    card = bundle.read("MODEL_CARD.md").decode()
    assert "Research use only" in card
    assert "not fit to read an angiogram" in card


def test_it_means_what_it_was_trained_as(bundle: Bundle) -> None:
    assert bundle.manifest.model.labels == LABELS
    assert bundle.manifest.network(CLASSIFIER).preprocessing[0] == PREPROCESSING


def test_no_scene_it_was_measured_on_took_part_in_training_or_thresholds(bundle: Bundle) -> None:
    spans = bundle.manifest.provenance["scenes"]
    seeds = [set(range(*spans[name])) for name in ("training", "validation", "test")]
    assert all(seeds)
    assert len(set.union(*seeds)) == sum(map(len, seeds))


def test_figures_on_real_angiograms_are_of_these_weights(bundle: Bundle) -> None:
    real = bundle.manifest.evidence["real"]
    assert (
        real["model_sha256"]
        == bundle.manifest.files[bundle.manifest.network(CLASSIFIER).artifacts[real["engine"]].file]
    )
    assert real["looks"] >= 1


def test_its_default_engine_computes_in_int8_on_every_machine_and_kept_its_gate(bundle: Bundle) -> None:
    artifact = bundle.manifest.network(CLASSIFIER).artifacts["openvino"]
    assert (artifact.precision, artifact.weight_bits) == ("int8", 7)
    told = bundle.manifest.evidence["qualification"]["openvino"]
    assert told["passed"]
    assert told["artifact_sha256"] == bundle.manifest.files[artifact.file]
    assert told["class_agreement"]["share"] >= GATES["int8"].agreement
    assert told["same_key_frame"]["share"] >= GATES["int8"].key_frames


def test_its_other_engine_is_the_float32_network_of_the_same_weights(bundle: Bundle) -> None:
    assert bundle.manifest.network(CLASSIFIER).artifacts["onnxruntime"].precision == "float32"
    made = bundle.manifest.provenance
    assert made["engines"]["openvino"]["chain"]["weights"] == made["chain"]["weights"]


@pytest.mark.parametrize("engine_name", ["openvino", "onnxruntime"])
def test_an_opacified_phantom_frame_scores_higher_as_key_frame_than_one_before_contrast(
    bundle: Bundle, engine_name: str
) -> None:
    source = PhantomSource(sample_scene(30_000_001, kind="coronary"))
    labels = source.labels
    better = next(index for index, label in enumerate(labels) if label.quality == "better")
    before = next(index for index, label in enumerate(labels) if label.laterality is None)
    model = KeyframeModel(bundle.manifest.model)
    engine = open_engine(engine_name, bundle, CLASSIFIER, EngineConfig())
    tensor = engine.input_buffers[bundle.manifest.network(CLASSIFIER).preprocessing[0].input]
    preprocess = Preprocessor(source.run, bundle.manifest.network(CLASSIFIER).preprocessing[0])
    scores = {}
    for index in range(max(better, before) + 1):  # in order: it may see what the run showed before
        preprocess(source.render(index), tensor)
        if index in (better, before):
            scores[index] = model.finding(engine.infer(engine.input_buffers), engine_name).score
    engine.close()
    assert scores[better] > scores[before] + 0.1
