"""The summary page: what it says, that it fetches and runs nothing else, and that text from outside stays text."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace

import pytest

from cathrt.runtime.alert import (
    NO_BETTER_NOTICE,
    NOTICE,
    Outcome,
    Refusal,
)
from tests.sinks.judged import (
    KEYFRAME_RESULT,
    SHARPNESS_RESULT,
    judged_by_two,
    judged_run,
    page_of,
    read,
    verdict,
)


def test_the_page_tells_side_books_key_frames_and_the_notice() -> None:
    page = page_of(judged_run())
    reader = read(page)
    for expected in (
        NOTICE,
        "left coronary",
        "左冠動脈",
        "RAO 30° CRA 25°",
        "left coronary, score 0.93; key frames, best first: 3 (0.80)",
        "左冠動脈、スコア 0.93、キーフレーム 3 (0.80)",
        "1. frame 3 · 0.20 s · score 0.80",
        "b on fake",
        "DROPPED",
        "frame_rate_default",
    ):
        assert expected in reader.text
    assert [image["alt"] for image in reader.of("img")] == ["frame 3", "the run"]
    assert reader.tags.count("polyline") == 2, "the dropped frame must leave a gap in the curve"
    assert reader.tags.count("circle") == 1


def test_the_page_tells_what_each_model_says_of_the_run_and_shows_the_frames_of_each() -> None:
    run = judged_by_two()
    reader = read(page_of(run))
    for result in (KEYFRAME_RESULT, SHARPNESS_RESULT):
        for expected in (result.text, result.text_ja, f"{result.bundle} on {result.engine}"):
            assert expected in reader.text
    assert reader.text.index(KEYFRAME_RESULT.text) < reader.text.index(SHARPNESS_RESULT.text)
    assert [image["alt"] for image in reader.of("img")] == ["frame 3", "frame 1", "frame 4", "the run"]
    captions = (
        "1. frame 3 · 0.20 s · score 0.80",
        "1. frame 1 · 0.07 s · score 0.70",
        "2. frame 4 · 0.27 s · score 0.60",
    )
    assert all(caption in reader.text for caption in captions)


def test_a_frame_that_two_models_mark_is_shown_with_the_score_of_each() -> None:
    both = replace(SHARPNESS_RESULT, marked_frames=(3,), marked_scores=(0.55,))
    reader = read(page_of(judged_by_two(both)))
    assert "frame 3 · 0.20 s · score 0.80" in reader.text
    assert "frame 3 · 0.20 s · score 0.55" in reader.text


def test_a_run_that_amounts_to_nothing_says_so() -> None:
    run = judged_run()
    reader = read(page_of(replace(run, summary=replace(run.summary, results=()))))
    assert "no frame to look at" in reader.text
    assert [image["alt"] for image in reader.of("img")] == ["the run"]


@pytest.mark.parametrize(
    ("marked", "text", "text_ja"),
    [
        ((), "outside the domain: test bars; no side, no key frame", "対象外の画像：テストパターン"),
        ((3,), "left coronary, score 0.93; key frames, best first: 3 (0.31); best available, poor", "判読性は低い"),
    ],
)
def test_the_page_says_in_both_languages_why_a_run_has_no_or_only_a_poor_key_frame(
    marked: tuple[int, ...], text: str, text_ja: str
) -> None:
    run = judged_run()
    made = replace(
        KEYFRAME_RESULT, marked_frames=marked, marked_scores=(0.31,) * len(marked), text=text, text_ja=text_ja
    )
    reader = read(page_of(replace(run, summary=replace(run.summary, results=(made,)))))
    assert text in reader.text
    assert text_ja in reader.text
    assert reader.tags.count("img") == len(marked) + 1
    assert ("no frame to look at" in reader.text) is not bool(marked)


def test_the_page_fetches_nothing_and_a_browser_runs_nothing_but_its_one_script() -> None:
    page = page_of(judged_run(), judged_run())
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!data:|#)""", page)
    assert not re.search(r"""url\((?!"data:)""", page)
    assert "://" not in page
    policy = next(meta["content"] or "" for meta in read(page).of("meta") if meta.get("http-equiv"))
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    for tag in ("style", "script"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules.pop(f"{tag}-src") == f"'sha256-{digest}'"
    assert rules == {
        "default-src": "'none'", "img-src": "data:", "font-src": "data:", "base-uri": "'none'", "form-action": "'none'",
    }  # fmt: skip


def test_nothing_on_the_page_needs_what_its_policy_forbids() -> None:
    for attributes in read(page_of(judged_run())).attributes:
        assert not [name for name in attributes if name == "style" or name.startswith("on")]


def test_everything_that_can_be_used_can_be_reached_by_key_and_has_a_name() -> None:
    reader = read(page_of(judged_run()))
    for control in reader.of("button"):
        assert control.keys() <= {"class", "aria-label"}
    assert [button.get("aria-label") for button in reader.of("button")] == ["enlarge frame 3", None]
    assert [slider["aria-label"] for slider in reader.of("input")] == ["frame of the run"]
    assert all(image["alt"] for image in reader.of("img"))


def test_the_page_says_when_by_what_and_from_which_seed_it_was_made() -> None:
    page = page_of(judged_run())
    assert "made 2026-03-04 05:06 UTC · cathrt 1.2.3 · seed 7" in page
    assert "seed" not in read(page_of(judged_run(), seed=None)).text


def test_the_notice_stands_once_on_the_page_and_is_that_of_the_records() -> None:
    for notice in (NOTICE, NO_BETTER_NOTICE):
        page = page_of(judged_run(), judged_run(), notice=notice)
        assert page.count(notice) == 1
        assert page.count(NOTICE) == 1


def test_the_page_says_what_each_outcome_means_and_from_when_on_a_frame_is_late() -> None:
    text = read(page_of(judged_run())).text
    assert "METthe frame was judged within 100 ms." in text.replace("\n", "")
    for outcome in Outcome:
        assert outcome in text
    assert "(no deadline here)" in read(page_of(judged_run(), budget_ms=None)).text


def test_the_means_of_the_stages_add_up_to_that_of_end_to_end() -> None:
    page = page_of(judged_run())
    rows = dict(re.findall(r"<tr[^>]*><td>([^<]+)</td><td>([\d.]+)</td>", page))
    parts = [float(rows[name]) for name in ("preprocessing", "inference", "meaning of the outputs", "queue and rest")]
    assert parts == [1.0, 8.0, 0.5, 2.5]
    assert sum(parts) == float(rows["end to end"]) == 12.0, "10, 11, 13 and 14 ms: frame 2 was not judged"
    assert float(rows["before it: wait for the frame"]) == 50.0


def test_a_run_of_which_no_frame_was_judged_has_no_times() -> None:
    run = judged_run()
    page = page_of(replace(run, verdicts=[verdict(index) for index in range(5)], alerts=[]))
    assert "end to end</td>" not in page


def test_refused_inputs_are_listed_with_their_reason() -> None:
    refused = Refusal("x", "broken<1>.dcm", "SourceError", "no <b>DICOM</b>")
    reader = read(page_of(judged_run(), refusals=[refused]))
    assert "broken<1>.dcm: no <b>DICOM</b>" in reader.text
    assert reader.tags.count("b") == 1


def test_a_hostile_file_name_stays_text() -> None:
    page = page_of(judged_run('<img src=x onerror=alert(1)>"&'))
    reader = read(page)
    assert reader.tags.count("img") == 2
    assert "<img src=x onerror=alert(1)>" in reader.text


def test_hostile_words_of_a_model_stay_text() -> None:
    hostile = '<img src=x onerror=alert(1)>"&\u202e'
    run = judged_run()
    result = replace(KEYFRAME_RESULT, text=hostile, text_ja=hostile, bundle=hostile, engine=hostile)
    page = page_of(replace(run, summary=replace(run.summary, results=(result,))))
    reader = read(page)
    assert reader.tags.count("img") == 2
    assert reader.text.count("<img src=x onerror=alert(1)>") == 4
    assert "\u202e" not in page


def test_characters_that_turn_or_hide_text_are_written_out_on_the_page() -> None:
    page = page_of(judged_run("run \u202e\x1b\x9b\u200b.dcm"), title="t\u202e", subtitle="s\u2066")
    assert not {"\u202e", "\u2066", "\x1b", "\x9b", "\u200b"} & set(page)
    assert "run \\u202e\\x1b\\x9b\\u200b.dcm" in page


def test_a_page_without_runs_says_so() -> None:
    assert "No run was judged" in page_of()
