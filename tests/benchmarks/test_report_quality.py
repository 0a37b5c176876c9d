"""The report engine's quality benchmark: what is counted, the simple answers beside it, what a check must not miss."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.judged_runs import LineRecipe
from benchmarks.report_counts import (
    MARGIN,
    SIMPLE,
    answers_by,
    beats_simple_answers,
    commonest_of,
    figures_of,
    languages_agree,
    shown_text,
    sides_called_clear,
    wrong_as_shown,
)
from benchmarks.report_quality import rows
from benchmarks.report_studies import (
    DraftedStudy,
    Listening,
    StudyCase,
    cases_of,
    drafted,
    facts_of_scene,
    facts_to_learn,
    merged,
)
from benchmarks.status import rows_of
from cathrt.runtime.bundle.shipped import demonstration_bundle, shipped_keys
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.models.report.draft import Drafting
from cathrt.runtime.models.report.facts import Facts, Findings, Lesion
from cathrt.runtime.models.report.findings import findings_sha256
from cathrt.runtime.models.report.policy import ReportPolicy
from cathrt.runtime.models.report.prompt_parts import Answer, Asked, Prompt
from cathrt.runtime.models.report.records import ReportDraft
from cathrt.runtime.models.report.schema import json_from_facts
from cathrt.runtime.models.report.section import Language, ReportPrompts, ReportSection, ReportTokens
from cathrt.runtime.models.report.template import prose_from_facts
from cathrt.runtime.models.report.writer import ReportWriter
from tests.export.models.report.tiny_gemma import tiny_vlm
from tests.models.report.tiny_bundle import TINY, tiny_report_bundle

LAD_75 = Lesion("lad", "6", 75)
LCX_90 = Lesion("lcx", "13", 90)
RCA_CTO = Lesion("rca", "2", 100, occluded=True, chronic=True)
BOTH = Facts(("left", "right"), (LAD_75, RCA_CTO), "right")
SECTION = ReportSection(
    tokenizer="tokenizer.json",
    tokens=ReportTokens(2, (1,), 5, 6, 7, (1, 2, 5, 6, 7)),
    picture=None,
    prompts=ReportPrompts("", "{findings}{pictures}", {"en": "{facts}", "ja": "{facts}"}),
    layers=1, kv_heads=1, head_dim=8, window=8, context=64, pictures=0, most_tokens=32,
)  # fmt: skip


class Scripted:
    """A model that answers what stands in its script, in turn."""

    def __init__(self, *answers: str) -> None:
        self._answers = iter(answers)

    @property
    def section(self) -> ReportSection:
        return SECTION

    def answer(self, prompt: Prompt, asked: Asked, stop: Event) -> Generator[str, None, Answer]:  # noqa: ARG002
        text = next(self._answers)
        yield text
        return answer_of(text)


def answer_of(text: str) -> Answer:
    return Answer(text, (1,), "end", prompt_tokens=1, reused_tokens=0, prefill_ns=1, decode_ns=1, paused_ns=0)


def study(
    facts: Facts,
    truth: Facts = BOTH,
    number: int = 0,
    written: dict[Language, str] | None = None,
    known: Facts | None = None,
) -> DraftedStudy:
    """A draft of these facts as the runtime's own code makes it. written: the model's prose; the template's if None."""
    written = written or {"en": prose_from_facts("en", facts), "ja": prose_from_facts("ja", facts)}
    findings = Findings(2, (), known or Facts(facts.sides))
    model = Scripted(json_from_facts(facts), *written.values())
    made = Drafting(findings, {}, ReportPolicy()).go_on(model, Event(), lambda: None)
    assert made is not None
    draft = ReportDraft(
        bundle="b", manifest_sha256="0", engine="e", text=made.text.get("en"), text_ja=made.text.get("ja"),
        struck=made.struck, omitted=made.omitted, withheld=made.withheld, key_frames=(), facts=made.facts,
        facts_times=None, text_times=None, text_ja_times=None, findings_sha256=findings_sha256(findings),
        prompt_sha256=made.prompt_sha256,
    )  # fmt: skip
    return DraftedStudy(StudyCase(number, facts.sides), truth, truth, findings, written, draft)


