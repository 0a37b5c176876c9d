"""Contact sheet and summary page: what they show, and that nothing from outside is taken for markup."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from cathrt.runtime.alert import (
    NOTICE,
    Alert,
    Finding,
    News,
    Outcome,
    Percentiles,
    RunResult,
    RunSummary,
    StageTimes,
    Verdict,
)
from cathrt.runtime.models.keyframe.records import KeyframeFinding, KeyFrameNews, KeyframeResult
from cathrt.runtime.sinks.contact_sheet import TILE, Tile, contact_sheet, display_grey
from cathrt.runtime.sinks.summary_page import JudgedRun, summary_page


def keyframe(score: float) -> KeyframeFinding:
    return KeyframeFinding("left", 0.9, (score, 1.0 - score), engine="fake", score=score)


def sharpness(score: float) -> Finding:
    """What a second model says of a frame."""
    return Finding(kind="sharpness", engine="fake", score=score)


def verdict(index: int, *findings: Finding, outcome: Outcome | None = None) -> Verdict:
    outcome = outcome or (Outcome.MET if findings else Outcome.DROPPED)
    return Verdict(f"v{index}", "p", "r", index, outcome, None, findings, StageTimes(*[0.0] * 5), retry=False)


def alert(news: News, index: int = 3) -> Alert:
    return Alert("a", "p", "r", index, index + 1, f"v{index}", late=False, live_until=None, engine="fake", news=news)


LATE = (True, False, None)
KEY_FRAME_NEWS = KeyFrameNews(
    "left", score=0.8, text="key frame, left coronary, score 0.80", text_ja="キーフレーム、左冠動脈、スコア 0.80"
)
KEYFRAME_RESULT = KeyframeResult(
    "left", 0.93, False, bundle="b", manifest_sha256="0" * 64, engine="fake", marked_frames=(3,), marked_scores=(0.8,),
    text="left coronary, score 0.93; key frames, best first: 3 (0.80)",
    text_ja="左冠動脈、スコア 0.93、キーフレーム 3 (0.80)",
)  # fmt: skip
SHARPNESS_RESULT = RunResult(
    kind="sharpness", bundle="second", manifest_sha256="1" * 64, engine="tensorrt", marked_frames=(1, 4),
    marked_scores=(0.7, 0.6), text="sharp", text_ja="鮮明",
)  # fmt: skip


def judged_run(source: str = "run") -> JudgedRun:
    summary = RunSummary(
        id="s", pass_id="p", run_id="r", source=source, frames=5,
        verdicts={"MET": 4, "LATE": 0, "DROPPED": 1, "FAILED": 0, "DUPLICATE": 0},
        positioner_primary_angle_deg=-30.0, positioner_secondary_angle_deg=25.0,
        latency_ms={"infer": Percentiles(1.0, 2.0, 3.0, 4.0)}, frame_rate_hz=15.0, frame_rate_origin="FrameTime",
        flags=("frame_rate_default",), results=(KEYFRAME_RESULT,),
    )  # fmt: skip
    verdicts = [
        verdict(index, *found)
        for index, found in enumerate([[keyframe(0.1)], [keyframe(0.5)], [], [keyframe(0.8)], [keyframe(0.2)]])
    ]
    ramp = np.arange(64, dtype=np.uint16).reshape(8, 8)
    return JudgedRun(summary, verdicts, [alert(KEY_FRAME_NEWS)], {3: ramp})


def judged_by_two(second: RunResult = SHARPNESS_RESULT) -> JudgedRun:
    """The same run, where a second model has answered frames 0, 1 and 4 and marked two of its own."""
    run = judged_run()
    also = {0: 0.3, 1: 0.7, 4: 0.6}
    verdicts = [
        replace(made, findings=(*made.findings, sharpness(also[made.frame_index])))
        if made.frame_index in also
        else made
        for made in run.verdicts
    ]
    flat = np.zeros((8, 8), np.uint16)
    pixels = {**run.marked_pixels, **dict.fromkeys(second.marked_frames, flat)}
    summary = replace(run.summary, results=(*run.summary.results, second))
    return replace(run, summary=summary, verdicts=verdicts, marked_pixels=pixels)


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[dict[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.append(dict(attrs))

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of every such tag, in order."""
        return [attributes for name, attributes in zip(self.tags, self.attributes, strict=True) if name == tag]


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    return reader


