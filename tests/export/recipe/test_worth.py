"""Random weights: copied faithfully and worth nothing. Not signed unless asked for; then every output says so."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cathrt.export.bundle.join import join
from cathrt.export.bundle.sign import public_key
from cathrt.export.qualify.kept import Kept
from cathrt.export.qualify.runs import KnownSource, RunInput
from cathrt.export.recipe.qualification import QualificationSet
from cathrt.export.recipe.recipe import Exported, ExportRequest, export_model
from cathrt.runtime.alert import NO_BETTER_NOTICE, NOTICE
from cathrt.runtime.bundle.manifest import NO_BETTER
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.bundle.shipped import demonstration_bundle, shipped_keys
from cathrt.runtime.models import open_bundle
from cathrt.runtime.models.keyframe.section import CLASSIFIER
from tests.export.small_export import KEY, noise_runs, request_for
from tests.lines import SIZE, ArraySource

RUNS, FRAMES = 40, 3


def known_runs() -> QualificationSet:
    """Generated runs of noise of one side each, whose middle frame is worth keeping."""

    def opened(number: int) -> KnownSource:
        draw = np.random.default_rng(number)
        pixels = [draw.integers(0, 200, (SIZE, SIZE)).astype(np.uint8) for _ in range(FRAMES)]
        side = "left" if number % 2 else "right"
        return KnownSource(ArraySource(pixels, name=f"noise {number}"), lambda index: side, frozenset({1}))

    inputs = [
        RunInput(f"noise {number}", lambda number=number: opened(number), generated=True) for number in range(RUNS)
    ]
    return QualificationSet(inputs, {"noise": [RUNS, FRAMES]}, all_of_first=RUNS)


def request(folder: Path, *targets: Any, **changes: Any) -> ExportRequest:
    asked = request_for(folder, "float32", *(targets or ("onnxruntime",)))
    asked = replace(asked, qualifying=replace(asked.qualifying, runs=known_runs()), sign_anyway=False)
    return replace(asked, **changes)


def opened(done: Exported) -> Bundle:
    assert done.path is not None
    return open_bundle(done.path, [public_key(KEY)])


def test_random_weights_are_faithful_no_better_than_chance_and_not_signed(tmp_path: Path) -> None:
    (done,) = export_model(request(tmp_path))
    assert (done.fidelity, done.worth, done.failures) == ("passed", NO_BETTER, ())
    assert (done.path, done.signed) == (None, False)
    assert len(done.accuracy) == 2
    assert done.accuracy[0].startswith("laterality, generated runs: right in ")
    assert done.accuracy[0].endswith("without a network 0.500 (the commonest side)")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".work", "onnxruntime.report"]
    report = json.loads((done.report / "qualification.json").read_text(encoding="utf-8"))
    assert (report["fidelity"], report["worth"]["verdict"]) == ("passed", NO_BETTER)
    (side, key) = report["worth"]["figures"]
    assert (side["what"], side["on"], side["chance"], side["right"]["of"]) == (
        "laterality",
        "generated runs",
        0.5,
        RUNS,
    )
    assert (key["what"], key["chance"], key["right"]["of"]) == ("key frame", 1.0, RUNS)
    page = (done.report / "qualification.html").read_text(encoding="utf-8")
    assert "Fidelity: passed" in page
    assert "Worth: no better than chance" in page
    assert report["about"]["arch"] == "convnext_atto"
    assert report["about"]["seed"] == 0


def test_signed_anyway_the_manifest_says_it_and_asks_every_output_to(tmp_path: Path) -> None:
    (done,) = export_model(request(tmp_path, sign_anyway=True))
    assert done.signed
    manifest = opened(done).manifest
    assert manifest.worth == NO_BETTER
    assert manifest.notice == NO_BETTER_NOTICE
    assert manifest.evidence["qualification"]["onnxruntime"]["worth"]["verdict"] == NO_BETTER


def test_too_few_runs_of_known_truth_are_not_enough_evidence_and_not_signed_either(tmp_path: Path) -> None:
    asked = request(tmp_path)
    (done,) = export_model(replace(asked, qualifying=replace(asked.qualifying, runs=noise_runs(2, 3))))
    assert (done.fidelity, done.worth, done.path) == ("passed", "not enough evidence", None)


def test_a_repeated_export_leaves_the_bundle_that_was_signed_anyway(tmp_path: Path) -> None:
    (first,) = export_model(request(tmp_path, sign_anyway=True))
    before = opened(first).manifest_sha256
    (again,) = export_model(request(tmp_path, sign_anyway=True))
    assert opened(again).manifest_sha256 == before


def test_a_joined_bundle_keeps_the_worst_that_is_stated(tmp_path: Path) -> None:
    first, second = map(opened, export_model(request(tmp_path, "openvino", "onnxruntime", sign_anyway=True)))
    silent = replace(second, manifest=replace(second.manifest, worth=None))
    joined = open_bundle(join(first, [silent], KEY, tmp_path / "joined"), [public_key(KEY)])
    assert joined.manifest.worth == NO_BETTER


def test_a_bundle_of_before_states_no_worth_and_has_the_plain_notice() -> None:
    manifest = open_bundle(demonstration_bundle(), shipped_keys()).manifest
    assert (manifest.worth, manifest.notice) == (None, NOTICE)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_second_export_of_the_same_weights_asks_the_reference_nothing(tmp_path: Path, workers: int) -> None:
    calls: list[str] = []

    def counting(asked: ExportRequest) -> ExportRequest:
        model = asked.recipe.model
        source = model.networks[CLASSIFIER]

        def reference() -> Any:
            network = source.reference()

            def answer(tensors: Any) -> Any:
                calls.append("reference")
                return network(tensors)

            return answer

        networks = {CLASSIFIER: replace(source, reference=reference)}
        config = replace(asked.qualifying.config, engine=replace(asked.qualifying.config.engine, threads=workers))
        qualifying = replace(asked.qualifying, kept=Kept(tmp_path / "cache"), config=config)
        return replace(
            asked, recipe=replace(asked.recipe, model=replace(model, networks=networks)), qualifying=qualifying
        )

    (first,) = export_model(counting(request(tmp_path)))
    assert len(calls) == RUNS * FRAMES
    (second,) = export_model(counting(request(tmp_path, "openvino")))
    assert len(calls) == RUNS * FRAMES
    figures = [json.loads((done.report / "qualification.json").read_text("utf-8")) for done in (first, second)]
    assert figures[0]["judge_set"] == figures[1]["judge_set"]
    for path in (tmp_path / "cache").iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    (stage,) = (tmp_path / "out" / ".work").glob("qualification-openvino-*")
    shutil.rmtree(stage)
    export_model(counting(request(tmp_path, "openvino")))
    assert len(calls) == 2 * RUNS * FRAMES, "damaged answers are computed anew"


def test_an_export_stops_at_the_run_that_decides_however_many_are_answered_at_once(tmp_path: Path) -> None:
    found = []
    for workers in (1, 3):
        asked = request(tmp_path)
        config = replace(asked.qualifying.config, engine=replace(asked.qualifying.config.engine, threads=workers))
        runs = replace(known_runs(), all_of_first=0)
        (done,) = export_model(replace(asked, qualifying=replace(asked.qualifying, runs=runs, config=config)))
        found.append(json.loads((done.report / "qualification.json").read_text("utf-8"))["judge_set"])
    assert found[0] == found[1]
    assert found[0]["runs"] == 2, "this gate asks for no share: one run of each side is enough"
    assert found[0]["runs_at_most"] == RUNS
