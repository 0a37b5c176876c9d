"""A draft: facts by grammar, prose from them, what the check leaves, and what is withheld and why."""

from __future__ import annotations

import re
import threading
from dataclasses import replace

import numpy as np
import pytest

from cathrt.runtime.alert import Draft
from cathrt.runtime.errors import EngineError, SourceError
from cathrt.runtime.frame import Frame, VoiWindow
from cathrt.runtime.model_kind import FrameOfRun, StudyRun
from cathrt.runtime.models.report.facts import Facts, Lesion
from cathrt.runtime.models.report.policy import ReportPolicy
from cathrt.runtime.models.report.prompt_parts import Ended, Markup
from cathrt.runtime.models.report.records import ReportDraft
from cathrt.runtime.models.report.writer import ReportWriter, shown_grey
from tests.lines import ArraySource
from tests.models.report.scripted_model import (
    ANSWERS,
    ENGLISH,
    FACTS,
    JAPANESE,
    LEFT,
    NEITHER,
    RIGHT,
    SECTION,
    ScriptedModel,
    scripted_writer,
    text_of,
)

SOURCE = ArraySource([np.arange(64, dtype=np.uint8).reshape(8, 8)])
(FRAME,) = SOURCE.frames()
assert isinstance(FRAME, Frame)


def see_all(writer: ReportWriter, runs: list[StudyRun]) -> None:
    for which in writer.lacks(runs):
        writer.see(which, SOURCE.run, FRAME)


def drafted(model: ScriptedModel, runs: list[StudyRun], policy: ReportPolicy | None = None) -> ReportDraft:
    writer = scripted_writer(model, policy)
    see_all(writer, runs)
    draft = writer.write("study", runs, threading.Event())
    assert isinstance(draft, ReportDraft)
    return draft


def test_a_draft_has_both_languages_from_one_set_of_facts() -> None:
    draft = drafted(model := ScriptedModel(), [NEITHER, LEFT])
    assert draft.facts == Facts(("left",), (Lesion("lad", "6", 75),))
    assert (draft.text, draft.text_ja, draft.withheld) == (ENGLISH, JAPANESE, None)
    assert (draft.struck, draft.omitted) == ((), ())
    assert [name for name, _, _ in model.asked] == ["facts", "en", "ja"]
    assert all(FACTS in text_of(prompt) for name, prompt, _ in model.asked if name != "facts")
    assert [(one.run_id, one.frame_index) for one in draft.key_frames] == [("run-left", 7)]
    assert draft.in_words[0].startswith("The left coronary artery was shown.")
    for times in (draft.facts_times, draft.text_times, draft.text_ja_times):
        assert times is not None
        assert (times.prompt_tokens, times.reused_tokens, times.prefill_ms, times.decode_ms) == (40, 12, 2.0, 3.0)


def test_the_facts_are_bound_by_a_schema_in_which_what_is_confirmed_stands() -> None:
    drafted(model := ScriptedModel(), [LEFT])
    (_, _, asked), *prose = model.asked
    assert asked.schema is not None
    assert asked.schema["properties"]["sides"] == {"const": ["left"]}
    assert [one.schema for _, _, one in prose] == [None, None]


def test_the_best_picture_of_each_side_is_shown_in_the_place_of_its_mark() -> None:
    runs = [LEFT, RIGHT, replace(LEFT, run_id="run-worse", scores=(0.5, 0.4))]
    writer = scripted_writer(model := ScriptedModel())
    assert writer.lacks(runs) == [FrameOfRun("run-left", 7), FrameOfRun("run-right", 4)]
    see_all(writer, runs)
    assert writer.lacks(runs) == []
    writer.write("study", runs, threading.Event())
    _, prompt, _ = model.asked[0]
    shown = [part for part in prompt.parts if isinstance(part, np.ndarray)]
    assert [float(part[0, 0]) for part in shown] == [1.0, 2.0]
    assert prompt.parts[0] == Markup(SECTION.prompts.system)  # the same in every draft, so that it is computed once


def test_the_policy_says_how_answers_are_chosen_and_how_long_they_may_take() -> None:
    drafted(model := ScriptedModel(), [LEFT], ReportPolicy(most_s=7.0, temperature=0.5, top_p=0.9, seed=3))
    for _, _, asked in model.asked:
        assert (asked.most_s, asked.temperature, asked.top_p, asked.seed) == (7.0, 0.5, 0.9, 3)
        assert asked.most_tokens == SECTION.most_tokens


def test_a_contradiction_is_struck_and_the_rest_stands() -> None:
    wrong = "There is a 90% stenosis in the RCA."
    draft = drafted(ScriptedModel({**ANSWERS, "en": f"{ENGLISH} {wrong}"}), [LEFT])
    assert draft.text == ENGLISH
    assert [(one.language, one.sentence) for one in draft.struck] == [("en", wrong)]
    assert draft.withheld is None


