"""The questions of the generic study reader: 18 segments, five questions each, with the thresholds of its release.

Not for: other products (products.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from cathrt.runtime.models.study.section import StudyQuestion


@dataclass(frozen=True, slots=True)
class Segment:
    """key: in the names of tensors. Then the thresholds of a significant stenosis, calcification, chronic total
    occlusion and thrombus; 0.5 stands where the release had too few positives to choose one."""

    key: str
    title: str
    stenosis: float
    calcification: float
    occlusion: float
    thrombus: float


SEGMENTS = (
    Segment("prox_rca", "Proximal RCA", 0.1079, 0.0376, 0.0134, 0.0109),
    Segment("mid_rca", "Mid RCA", 0.1284, 0.0302, 0.0225, 0.0126),
    Segment("dist_rca", "Distal RCA", 0.0327, 0.0171, 0.0043, 0.0058),
    Segment("pda", "Posterior descending artery", 0.0299, 0.0066, 0.0031, 0.5),
    Segment("posterolateral", "Posterolateral branch", 0.0209, 0.0012, 0.0034, 0.0017),
    Segment("left_main", "Left main", 0.0546, 0.023, 0.5, 0.5),
    Segment("prox_lad", "Proximal LAD", 0.1145, 0.0729, 0.0043, 0.0086),
    Segment("mid_lad", "Mid LAD", 0.1754, 0.0894, 0.0159, 0.0038),
    Segment("dist_lad", "Distal LAD", 0.0373, 0.0026, 0.0017, 0.5),
    Segment("D1", "First diagonal", 0.1308, 0.0206, 0.003, 0.5),
    Segment("D2", "Second diagonal", 0.0568, 0.0065, 0.0009, 0.5),
    Segment("prox_lcx", "Proximal LCX", 0.083, 0.0207, 0.0083, 0.0003),
    Segment("mid_lcx", "Mid LCX", 0.0597, 0.0062, 0.0112, 0.0028),
    Segment("dist_lcx", "Distal LCX", 0.0105, 0.005, 0.0011, 0.5),
    Segment("om1", "First obtuse marginal", 0.0723, 0.0104, 0.0019, 0.5),
    Segment("om2", "Second obtuse marginal", 0.0767, 0.0091, 0.0086, 0.5),
    Segment("bx", "Branch vessel", 0.0299, 0.0029, 0.0012, 0.5),
    Segment("lvp", "Left posterior ventricular", 0.0014, 0.5, 0.5, 0.5),
)


def segment_questions() -> tuple[StudyQuestion, ...]:
    """In the order of the published weights: a question of all segments after the other."""
    amounts = tuple(
        StudyQuestion(f"{one.key}_stenosis", f"{one.title}: stenosis", "stenosis", "amount", one.key, low=0.0,
                      high=100.0, unit="%")
        for one in SEGMENTS
    )  # fmt: skip
    asked = (
        ("calcif_binary", "calcification", [one.calcification for one in SEGMENTS]),
        ("stenosis_binary", "significant stenosis", [one.stenosis for one in SEGMENTS]),
        ("cto", "chronic total occlusion", [one.occlusion for one in SEGMENTS]),
        ("thrombus", "thrombus", [one.thrombus for one in SEGMENTS]),
    )
    return amounts + tuple(
        StudyQuestion(f"{one.key}_{ending}", f"{one.title}: {asks}", asks, "probability", one.key, threshold=threshold)
        for ending, asks, thresholds in asked
        for one, threshold in zip(SEGMENTS, thresholds, strict=True)
    )