def points(polyline: dict[str, str | None]) -> list[tuple[float, float]]:
    return [tuple(map(float, point.split(","))) for point in (polyline["points"] or "").split()]  # type: ignore[misc]


def test_the_page_tells_side_books_key_frames_and_the_notice() -> None:
    page = summary_page("title", "subtitle", [judged_run()])
    reader = read(page)
    for expected in (
        NOTICE,
        "left coronary",
        "左冠動脈",
        "RAO 30° CRA 25°",
        "left coronary, score 0.93; key frames, best first: 3 (0.80)",
        "左冠動脈、スコア 0.93、キーフレーム 3 (0.80)",
        "frame 3",
        "frame 3 · score 0.80",
        "b on fake",
        "DROPPED",
        "frame_rate_default",
    ):
        assert expected in reader.text
    assert reader.tags.count("img") == 1
    assert reader.tags.count("polyline") == 2, "the dropped frame must leave a gap in the curve"
    assert reader.tags.count("circle") == 1


def test_the_page_tells_what_each_model_says_of_the_run_and_shows_the_frames_of_each() -> None:
    run = judged_by_two()
    reader = read(summary_page("t", "s", [run]))
    for result in (KEYFRAME_RESULT, SHARPNESS_RESULT):
        for expected in (result.text, result.text_ja, f"{result.bundle} on {result.engine}"):
            assert expected in reader.text
    assert reader.text.index(KEYFRAME_RESULT.text) < reader.text.index(SHARPNESS_RESULT.text)
    assert [image["alt"] for image in reader.of("img")] == ["frame 3", "frame 1", "frame 4"]
    for caption in ("frame 3 · score 0.80", "frame 1 · score 0.70", "frame 4 · score 0.60"):
        assert caption in reader.text


def test_each_picture_is_that_of_its_frame() -> None:
    run = judged_by_two()
    for image in read(summary_page("t", "s", [run])).of("img"):
        number = int((image["alt"] or "").removeprefix("frame "))
        data = base64.b64decode((image["src"] or "").removeprefix("data:image/png;base64,"))
        shown = np.asarray(Image.open(io.BytesIO(data)))
        assert (shown == display_grey(run.marked_pixels[number])).all()


def test_a_frame_that_two_models_mark_is_shown_with_the_score_of_each() -> None:
    both = replace(SHARPNESS_RESULT, marked_frames=(3,), marked_scores=(0.55,))
    reader = read(summary_page("t", "s", [replace(judged_by_two(both), marked_pixels=judged_run().marked_pixels)]))
    assert "frame 3 · score 0.80" in reader.text
    assert "frame 3 · score 0.55" in reader.text


def test_each_model_has_its_own_curve_with_its_own_gaps() -> None:
    run = judged_by_two()
    reader = read(summary_page("t", "s", [run]))
    curves = [points(polyline) for polyline in reader.of("polyline")]
    assert [len(curve) for curve in curves] == [2, 2, 2, 1], "frame 2 is lost to both, frame 3 to the second"
    alone = [points(polyline) for polyline in read(summary_page("t", "s", [judged_run()])).of("polyline")]
    assert curves[:2] == alone, "a second model changes nothing in the curve of the first"
    assert [x for curve in curves[2:] for x, _ in curve] == [alone[0][0][0], alone[0][1][0], alone[1][1][0]]


@pytest.mark.parametrize(
    ("outcome", "curves"),
    [(Outcome.DUPLICATE, 1), (Outcome.FAILED, 2), (Outcome.DROPPED, 2)],
    ids=lambda made: str(made),
)
def test_a_repeat_leaves_no_gap_and_a_frame_that_no_model_answered_does(outcome: Outcome, curves: int) -> None:
    verdicts = [
        verdict(0, keyframe(0.1)), verdict(1, keyframe(0.5)), verdict(2, outcome=outcome), verdict(3, keyframe(0.8)),
    ]  # fmt: skip
    reader = read(summary_page("t", "s", [replace(judged_run(), verdicts=verdicts)]))
    assert reader.tags.count("polyline") == curves


def test_what_a_model_found_on_a_frame_that_another_failed_on_is_drawn() -> None:
    def curves(verdicts: Sequence[Verdict]) -> list[int]:
        polylines = read(summary_page("t", "s", [replace(judged_run(), verdicts=verdicts)])).of("polyline")
        return [len(points(polyline)) for polyline in polylines]

    failed = verdict(1, sharpness(0.5), outcome=Outcome.FAILED)
    around = [verdict(index, keyframe(0.5), sharpness(0.5)) for index in (0, 2)]
    assert curves([around[0], failed, around[1]]) == [1, 1, 3]