# Facts beside simple answers


def test_a_draft_of_the_truth_is_right_and_ahead_of_every_simple_answer() -> None:
    truths = [
        BOTH,
        Facts(("left", "right"), (LCX_90,)),
        Facts(("left", "right"), (Lesion("rca", "1", 50),), "right"),
    ] * 6
    found = figures_of([study(facts, facts, n) for n, facts in enumerate(truths)], commonest_of(truths))
    for key in ("artery_precision", "artery_recall", "grade_recall", "cto_recall", "side_precision", "lesion_f1_model"):
        assert found.headline[key] == 1.0
    assert 0.0 < found.headline["lesion_f1_commonest"] < 0.8
    assert found.headline["lesion_f1_template"] == 0.0
    assert found.headline["lesion_f1_dealt"] < 0.6
    assert beats_simple_answers(found)
    assert min(found.intervals[f"lesion_f1_ahead_of_{who}"][0] for who in SIMPLE) >= MARGIN


def test_a_draft_that_says_the_commonest_is_not_ahead_of_it() -> None:
    truths = [BOTH, Facts(("left", "right"), (LCX_90,))] * 3
    commonest = commonest_of(truths)
    found = figures_of([study(commonest.answer(BOTH.sides), one, n) for n, one in enumerate(truths)], commonest)
    assert found.headline["lesion_f1_ahead_of_commonest"] == 0.0
    assert not beats_simple_answers(found)


def test_the_commonest_answer_is_the_best_one_that_looks_at_nothing() -> None:
    often = Facts(("left",), (LAD_75,))
    learnt = [often] * 5 + [Facts(("left",), (LAD_75, LCX_90))] * 3 + [Facts(("left",))] * 2
    assert [one.artery for one in commonest_of(learnt).answer(("left",)).lesions] == ["lad"]
    assert commonest_of(learnt).answer(("right",)) == Facts(("right",))


def test_dealt_answers_go_to_other_studies_of_the_same_sides_and_none_is_lost() -> None:
    every = [
        study(Facts(("left",), (Lesion("lad", None, percent),)), number=n) for n, percent in enumerate((25, 50, 75))
    ]
    every += [study(Facts(("right",), (Lesion("rca", None, percent),)), number=9 + percent) for percent in (90, 99)]
    answers = answers_by(every, commonest_of([BOTH]))
    model, dealt = answers["model"], answers["dealt"]
    assert all(one != other for one, other in zip(model, dealt, strict=True))
    assert sorted(map(repr, model)) == sorted(map(repr, dealt))
    assert [facts.sides for facts in model] == [facts.sides for facts in dealt]


def test_a_withheld_draft_states_nothing_and_costs_recall_alone() -> None:
    held_back = study(BOTH, written={"en": "", "ja": ""})
    assert held_back.draft.withheld is not None
    found = figures_of([study(BOTH), held_back], commonest_of([BOTH]))
    assert (found.headline["artery_precision"], found.headline["artery_recall"]) == (1.0, 0.5)
    assert found.headline["withheld"] == 0.5
    (row,) = [row for row in found.rows if row["case"] == "withheld"]
    assert row["n"] == 1


def test_a_side_with_a_narrowing_that_the_draft_leaves_out_is_counted() -> None:
    assert sides_called_clear(Facts(("left", "right"), (LAD_75,)), BOTH) == [False, True]
    assert sides_called_clear(Facts(("left",)), Facts(("left",))) == []


# Contradictions


