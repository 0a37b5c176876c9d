"""Facts of drafts against facts of references: what is read from texts, how it is counted, how sure the figures are."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from cathrt.export.models.report.evaluate.evaluation import evaluated
from cathrt.export.models.report.evaluate.fact_scores import (
    KINDS,
    LESION_KINDS,
    f1_ahead,
    fact_counts,
    score_of,
    stated_facts,
)
from cathrt.export.models.report.evaluate.stated import stated_in
from cathrt.export.models.report.evaluate.texts import paired, read_texts
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.models.report.facts import Facts, Lesion
from cathrt.runtime.models.report.records import ReportDraft
from cathrt.runtime.models.report.section import LANGUAGES, Language
from cathrt.runtime.models.report.template import prose_from_facts

LAD_75 = Lesion("lad", "6", 75)
RCA_CTO = Lesion("rca", "2", 100, occluded=True, chronic=True)
LCX_50 = Lesion("lcx", "13", 50)
BOTH = Facts(("left", "right"), (LAD_75, RCA_CTO), "right")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "facts",
    [
        BOTH,
        Facts(("left",)),
        Facts(("right",), (RCA_CTO,), "right", 2),
        Facts(("left", "right"), (Lesion("left_main", "5", 50), LCX_50, LAD_75)),
        Facts(("left",), (Lesion("lad", "9", None),), "left"),
    ],
    ids=["two sides", "clear", "grafts", "three", "ungraded"],
)
def test_the_facts_of_a_text_are_those_that_it_was_written_from(language: Language, facts: Facts) -> None:
    stated = stated_in(prose_from_facts(language, facts), language)
    assert stated.unread == 0
    for kind in KINDS:
        assert stated_facts(stated.facts, kind) == stated_facts(facts, kind)


def test_what_cannot_be_understood_is_counted_and_no_fact() -> None:
    stated = stated_in("There is a 75% stenosis in the LAD. The patient should have surgery soon.", "en")
    assert (stated.facts.lesions, stated.unread) == ((Lesion("lad", None, 75),), 1)


def test_a_text_of_two_dominances_states_none() -> None:
    assert (
        stated_in("The circulation is right-dominant. The circulation is left-dominant.", "en").facts.dominance is None
    )


def test_counts_tell_what_is_right_from_what_is_stated_and_what_is_true() -> None:
    draft = Facts(("left", "right"), (LAD_75, LCX_50), "left")
    counts = dict(zip(KINDS, fact_counts(draft, BOTH).tolist(), strict=True))
    assert counts == {
        "side": [2, 2, 2],
        "artery": [1, 2, 2],
        "grade": [1, 2, 2],
        "cto": [0, 0, 1],
        "segment": [1, 2, 2],
        "dominance": [0, 1, 1],
        "grafts": [0, 0, 0],
    }


def test_another_grade_is_the_artery_right_and_the_grade_wrong() -> None:
    counts = dict(
        zip(KINDS, fact_counts(Facts(("left",), (Lesion("lad", "6", 90),)), Facts(("left",), (LAD_75,))), strict=True)
    )
    assert counts["artery"].tolist() == [1, 1, 1]
    assert counts["grade"].tolist() == [0, 1, 1]


def test_a_dominance_that_nobody_knows_is_neither_right_nor_wrong() -> None:
    counts = fact_counts(Facts(("left",), (), "left"), Facts(("left",)))
    assert counts[KINDS.index("dominance")].tolist() == [0, 0, 0]


def test_precision_and_recall_have_intervals_that_hold_them_and_shares_of_nothing_have_none() -> None:
    counts = np.stack([fact_counts(Facts(("left",), (LAD_75,)), BOTH), fact_counts(BOTH, BOTH)] * 10)
    score = score_of(counts, ["artery"])
    assert (score.right, score.stated, score.true) == (30, 30, 40)
    assert (score.precision, score.recall) == (1.0, 0.75)
    assert score.recall_95 is not None
    assert score.recall_95[0] < 0.75 < score.recall_95[1]
    assert score_of(counts, ["grafts"]).precision is None
    assert score_of(counts, ["grafts"]).precision_95 is None


def test_being_ahead_is_judged_on_the_same_reports() -> None:
    truth = [BOTH, Facts(("left",), (LAD_75,))] * 20
    good = np.stack([fact_counts(one, one) for one in truth])
    poor = np.stack([fact_counts(Facts(("left",), (LCX_50,)), one) for one in truth])
    ahead, (low, high) = f1_ahead(good, poor, LESION_KINDS)
    assert ahead == low == high == 1.0
    assert f1_ahead(poor, poor, LESION_KINDS) == (0.0, (0.0, 0.0))
    with pytest.raises(ValueError, match="the same reports"):
        f1_ahead(good, poor[:5], LESION_KINDS)


# Files


def written(path: Path, *lines: object) -> Path:
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    return path


def test_drafts_and_references_meet_by_study(tmp_path: Path) -> None:
    drafts = written(tmp_path / "d.jsonl", {"study": "a", "en": "x"}, {"study": "b", "en": "x"})
    references = written(tmp_path / "r.jsonl", {"study": "b", "ja": "y", "en": "z"}, {"study": "c", "en": "y"})
    pairs, alone = paired(read_texts(drafts), read_texts(references))
    assert ([pair.study for pair in pairs], alone) == (["b"], ["a", "c"])
    assert pairs[0].languages == ("en",)


def a_record(facts: Facts, withheld: str | None = None) -> dict[str, object]:
    """As `cathrt report --json` prints a draft."""
    texts = {"en": prose_from_facts("en", facts), "ja": prose_from_facts("ja", facts)}
    draft = ReportDraft(
        bundle="b", manifest_sha256="0", engine="e", text=None if withheld else texts["en"],
        text_ja=None if withheld else texts["ja"], struck=(), omitted=(), withheld=withheld, key_frames=(), facts=facts,
        facts_times=None, text_times=None, text_ja_times=None, findings_sha256="0", prompt_sha256=None,
    )  # fmt: skip
    return {"type": "draft", "study": "a", "draft": asdict(draft)}


def test_what_the_report_command_prints_is_read_as_drafts(tmp_path: Path) -> None:
    references = read_texts(written(tmp_path / "r.jsonl", {"study": "a", "en": prose_from_facts("en", BOTH)}))
    drafts = written(tmp_path / "d.jsonl", {"type": "verdict", "study": "a"}, a_record(BOTH), {"type": "run"})
    found = evaluated(paired(read_texts(drafts), references)[0], None)
    assert (found.scores["grade"].right, found.scores["grade"].true, found.withheld) == (2, 2, 0)
    held_back = read_texts(written(tmp_path / "w.jsonl", a_record(BOTH, withheld="nothing is left")))
    found = evaluated(paired(held_back, references)[0], None)
    assert (found.scores["grade"].stated, found.scores["grade"].true, found.withheld) == (0, 2, 1)
    with pytest.raises(ConfigError, match="is a withheld draft"):
        paired(references, held_back)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([{"type": "draft", "study": "a"}], "no draft as `cathrt report --json` prints it"),
        ([{"study": "a"}], '"en", "ja" or both'),
        ([{"study": "a", "en": "x"}, {"study": "a", "en": "y"}], "stands there twice"),
        ([{"study": "a", "en": "x", "text": "y"}], "line 1: text: unknown key"),
        ([{"study": 1, "en": "x"}], "line 1: study"),
        ([], "no report"),
    ],
    ids=["no draft", "no text", "twice", "unknown key", "no name", "empty"],
)
def test_a_file_that_does_not_fit_is_refused_with_its_line(tmp_path: Path, lines: list[object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_texts(written(tmp_path / "x.jsonl", *lines))


def test_files_that_share_no_study_are_refused(tmp_path: Path) -> None:
    one, other = (read_texts(written(tmp_path / name, {"study": name, "en": "x"})) for name in ("a", "b"))
    with pytest.raises(ConfigError, match="no study has a draft and a reference"):
        paired(one, other)


def test_stated_facts_of_a_file_come_before_its_text_and_wrong_ones_are_refused(tmp_path: Path) -> None:
    facts = {"sides": ["left"], "lesions": [], "dominance": None, "grafts": None}
    text = prose_from_facts("en", Facts(("left",), (LAD_75,)))
    references = written(tmp_path / "r.jsonl", {"study": "a", "en": text})
    drafts = written(tmp_path / "d.jsonl", {"study": "a", "en": text, "facts": facts})
    found = evaluated(paired(read_texts(drafts), read_texts(references))[0], None)
    assert (found.scores["artery"].stated, found.scores["artery"].true) == (0, 1)
    wrong = written(tmp_path / "w.jsonl", {"study": "a", "en": text, "facts": {"sides": ["up"]}})
    with pytest.raises(ConfigError, match="study a"):
        evaluated(paired(read_texts(wrong), read_texts(references))[0], None)
