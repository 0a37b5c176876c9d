"""A manifest of a study bundle must agree with itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cathrt.runtime.bundle.manifest import SCHEMA_VERSION, Artifact, Manifest, Network
from cathrt.runtime.models.study.contract import encoder_tensors, head_tensors, section_of, study_faults
from cathrt.runtime.models.study.section import ENCODER, HEAD, StudyClip, StudyQuestion, StudySection
from tests import lines

SECTION = StudySection(
    product="made up",
    clip=StudyClip(16, 112, 112, 1, 122.0, 28.8),
    runs=4,
    empty="hidden",
    views=13,
    questions=(
        StudyQuestion("ef", "EF", "ef", "amount", low=0.0, high=100.0, unit="%"),
        StudyQuestion("risk", "Risk", "risk", "category", categories=("low", "high")),
    ),
)


def manifest(section: StudySection = SECTION, **networks: Network) -> Manifest[StudySection]:
    given, found = encoder_tensors(SECTION, 33, 128)
    inputs, outputs = head_tensors(SECTION, 33, 128)
    whole = {
        ENCODER: Network({"openvino": Artifact("encoder.onnx", "float32")}, (given,), (found,), ({"n": 1}, {"n": 4})),
        HEAD: Network({"openvino": Artifact("head.onnx", "float32")}, inputs, outputs, ({"N": 4},)),
    }
    return Manifest(SCHEMA_VERSION, "made up", {}, whole | networks, section, False, {}, {})


def test_what_the_contract_writes_has_no_fault() -> None:
    assert study_faults(manifest()) == []
    assert section_of(manifest()) is SECTION
    assert [tensor.name for tensor in manifest().network(HEAD).inputs] == ["features", "there", "views"]


def question(**changes: Any) -> StudySection:
    return replace(SECTION, questions=(replace(SECTION.questions[0], **changes), SECTION.questions[1]))


@pytest.mark.parametrize(
    ("section", "says"),
    [
        (question(name="risk"), "found ['risk'] more than once"),
        (question(form="category"), "is a category of 0 categories"),
        (question(categories=("a", "b")), "is a amount of 2 categories"),
        (question(low=100.0), "found low 100.0 and high 100.0"),
        (question(form="probability", threshold=1.0, low=None, high=None, unit=""), "threshold: found 1.0"),
        (question(form="probability"), "has a bound or a unit, expected them of an amount alone"),
        (replace(SECTION, views=5), "model.views: found 5, expected 0 or 13"),
        (replace(SECTION, views=0), "networks.head.inputs: found features"),
        (replace(SECTION, runs=5), "networks.head.buckets: found [{'N': 4}], expected N = model.runs, 5"),
        (replace(SECTION, clip=replace(SECTION.clip, frames=8)), "networks.encoder.inputs: found clips"),
        (question(form="category", categories=("a", "b", "c")), "networks.head.outputs: found logits (1, 3)"),
    ],
)
def test_a_section_that_does_not_fit_is_told(section: StudySection, says: str) -> None:
    faults = study_faults(manifest(section))
    assert any(says in fault for fault in faults), faults


def test_networks_that_do_not_fit_are_told() -> None:
    whole = manifest()
    encoder, head = whole.network(ENCODER), whole.network(HEAD)
    (four,) = study_faults(manifest(encoder=replace(encoder, buckets=({"n": 4},))))
    assert "networks.encoder.buckets: has no n = 1" in four
    wide = replace(encoder.outputs[0], shape=("n", 33, 256))
    assert "networks.head.inputs" in study_faults(manifest(encoder=replace(encoder, outputs=(wide,))))[0]
    flat = replace(encoder.outputs[0], shape=("n", 33))
    assert "expected (n, tokens, features)" in study_faults(manifest(encoder=replace(encoder, outputs=(flat,))))[0]
    mask = replace(head.inputs[1], dtype="float32")
    faults = study_faults(manifest(head=replace(head, inputs=(head.inputs[0], mask, head.inputs[2]))))
    assert "there (1, 'N') float32, views" in faults[0]


def test_a_bundle_of_another_kind_is_refused() -> None:
    with pytest.raises(Exception, match="holds a keyframe model, expected study"):
        section_of(lines.BUNDLE.manifest)