WRONG: dict[Language, tuple[str, ...]] = {
    "en": (
        "There is a 90% stenosis in segment 6.",
        "There is a 75% stenosis in the LCx.",
        "No significant stenosis was seen in the left coronary artery.",
        "The RCA is patent.",
        "The coronary circulation is left-dominant.",
        "There is a chronic total occlusion of the LAD.",
        "The right coronary artery was not shown.",
        "3 bypass grafts were seen.",
        "There are five stenoses.",
        "PCI of the LAD is recommended.",
        "This is certainly three-vessel disease.",
        "The patient is 63 years old.",
    ),
    "ja": (
        "#6に90%狭窄を認める。",
        "左回旋枝に75%狭窄を認める。",
        "左冠動脈に有意狭窄を認めない。",
        "冠動脈は左優位である。",
        "左前下行枝に慢性完全閉塞を認める。",
        "右冠動脈は造影されていない。",
        "バイパスグラフトを3本認める。",
        "PCIを推奨する。",
    ),
}


def adversaries() -> list[DraftedStudy]:
    """Every wrong sentence before, within or behind prose that is right otherwise."""
    right: dict[Language, str] = {language: prose_from_facts(language, BOTH) for language in WRONG}
    made = []
    for language, sentences in WRONG.items():
        stop, space = (".", " ") if language == "en" else ("。", "")
        head, tail = right[language].split(stop, 1)
        for wrong in sentences:
            parts = [f"{head}{stop}", tail.strip()]
            parts.insert(len(made) % 3, wrong)
            made.append(study(BOTH, number=len(made), written={**right, language: space.join(parts)}))
    return made


def test_after_the_check_nothing_is_left_of_whatever_a_model_writes_against_its_facts() -> None:
    every = adversaries()
    assert len(every) == 20
    shown = [one for one in every if shown_text(one) is not None]
    assert len(shown) > 15, "a draft is not withheld for a sentence that can be struck"
    assert all(one.draft.struck or one.draft.withheld for one in every)
    for one in shown:
        text = shown_text(one)
        assert text is not None
        for language, sentences in WRONG.items():
            assert not [wrong for wrong in sentences if wrong in text[language]], text
        assert wrong_as_shown(one) == Counter()
    found = figures_of(every, commonest_of([BOTH]))
    assert found.headline["contradictions_before"] > 0.4
    assert found.headline["contradictions_after"] == found.headline["unsupported_after"] == 0.0
    assert found.headline["languages_agree"] == 1.0
    assert found.headline["struck"] > 0.5


def test_languages_that_say_different_things_do_not_agree() -> None:
    english, japanese = prose_from_facts("en", BOTH), prose_from_facts("ja", BOTH)
    assert languages_agree({"en": english, "ja": japanese})
    assert not languages_agree({"en": english, "ja": prose_from_facts("ja", Facts(BOTH.sides, (LAD_75,), "right"))})


# Studies


def test_half_of_the_studies_show_both_arteries_and_no_seed_is_drawn_twice() -> None:
    cases = cases_of(8)
    assert [len(case.sides) for case in cases] == [2, 1] * 4
    assert {case.sides for case in cases} == {("left", "right"), ("left",), ("right",)}
    seeds = [scene.seed for case in cases for scene in case.scenes(64)]
    assert len(set(seeds)) == len(seeds)
    assert min(seeds) >= 92_000_000


def test_facts_to_learn_are_of_other_scenes_and_a_scene_has_what_its_frames_show() -> None:
    learnt = list(facts_to_learn(2, 64))
    assert [facts.sides for facts in learnt] == [("left", "right"), ("left",)]
    (scene,) = StudyCase(3, ("right",)).scenes(64)
    whole = facts_of_scene(scene)
    assert whole.sides == ("right",)
    assert merged([Facts(("left",), (LAD_75,), None), Facts(("right",), (RCA_CTO,), "right")]) == BOTH


