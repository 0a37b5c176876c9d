"""Judged runs as pages show them, and ways to look into a page. Not for: tests (test_pages.py and others)."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import numpy as np
from PIL import Image

from cathrt.runtime.alert import (
    NOTICE,
    Alert,
    Finding,
    News,
    Outcome,
    Percentiles,
    Refusal,
    RunResult,
    RunSummary,
    StageTimes,
    Verdict,
)
from cathrt.runtime.models.keyframe.records import KeyframeFinding, KeyFrameNews, KeyframeResult
from cathrt.runtime.sinks.pictures import PicturePlan, pictures_of
from cathrt.runtime.sinks.run_section import JudgedRun
from cathrt.runtime.sinks.summary_page import PageHead, summary_page
from tests.lines import ArraySource


def keyframe(score: float) -> KeyframeFinding:
    return KeyframeFinding("left", 0.9, (score, 1.0 - score), engine="fake", score=score)


def sharpness(score: float) -> Finding:
    """What a second model says of a frame."""
    return Finding(kind="sharpness", engine="fake", score=score)


def verdict(index: int, *findings: Finding, outcome: Outcome | None = None) -> Verdict:
    outcome = outcome or (Outcome.MET if findings else Outcome.DROPPED)
    times = StageTimes(source=50.0, preprocess=1.0, infer=8.0, postprocess=0.5, end_to_end=10.0 + index)
    return Verdict(f"v{index}", "p", "r", index, outcome, None, findings, times, retry=False)


def alert(news: News, index: int = 3) -> Alert:
    return Alert("a", "p", "r", index, index + 1, f"v{index}", late=False, live_until=None, engine="fake", news=news)


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


PLAN = PicturePlan(key_px=64, tile_px=16, tiles=3)


HEAD = PageHead(
    NOTICE, "title", "subtitle", datetime(2026, 3, 4, 5, 6, tzinfo=UTC), "1.2.3", seed=7, budget_ms=100.0,
    thresholds={"keyframe": 0.52},
)  # fmt: skip


def frames(count: int = 5) -> ArraySource:
    """Frame i is a ramp that begins i rows further down."""
    ramp = np.arange(64, dtype=np.uint8).reshape(8, 8)
    return ArraySource([np.roll(ramp, index, axis=0) for index in range(count)])


def page_of(*runs: JudgedRun, refusals: Sequence[Refusal] = (), **head: object) -> str:
    return summary_page(replace(HEAD, **head), runs, refusals)  # type: ignore[arg-type]


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
    return JudgedRun(summary, verdicts, [alert(KEY_FRAME_NEWS)], pictures_of(frames(), (3,), PLAN))


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
    summary = replace(run.summary, results=(*run.summary.results, second))
    pictures = pictures_of(frames(), (3, *second.marked_frames), PLAN)
    return replace(run, summary=summary, verdicts=verdicts, pictures=pictures)


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


def grey(uri: str | None) -> np.ndarray:
    data = base64.b64decode((uri or "").removeprefix("data:image/jpeg;base64,"))
    return np.asarray(Image.open(io.BytesIO(data))).astype(int)