@pytest.mark.parametrize(
    ("answers", "ends", "match"),
    [
        (
            {"facts": FACTS[:-20]},
            {"facts": "length"},
            "the facts were not finished within the .* tokens that the bundl",
        ),
        ({}, {"facts": "time"}, "the facts were not finished within the 600 s of policy.report.most_s"),
        ({"facts": "no JSON"}, {}, "expected JSON"),
        ({"facts": FACTS.replace('"left"', '"right"')}, {}, "the facts contradict each other: .*was not shown"),
        ({}, {"en": "length"}, r"the text \(en\) was not finished"),
        ({}, {"ja": "time"}, r"the text \(ja\) was not finished"),
        ({"ja": "左冠動脈が造影されている。"}, {}, "facts are not stated in ja"),
        ({"en": "Aspirin should be given."}, {}, "nothing is left of the text: en"),
    ],
)
def test_what_may_not_be_shown_is_withheld_with_its_reason(
    answers: dict[str, str], ends: dict[str, Ended], match: str
) -> None:
    draft = drafted(ScriptedModel({**ANSWERS, **answers}, ends), [LEFT])
    assert (draft.text, draft.text_ja) == (None, None)
    assert draft.withheld is not None
    assert re.search(match, draft.withheld), draft.withheld


def test_facts_other_than_those_confirmed_are_withheld() -> None:
    draft = drafted(ScriptedModel(), [LEFT, RIGHT])  # the script states the left side alone
    assert draft.withheld is not None
    assert "contradict confirmed findings: sides" in draft.withheld


@pytest.mark.parametrize("runs", [[], [NEITHER]])
def test_a_study_without_a_known_side_gets_no_token(runs: list[StudyRun]) -> None:
    draft = drafted(model := ScriptedModel(), runs)
    assert draft.withheld == "no run shows a coronary artery whose side is known"
    assert model.asked == []
    assert draft.facts is None


def test_a_side_without_any_readable_key_frame_gets_no_token() -> None:
    draft = drafted(model := ScriptedModel(), [replace(LEFT, key_frames=(), scores=())])
    assert draft.withheld == "no key frame could be read again"
    assert model.asked == []


@pytest.mark.parametrize("where", [("facts", 2), ("en", 1), ("ja", 0)])
def test_a_draft_that_is_left_goes_on_with_what_was_not_finished(where: tuple[str, int]) -> None:
    stop = threading.Event()
    model = ScriptedModel(at_piece=lambda name, number: stop.set() if (name, number) == where else None)
    writer = scripted_writer(model)
    see_all(writer, [LEFT])
    assert writer.write("study", [LEFT], stop) is None
    model.at_piece = lambda name, number: None
    draft = writer.write("study", [LEFT], threading.Event())
    assert isinstance(draft, Draft)
    assert (draft.text, draft.text_ja) == (ENGLISH, JAPANESE)
    twice = [name for name in ("facts", "en", "ja") for _ in range(1 + (name == where[0]))]
    assert [name for name, _, _ in model.asked] == twice


def test_what_was_begun_for_another_study_is_not_taken_for_this_one() -> None:
    stop = threading.Event()
    model = ScriptedModel(at_piece=lambda name, number: stop.set() if name == "ja" else None)
    writer = scripted_writer(model)
    see_all(writer, [LEFT])
    assert writer.write("study", [LEFT], stop) is None
    model.at_piece = lambda name, number: None
    assert writer.write("another", [LEFT], threading.Event()) is not None
    assert [name for name, _, _ in model.asked][3:] == ["facts", "en", "ja"]


def test_told_comes_with_every_piece() -> None:
    told: list[int] = []
    writer = scripted_writer(ScriptedModel())
    see_all(writer, [LEFT])
    writer.write("study", [LEFT], threading.Event(), lambda: told.append(1))
    assert len(told) == sum(-(-len(text) // 8) for text in ANSWERS.values())


def test_pictures_outlive_a_failure_of_the_networks_which_are_loaded_anew() -> None:
    def fail(name: str, number: int) -> None:
        raise EngineError("the device is gone")

    model = ScriptedModel(at_piece=fail)
    writer = scripted_writer(model)
    see_all(writer, [LEFT])
    with pytest.raises(EngineError):
        writer.write("study", [LEFT], threading.Event())
    writer.close()
    writer.close()
    assert model.closed == 1
    model.at_piece = lambda name, number: None
    assert writer.lacks([LEFT]) == []
    assert writer.write("study", [LEFT], threading.Event()) is not None
    assert len(model.pictures) == 1


def test_the_hash_of_the_prompts_is_that_of_what_they_say_and_show() -> None:
    hashes = {
        drafted(ScriptedModel(), runs).prompt_sha256
        for runs in ([LEFT], [replace(LEFT, key_frames=(8, 2))], [replace(LEFT, run_id="another")], [LEFT, NEITHER])
    }
    assert len(hashes) == 4
    assert drafted(ScriptedModel(), [LEFT]).prompt_sha256 == drafted(ScriptedModel(), [LEFT]).prompt_sha256


def test_a_picture_is_windowed_by_percentiles_at_its_own_size() -> None:
    assert SECTION.picture is not None
    grey = shown_grey(SOURCE.run, FRAME, SECTION.picture)
    assert (grey.shape, grey.dtype) == ((8, 8), np.float32)
    assert (grey.min(), grey.max()) == (0.0, 1.0)
    assert (np.diff(grey.ravel()) >= 0.0).all()
    voi = replace(SOURCE.run.grayscale, voi=VoiWindow(1000.0, 1.0))
    assert np.array_equal(shown_grey(replace(SOURCE.run, grayscale=voi), FRAME, SECTION.picture), grey)


def test_a_frame_under_the_shutter_is_no_picture() -> None:
    assert SECTION.picture is not None
    covered = replace(SOURCE.run.grayscale, exposed=np.zeros((8, 2), np.int32))
    with pytest.raises(SourceError, match="the shutter covers all of it"):
        shown_grey(replace(SOURCE.run, grayscale=covered), FRAME, SECTION.picture)