class Templated:
    """A model that sees nothing: it names no narrowing, in the words of the template."""

    def __init__(self, section: ReportSection) -> None:
        self.section = section
        self.seen: list[tuple[int, ...]] = []
        self._facts = Facts(())
        self._languages: list[Language] = []

    def embed(self, grey: NDArray[np.float32]) -> NDArray[np.float32]:
        self.seen.append(grey.shape)
        return np.zeros((1, 4), np.float32)

    def answer(self, prompt: Prompt, asked: Asked, stop: Event) -> Generator[str, None, Answer]:  # noqa: ARG002
        if asked.schema is not None:
            properties: dict[str, Any] = asked.schema["properties"]
            self._facts = Facts(tuple(properties["sides"]["const"]))
            self._languages = ["ja", "en"]
            text = json_from_facts(self._facts)
        else:
            text = prose_from_facts(self._languages.pop(), self._facts)
        yield text
        return answer_of(text)


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sequence[DraftedStudy], Templated]:
    """One study of each artery through line, writer and check, with a model that sees nothing."""
    bundle = tiny_report_bundle(tmp_path_factory.mktemp("report"), tiny_vlm(TINY))
    section = bundle.manifest.model
    assert isinstance(section, ReportSection)
    model = Templated(section)
    heard = Listening(model, model.embed)
    writer = ReportWriter(bundle, EngineConfig(), None, lambda told: heard)
    with bundle, LineRecipe(demonstration_bundle(), shipped_keys(), "openvino").opened() as line:
        return [
            drafted(StudyCase(n, (side,)), 128, line, writer, heard) for n, side in ((0, "left"), (1, "right"))
        ], model


def test_a_study_goes_through_line_writer_and_check(studies: tuple[Sequence[DraftedStudy], Templated]) -> None:
    made, model = studies
    shown = [one for one in made if one.draft.withheld is None]
    assert shown, [one.draft.withheld for one in made]
    assert len(model.seen) == sum(len(one.draft.key_frames) for one in made)
    assert set(model.seen) <= {(128, 128)}
    for one in shown:
        assert one.written == {"en": one.draft.text, "ja": one.draft.text_ja}
        assert one.findings.known.sides == one.case.sides == one.truth.sides
        assert set(one.truth.lesions) <= set(one.of_scenes.lesions)


def test_a_model_that_sees_nothing_scores_nothing(studies: tuple[Sequence[DraftedStudy], Templated]) -> None:
    found = figures_of(studies[0], commonest_of([BOTH]))
    assert found.headline.get("artery_recall", 0.0) == 0.0
    assert found.headline["contradictions_before"] == found.headline["contradictions_after"] == 0.0
    assert not beats_simple_answers(found)


def test_a_network_that_was_never_trained_gives_every_row_and_beats_nothing(tmp_path: Path) -> None:
    with tiny_report_bundle(tmp_path, tiny_vlm(TINY)) as bundle:
        *found, last = rows(bundle, EngineConfig("onnxruntime"), 1, 1, 96)
    assert {row["impl"] for row in found if row["case"] == "facts"} == {"model", *SIMPLE}
    assert last["bench"] == "report_quality"
    assert last["headline"].keys() >= {"withheld", *(f"lesion_f1_ahead_of_{who}" for who in SIMPLE)}
    assert last["headline"].get("contradictions_after", 0.0) == 0.0
    assert (last["studies"], last["margin"], last["beats_simple_answers"]) == (1, MARGIN, False)
    assert last["intervals_95"].keys() <= last["headline"].keys()


def test_the_committed_figures_are_of_a_model_that_beats_simple_answers_and_contradicts_nothing() -> None:
    headlines = [row for row in rows_of("report_quality") if "headline" in row]
    if not headlines:
        pytest.skip("no rows of report_quality are committed: python -m benchmarks.report_quality --json")
    for row in headlines:
        assert row["beats_simple_answers"] is True
        assert min(row["intervals_95"][f"lesion_f1_ahead_of_{who}"][0] for who in SIMPLE) >= MARGIN
        assert row["headline"]["contradictions_after"] == row["headline"]["unsupported_after"] == 0.0
