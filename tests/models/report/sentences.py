"""A study's facts, and what becomes of a sentence that is held against them."""

from __future__ import annotations

from cathrt.runtime.models.report.check import Checked, check_prose
from cathrt.runtime.models.report.facts import Facts, Findings, Lesion
from cathrt.runtime.models.report.section import Language

STUDY = Facts(
    sides=("left", "right"),
    lesions=(
        Lesion("lad", "6", 75),
        Lesion("lad", "9", 90),
        Lesion("lcx", "13", 50),
        Lesion("rca", "2", 100, occluded=True, chronic=True),
    ),
    dominance="right",
    grafts=0,
)
LEFT_ONLY = Facts(("left",), (Lesion("lad", None, 90), Lesion("lcx", "11", None)))
CLEAN = Facts(("left", "right"))


def checked(language: Language, text: str, facts: Facts = STUDY) -> Checked:
    return check_prose({language: text}, facts, Findings(3, (), Facts(facts.sides)))


def outcome(language: Language, text: str, facts: Facts = STUDY) -> str:
    """ "kept" if nothing is struck, else the reasons, each once."""
    reasons = dict.fromkeys(one.reason for one in checked(language, text, facts).struck)
    return " ".join(reasons) or "kept"