def test_an_alert_is_marked_at_its_frame_and_at_its_own_score() -> None:
    run = judged_run()
    blur = News(kind="blur", score=0.25, text="blurred", text_ja="ぼけ")
    reader = read(summary_page("t", "s", [replace(run, alerts=[*run.alerts, alert(blur, 1)])]))
    key, other = ((float(mark["cx"] or ""), float(mark["cy"] or "")) for mark in reader.of("circle"))
    curves = [points(polyline) for polyline in reader.of("polyline")]
    assert key == curves[1][0], "at the score of frame 3 in the curve"
    assert other[0] == curves[0][1][0]
    assert other[1] > curves[0][1][1], "0.25 lies under 0.5"
    assert "alerts while it ran: 2" in reader.text


def test_a_run_that_amounts_to_nothing_says_so() -> None:
    run = judged_run()
    reader = read(summary_page("t", "s", [replace(run, summary=replace(run.summary, results=()))]))
    assert "no frame to look at" in reader.text
    assert reader.tags.count("img") == 0


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
    reader = read(summary_page("t", "s", [replace(run, summary=replace(run.summary, results=(made,)))]))
    assert text in reader.text
    assert text_ja in reader.text
    assert reader.tags.count("img") == len(marked)
    assert ("no frame to look at" in reader.text) is not bool(marked)


def test_the_page_marks_alerts_that_were_late_when_they_were_shown() -> None:
    run = judged_run()
    page = {late: summary_page("t", "s", [replace(run, alerts=[replace(run.alerts[0], late=late)])]) for late in LATE}
    assert "late: not a live alert" in page[True]
    assert "alerts while it ran: 1, 1 of them late" in page[True]
    assert "live alert" not in page[False] + page[None]


def test_the_page_fetches_nothing_and_runs_nothing() -> None:
    page = summary_page("t", "s", [judged_run()])
    assert "<script" not in page
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!data:)""", page)
    assert "http" not in page


def test_a_hostile_file_name_stays_text() -> None:
    page = summary_page("t", "s", [judged_run('<img src=x onerror=alert(1)>"&')])
    reader = read(page)
    assert reader.tags.count("img") == 1
    assert "<img src=x onerror=alert(1)>" in reader.text


def test_hostile_words_of_a_model_stay_text() -> None:
    hostile = '<img src=x onerror=alert(1)>"&\u202e'
    run = judged_run()
    result = replace(KEYFRAME_RESULT, text=hostile, text_ja=hostile, bundle=hostile, engine=hostile)
    page = summary_page("t", "s", [replace(run, summary=replace(run.summary, results=(result,)))])
    reader = read(page)
    assert reader.tags.count("img") == 1
    assert reader.text.count("<img src=x onerror=alert(1)>") == 4
    assert "\u202e" not in page


def test_characters_that_turn_or_hide_text_are_written_out_on_the_page() -> None:
    page = summary_page("t\u202e", "s\u2066", [judged_run("run \u202e\x1b\x9b\u200b.dcm")])
    assert not {"\u202e", "\u2066", "\x1b", "\x9b", "\u200b"} & set(page)
    assert "run \\u202e\\x1b\\x9b\\u200b.dcm" in page


def test_a_page_without_runs_says_so() -> None:
    assert "No run was judged" in summary_page("t", "s", [])


def test_display_grey_stretches_and_survives_a_flat_frame() -> None:
    ramp = np.linspace(1000, 3000, 4096).astype(np.uint16).reshape(64, 64)
    grey = display_grey(ramp)
    assert grey.min() == 0
    assert grey.max() == 255
    assert (display_grey(np.full((4, 4), 7, np.uint8)) == 0).all()


def test_the_sheet_holds_every_tile_in_its_place() -> None:
    dark, bright = np.zeros((32, 32), np.uint8), np.zeros((32, 32), np.uint8)
    bright[:, 16:] = 200
    sheet = np.asarray(contact_sheet([Tile(dark, "a"), Tile(bright, "b"), Tile(bright, "c")], columns=2))
    assert sheet.shape[1] >= 2 * TILE
    assert (sheet == 255).sum() == 2 * TILE * TILE // 2


def test_a_sheet_without_tiles_says_so_in_ink() -> None:
    assert (np.asarray(contact_sheet([])) == 200).any()
