"""The published products, and the demonstration: how each makes clips, how many it takes, what it asks, its sources.

Releases differ from the configurations that their weights were trained with, so every number can be given another one
(settings_file.py). Not for: sizes of networks (checkpoint.py finds them in the weights).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cathrt.export.models.study.demo.questions import MEAN, RUNS, STD, demonstration_questions
from cathrt.export.models.study.segments import segment_questions
from cathrt.runtime.models.study.section import StudyQuestion


@dataclass(frozen=True, slots=True)
class Product:
    """runs, stride, mean, std: as StudySection and StudyClip have them. questions: () where none are published.

    sources: of each number, in words, for the provenance and the reader.
    """

    name: str
    runs: int
    stride: int
    mean: float
    std: float
    questions: tuple[StudyQuestion, ...]
    sources: Mapping[str, str]


_FACTS = {
    "runs": "DeepCORO_CLIP configuration, num_videos",
    "stride": "DeepCORO_CLIP configuration; the largest that training draws, which the deployed service takes always",
    "mean, std": "dataset_mean and dataset_std of the release",
    "questions": "class_mapping.json of the release",
}
_GENERIC = (122.09012603759766, 28.790834426879883)
_EVENTS = (
    ("complete_occlusion_coronary_disease_binary", "complete occlusion"),
    ("mace_cv_death_binary", "cardiovascular death"),
    ("mace_non_fatal_mi_binary", "non-fatal myocardial infarction"),
    ("mace_non_fatal_stroke_binary", "non-fatal stroke"),
    ("mace_urgent_revascularization_binary", "urgent revascularisation"),
    ("mace_heart_failure_hosp_binary", "hospitalisation for heart failure"),
    ("mace_life_threatening_arrhythmia_binary", "life-threatening arrhythmia"),
    ("mace_cardiogenic_shock_binary", "cardiogenic shock"),
    ("mace_binary", "any major adverse event"),
)
_OCCLUSIONS = (
    ("jcto_blunt_stump", "blunt stump"),
    ("jcto_calcification", "calcified occlusion"),
    ("jcto_bending_gt45", "bend of more than 45 degrees"),
    ("jcto_occlusion_length_gt20", "occlusion longer than 20 mm"),
)
_RISKS = ("zero", "low", "intermediate", "high")


def _yes_or_no(name: str, asks: str) -> StudyQuestion:
    return StudyQuestion(name, f"{asks[0].upper()}{asks[1:]}", asks, "probability", threshold=0.5)


def _score(name: str, title: str, low: float, high: float | None, **more: object) -> StudyQuestion:
    unit = str(more.get("unit", "points"))
    threshold = more.get("threshold")
    assert threshold is None or isinstance(threshold, float)
    return StudyQuestion(name, title, title.lower(), "amount", low=low, high=high, unit=unit, threshold=threshold)


_SYNTAX = (
    _score("syntax", "SYNTAX score", 0.0, None, threshold=16.903),
    _score("syntax_left", "SYNTAX score of the left side", 0.0, None),
    _score("syntax_right", "SYNTAX score of the right side", 0.0, None),
    StudyQuestion("syntax_category", "SYNTAX category", "syntax category", "category", categories=_RISKS),
    StudyQuestion("syntax_left_category", "SYNTAX category, left", "syntax category", "category", categories=_RISKS),
    StudyQuestion(
        "syntax_right_category", "SYNTAX category, right", "syntax category", "category", categories=_RISKS[:3]
    ),
)
PRODUCTS: Mapping[str, Product] = {
    product.name: product
    for product in (
        Product("generic", 10, 1, *_GENERIC, segment_questions(), _FACTS),
        Product("stenosis", 10, 1, *_GENERIC, segment_questions(), _FACTS),
        Product(
            "cto", 8, 1, *_GENERIC,
            (*(_yes_or_no(*one) for one in _OCCLUSIONS), _score("jcto_score", "J-CTO score", 0.0, 4.0)),
            _FACTS,
        ),
        Product(
            "syntax", 10, 2, 105.2699966430664, 39.241127014160156, _SYNTAX,
            _FACTS | {
                "mean, std": "configuration of the deployed service; the training configuration has 110.495 and 37.806",
                "questions": "class_mapping.json; a score of 23 and more is called from a predicted 16.903 on",
            },
        ),
        Product(
            "mace", 3, 1, 107.3622055053711, 34.67802429199219, tuple(_yes_or_no(*one) for one in _EVENTS),
            _FACTS | {"mean, std": "the release; its 730-day configuration has 110.495 and 37.806"},
        ),
        Product(
            "cathef", 4, 2, 96.57122802734375, 44.76901626586914,
            (
                _score("Value", "Left ventricular ejection fraction", 0.0, 100.0, unit="%"),
                _yes_or_no("y_true_cat", "reduced ejection fraction"),
            ),
            _FACTS,
        ),
        Product("deeprv", 6, 2, 133.98593139648438, 27.26662254333496,
                (_yes_or_no("Outcome", "right ventricular dysfunction"),), _FACTS),
        Product(
            "deepifr", 4, 1, *_GENERIC, (),
            {
                "runs": _FACTS["runs"],
                "stride": "not published: that of the generic product",
                "mean, std": "not published: those of the generic product",
                "questions": "not published: give them in --settings",
            },
        ),
        Product(
            "demonstration", RUNS, 1, MEAN, STD, demonstration_questions(),
            dict.fromkeys(("runs", "stride", "mean, std", "questions"), "the training on generated patients"),
        ),
    )
}  # fmt: skip
