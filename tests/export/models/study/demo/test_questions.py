"""What the demonstration is asked: in the published words, with true answers of generated patients."""

from __future__ import annotations

import numpy as np

from cathrt.export.models.study.demo.questions import DOMINANCE, SEGMENTS, demonstration_questions, true_answers
from cathrt.export.models.study.demo.thresholds import chosen_thresholds, settings_text
from cathrt.export.models.study.products import PRODUCTS
from cathrt.export.models.study.segments import SEGMENTS as PUBLISHED
from cathrt.export.models.study.settings_file import with_settings
from cathrt.runtime.phantom.patient import sample_patient


def test_segments_are_named_as_published() -> None:
    published = {one.key: one.title for one in PUBLISHED} | {"dist_lcx": "Distal LCX"}
    assert all(published[key] == title for key, title in SEGMENTS.values())


def test_answers_stand_in_the_order_of_the_questions() -> None:
    questions = demonstration_questions()
    patient = next(one for one in map(sample_patient, range(60)) if any(t.occluded for t in one.truth.values()))
    answers = dict(zip([one.name for one in questions], true_answers(patient), strict=True))
    for segment, (key, _) in SEGMENTS.items():
        truth = patient.truth[segment]
        assert answers[f"{key}_stenosis"] == np.float32(truth.diameter_stenosis_percent)
        assert answers[f"{key}_stenosis_binary"] == (truth.diameter_stenosis_percent >= 70.0)
        assert answers[f"{key}_cto"] == truth.occluded
        assert answers[f"{key}_calcif_binary"] == truth.calcified
    assert answers[DOMINANCE] == (patient.dominance == "left")
    assert questions[-1].categories[0] == "left"


def test_thresholds_part_best_and_are_read_back_by_the_export(tmp_path) -> None:  # type: ignore[no-untyped-def]
    questions = demonstration_questions()
    calls = [place for place, one in enumerate(questions) if one.form == "probability"]
    truth = np.zeros((10, len(questions)))
    truth[6:, calls] = 1.0
    found = np.linspace(0.0, 1.0, 10)[:, None] * np.ones(len(questions))
    chosen = chosen_thresholds(questions, found, truth)
    assert set(chosen) == {questions[place].name for place in calls}
    assert {0.5 < value < 0.7 for value in chosen.values()} == {True}
    path = tmp_path / "settings.toml"
    path.write_text(settings_text(chosen))
    product = with_settings(PRODUCTS["demonstration"], path)
    assert {one.name: one.threshold for one in product.questions if one.form == "probability"} == chosen


def test_a_threshold_of_what_nobody_has_is_one_half() -> None:
    questions = demonstration_questions()
    none = np.zeros((4, len(questions)))
    assert set(chosen_thresholds(questions, none, none).values()) == {0.5}
