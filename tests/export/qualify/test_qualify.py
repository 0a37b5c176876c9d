"""An engine beside its reference: what is measured, that planted faults are refused by name, and what is signed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from cathrt.export.bundle.sign import public_key, write_bundle
from cathrt.export.models.keyframe.criteria import CRITERIA
from cathrt.export.models.keyframe.differences import Comparison
from cathrt.export.models.keyframe.gate import GATES, Gate
from cathrt.export.models.keyframe.truth import Side
from cathrt.export.qualify.alone import measure_alone
from cathrt.export.qualify.evidence import Qualified, evidence_of, sign_qualified
from cathrt.export.qualify.gate import Failure
from cathrt.export.qualify.measure import Contest, OpenEngine, Qualification, qualify
from cathrt.export.qualify.reference import Network, reference_from_module, reference_from_onnx
from cathrt.export.qualify.reference_answers import ReferenceAnswers
from cathrt.export.qualify.runs import LeftOut, OpenedRun, PreparedFrame
from cathrt.runtime.bundle.manifest import Artifact, Manifest, Precision
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.engines import open_engine
from cathrt.runtime.engines.fake import FakeEngine
from cathrt.runtime.errors import EngineError, ManifestError, SourceError
from cathrt.runtime.models import open_bundle
from cathrt.runtime.models.keyframe.section import CLASSIFIER
from tests.golden import (
    HEAD,
    HEIGHT,
    INPUT,
    KERNEL,
    OUTPUT,
    WIDTH,
    conv_model,
    conv_reference,
    golden_frame,
    golden_manifest,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SIDES: tuple[Side, ...] = ("left", "left", "left", "right", "right", "right")
Fault = Callable[[NDArray[np.float32]], NDArray[Any]]


def manifest_of(precision: Precision) -> Manifest:
    manifest = golden_manifest(openvino=Artifact("model.onnx", precision))
    return replace(manifest, files={"model.onnx": "0" * 64})


def written(tensor: NDArray[np.float32]) -> NDArray[np.float32]:
    """The network of these tests: the logits stand in the first six values of the frame."""
    return tensor[0, 0, 0, :6].copy()


def writing(logits: NDArray[np.float64]) -> NDArray[np.float32]:
    tensor = np.zeros((1, 3, HEIGHT, WIDTH), np.float32)
    tensor[0, 0, 0, :6] = logits
    return tensor


def engine_of(network: Fault) -> FakeEngine:
    manifest = golden_manifest()

    def compute(inputs: Any, outputs: Any) -> None:
        outputs[OUTPUT][...] = network(inputs[INPUT])

    return FakeEngine(manifest.network(CLASSIFIER).input_specs(), manifest.network(CLASSIFIER).output_specs(), compute)


def seen(index: int, truth: str | None, tensor: NDArray[np.float32], digest: bytes) -> PreparedFrame:
    return PreparedFrame(index, index * 100.0, truth, {INPUT: tensor}, digest)


def called(network: Fault) -> Network:
    """The network with its tensors by name."""
    return lambda tensors: {OUTPUT: network(tensors[INPUT])}


def contest(
    network: Fault, precision: Precision = "int8", reference: Fault = written, name: str = "written", **more: Any
) -> Contest:
    """One frame at a time, so that a fault may count its calls."""
    engines: list[OpenEngine] = [lambda: nullcontext(engine_of(network))]
    answers = ReferenceAnswers(called(reference), {})
    return Contest(manifest_of(precision), CLASSIFIER, engines, "openvino", answers, name, **more)


def compare(runs: Iterable[OpenedRun], who: Contest, gate: Gate = GATES["int8"]) -> Qualification:
    """Over all of the runs, whatever they decide."""
    given = list(runs)
    return qualify([partial(nullcontext, run) for run in given], who, CRITERIA, gate, all_of_first=len(given))


def compared(found: Qualification) -> Comparison:
    assert isinstance(found.comparison, Comparison)
    return found.comparison


def verdict(found: Qualification, gate: Gate) -> tuple[Failure, ...]:
    return Qualified(found, CRITERIA, gate).failures


def written_runs(runs: int = 100, sharpness: float = 6.0) -> Iterator[OpenedRun]:
    """Runs of two frames of every class, with a little noise of their own."""
    draw = np.random.default_rng(5)
    for number in range(runs):
        noise = draw.normal(scale=0.2, size=(12, 6))
        frames = [
            seen(i, SIDES[i % 6], writing(np.eye(6)[i % 6] * sharpness + noise[i]), bytes([number, i]))
            for i in range(12)
        ]
        yield OpenedRun(f"run {number}", iter(frames))


def qualified(network: Fault, precision: Precision = "int8", **more: Any) -> Qualification:
    return compare(written_runs(), contest(network, precision, **more))


def test_a_faithful_engine_passes_every_gate() -> None:
    found = qualified(written)
    for gate in GATES.values():
        assert verdict(found, gate) == ()
    assert (compared(found).runs, compared(found).frames) == (100, 1200)
    assert {proof.name: (proof.runs, proof.standing) for proof in found.proofs} == {
        "agreement": (100, "proven"),
        "key_frames": (100, "proven"),
    }
    assert (found.model, found.engine, found.precision) == ("golden", "openvino", "int8")


def test_an_engine_that_cannot_tell_one_class_is_refused_and_the_class_named() -> None:
    def blind_to_bad_right(tensor: NDArray[np.float32]) -> NDArray[Any]:
        return written(tensor) - np.array([0, 0, 0, 0, 30, 0], np.float32)

    failures = verdict(qualified(blind_to_bad_right), GATES["int8"])
    text = "; ".join(map(str, failures))
    assert "class agreement: found 1000 of 1200" in text
    assert "rca_bad → " in text


def test_an_engine_with_noise_is_refused_with_the_frames_it_moved() -> None:
    draw = np.random.default_rng(3)
    found = qualified(lambda tensor: written(tensor) + draw.normal(scale=3.0, size=6))
    failures = verdict(found, GATES["int8"])
    assert "class agreement" in [failure.what for failure in failures]
    assert len(compared(found).flips) > 12
    assert str(compared(found).flips[0]) in failures[0].look_at


def test_an_engine_with_one_scaled_layer_is_refused_and_the_layer_named() -> None:
    scaled = KERNEL.copy()
    scaled[2] *= 1.3

    def layers(frame: NDArray[np.float32], kernel: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
        padded = np.pad(frame.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
        convolved = np.einsum("bchwij,ocij->bohw", windows, kernel.astype(np.float64))
        return {"frame": frame.astype(np.float64), "convolved": convolved}

    frame = golden_frame()
    right, wrong = layers(frame, KERNEL), layers(frame, scaled)
    errors = sorted(
        ((name, float(np.abs(wrong[name] - right[name]).max() / np.abs(right[name]).max())) for name in right),
        key=lambda entry: -entry[1],
    )

    def ruined(frame: NDArray[np.float32]) -> NDArray[Any]:
        logits: NDArray[Any] = np.maximum(layers(frame, scaled)["convolved"], 0).mean(axis=(2, 3)) @ HEAD
        return logits

    frames = [seen(i, None, golden_frame(i), bytes([i])) for i in range(6)]
    who = contest(ruined, "float32", conv_reference, "NumPy", layer_errors=errors)
    found = compare([OpenedRun("noise", iter(frames))], who, GATES["float32"])
    failure = next(failure for failure in verdict(found, GATES["float32"]) if failure.what == "logit error")
    assert failure.look_at[1].startswith("layer convolved, error 0.")
    assert compared(found).logit_error is not None
    assert failure.look_at[0] == str(compared(found).logit_error.at)


def test_a_logit_that_is_not_finite_is_refused_with_run_and_frame() -> None:
    calls = 0

    def breaking(tensor: NDArray[np.float32]) -> NDArray[Any]:
        nonlocal calls
        calls += 1
        logits = written(tensor)
        return logits * np.nan if calls == 12 + 5 else logits  # run 1, frame 4

    (failure,) = verdict(qualified(breaking), GATES["int8"])
    assert (failure.what, failure.look_at) == ("finite logits", ("run 1 frame 4",))


def test_pictures_are_kept_of_the_surest_flips_alone_and_show_what_the_network_saw() -> None:
    found = qualified(lambda tensor: written(tensor)[::-1])
    assert len(compared(found).flips) == 1200
    shown = {(flip.where.number, flip.where.frame) for flip in compared(found).flips[:24]}
    assert set(found.pictures) == shown
    picture = next(iter(found.pictures.values()))
    assert (picture.shape, picture.dtype) == ((HEIGHT, WIDTH), np.uint8)
    assert picture[5, 5] == round(0.485 * 255), "a tensor value of 0 is the mean's grey"


def test_frames_left_out_are_counted_by_reason() -> None:
    frames = [seen(0, None, writing(np.arange(6.0)), b"0"), LeftOut(1, "lost"), LeftOut(2, "lost")]
    found = compare([OpenedRun("a", iter(frames))], contest(written))
    assert found.left_out == {"lost": 2}
    with pytest.raises(SourceError, match="no frame to compare \\(1 lost\\)"):
        compare([OpenedRun("a", iter([LeftOut(0, "lost")]))], contest(written))


def test_an_engine_that_the_bundle_does_not_name_is_refused() -> None:
    other = replace(contest(written), engine_name="onnxruntime")
    with pytest.raises(EngineError, match="no artifact for onnxruntime"):
        compare(written_runs(1), other)


def test_evidence_is_plain_json_without_a_number_that_is_none() -> None:
    found = qualified(lambda tensor: written(tensor) * np.nan, layer_errors=[("a", 0.123456)])
    evidence = evidence_of(found, CRITERIA, GATES["int8"])
    assert json.loads(json.dumps(evidence, allow_nan=False)) == evidence
    assert evidence["passed"] is False
    assert evidence["frames_not_finite"] == 1200
    assert evidence["worst_layers"] == [["a", 0.1235]]
    assert "logit_error" not in evidence


@pytest.fixture
def candidate(tmp_path: Path) -> Bundle:
    manifest = golden_manifest(onnxruntime=Artifact("model.onnx", "float32"))
    path = write_bundle(tmp_path / "candidate", manifest, {"model.onnx": conv_model().SerializeToString()}, KEY)
    return open_bundle(path, [public_key(KEY)])


def noise_runs() -> Iterator[OpenedRun]:
    """A hundred runs of ten frames of noise; their sides are made up."""
    for number in range(100):
        side: Side = "left" if number % 2 else "right"
        seeds = range(number * 10, number * 10 + 10)
        frames = [seen(i, side, golden_frame(seed), seed.to_bytes(2)) for i, seed in enumerate(seeds)]
        yield OpenedRun(f"noise {number}", iter(frames))


def qualified_candidate(candidate: Bundle, reference: Fault) -> Qualification:
    engine = open_engine("onnxruntime", candidate, CLASSIFIER, EngineConfig("onnxruntime", 1))
    answers = ReferenceAnswers(called(reference), {})
    with closing(engine):
        engines: list[OpenEngine] = [lambda: nullcontext(engine)]
        who = Contest(candidate.manifest, CLASSIFIER, engines, "onnxruntime", answers, "NumPy")
        return compare(noise_runs(), who, GATES["float32"])


def test_a_qualified_bundle_is_signed_with_its_evidence_and_the_same_files(candidate: Bundle, tmp_path: Path) -> None:
    found, gate = qualified_candidate(candidate, conv_reference), GATES["float32"]
    folder = sign_qualified(tmp_path / "signed", candidate, [Qualified(found, CRITERIA, gate)], KEY, sign_anyway=True)
    signed = open_bundle(folder, [public_key(KEY)])
    assert signed.manifest.files == candidate.manifest.files
    evidence = signed.manifest.evidence["qualification"]["onnxruntime"]
    assert evidence == evidence_of(found, CRITERIA, gate)
    assert evidence["passed"] is True
    assert evidence["class_agreement"] == {"hits": 1000, "of": 1000, "share": 1.0, "interval_95": [0.99617, 1.0]}
    assert evidence["judge_set"]["sha256"] == found.set_sha256


def test_a_failed_gate_signs_nothing_and_says_why(candidate: Bundle, tmp_path: Path) -> None:
    found = qualified_candidate(candidate, lambda frame: conv_reference(frame)[:, ::-1])
    with pytest.raises(ManifestError, match=r"onnxruntime: not signed, it misses its gate: class agreement: found"):
        sign_qualified(tmp_path / "signed", candidate, [Qualified(found, CRITERIA, GATES["float32"])], KEY)
    assert not (tmp_path / "signed").exists()


def test_a_network_that_is_not_shown_to_be_better_than_chance_is_not_signed(candidate: Bundle, tmp_path: Path) -> None:
    qualified = Qualified(qualified_candidate(candidate, conv_reference), CRITERIA, GATES["float32"])
    assert (qualified.fidelity, qualified.worth) == ("passed", "no better than chance")
    with pytest.raises(ManifestError, match="not signed, worth: no better than chance"):
        sign_qualified(tmp_path / "signed", candidate, [qualified], KEY)
    assert not (tmp_path / "signed").exists()


def test_too_small_a_set_is_not_enough_evidence_and_a_missed_limit_is_failed() -> None:
    few = Qualified(compare(written_runs(20), contest(written)), CRITERIA, GATES["int8"])
    assert few.fidelity == "not enough evidence"
    assert [failure.what for failure in few.failures] == ["proof of agreement", "proof of key_frames"]
    assert few.evidence["passed"] is False
    wrong = Qualified(compare(written_runs(20), contest(lambda tensor: written(tensor)[::-1])), CRITERIA, GATES["int8"])
    assert wrong.fidelity == "failed"


def test_runs_are_compared_until_the_gate_is_decided_and_no_further() -> None:
    opened: list[str] = []

    def opening(run: OpenedRun) -> nullcontext[OpenedRun]:
        opened.append(run.name)
        return nullcontext(run)

    runs = [partial(opening, run) for run in written_runs(240)]
    found = qualify(runs, contest(written), CRITERIA, GATES["int8"])
    assert (compared(found).runs, found.runs_at_most) == (64, 240)
    assert len(opened) <= 64 + 2, "one at a time, one that waits, and no more"
    assert verdict(found, GATES["int8"]) == ()
    wrong = qualify(
        [partial(opening, run) for run in written_runs(240)],
        contest(lambda tensor: written(tensor)[::-1]),
        CRITERIA,
        GATES["int8"],
    )
    assert compared(wrong).runs == 2, "two runs in which all frames disagree refute it"


def test_an_artifact_that_was_not_qualified_or_is_another_file_is_not_signed(candidate: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"\['onnxruntime'\] not qualified"):
        sign_qualified(tmp_path / "signed", candidate, [], KEY, sign_anyway=True)
    found = replace(qualified_candidate(candidate, conv_reference), artifact_sha256="0" * 64)
    with pytest.raises(ManifestError, match="another file"):
        sign_qualified(tmp_path / "signed", candidate, [Qualified(found, CRITERIA, GATES["float32"])], KEY)
    assert not (tmp_path / "signed").exists()


def test_memory_alone_is_the_engines_and_not_that_of_the_process_that_asks(candidate: Bundle) -> None:
    held = np.ones(100 << 20, np.float64)  # 800 MiB, which a child's getrusage would count as its own
    alone = measure_alone(candidate, CLASSIFIER, "onnxruntime", EngineConfig("onnxruntime", 1), calls=7)
    assert held[-1] == 1.0
    assert 10 < alone.rss_before_mib < alone.peak_rss_mib < 600
    assert len(alone.latency.took_ms) == 7


def test_what_opening_an_engine_raises_comes_out_of_its_own_process(candidate: Bundle) -> None:
    with pytest.raises(EngineError, match="no artifact for openvino"):
        measure_alone(candidate, CLASSIFIER, "openvino", EngineConfig("openvino", 1), calls=1)


def test_an_onnx_graph_and_a_torch_module_both_serve_as_reference() -> None:
    import torch

    frame = golden_frame(3)
    onnx_logits = reference_from_onnx(conv_model().SerializeToString(), 1)({INPUT: frame})[OUTPUT]
    np.testing.assert_allclose(onnx_logits, conv_reference(frame), atol=1e-5)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(0.5), torch.nn.Linear(frame.size, 6))
    weight, bias = net[2].weight.detach().numpy(), net[2].bias.detach().numpy()
    np.testing.assert_allclose(
        reference_from_module(net, ["a"], ["b"])({"a": frame})["b"][0], weight @ frame.reshape(-1) + bias, atol=1e-4
    )


def test_a_reference_that_is_no_graph_is_refused() -> None:
    with pytest.raises(EngineError, match="the graph cannot be loaded"):
        reference_from_onnx(b"no graph", 1)
