"""Contact sheet and summary page: what they show, and that nothing from outside is taken for markup."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np

from cathrt.runtime.alert import NOTICE, Alert, KeyframeFinding, Outcome, Percentiles, RunSummary, StageTimes, Verdict
from cathrt.runtime.sinks.contact_sheet import TILE, Tile, contact_sheet, display_grey
from cathrt.runtime.sinks.summary_page import JudgedRun, summary_page


def verdict(index: int, score: float | None) -> Verdict[KeyframeFinding]:
    finding = None if score is None else KeyframeFinding("left", 0.9, score, (score, 1.0 - score))
    outcome = Outcome.DROPPED if score is None else Outcome.MET
    times, engine = StageTimes(0.0, 0.0, 0.0, 0.0, 0.0), finding and "fake"
    return Verdict(f"v{index}", "p", "r", index, outcome, None, finding, times, engine, retry=False)


LATE = (True, False, None)


def judged_run(source: str = "run") -> JudgedRun:
    summary = RunSummary(
        id="s", pass_id="p", run_id="r", source=source, frames=5,
        verdicts={"MET": 4, "LATE": 0, "DROPPED": 1, "FAILED": 0, "DUPLICATE": 0},
        laterality="left", laterality_score=0.93, key_frames=(3,), key_frame_scores=(0.8,),
        positioner_primary_angle_deg=-30.0, positioner_secondary_angle_deg=25.0, laterality_mismatch=False,
        latency_ms={"infer": Percentiles(1.0, 2.0, 3.0, 4.0)}, frame_rate_hz=15.0, frame_rate_origin="FrameTime",
        flags=("frame_rate_default",), bundle="b", manifest_sha256="0" * 64, engine="fake",
    )  # fmt: skip
    alert = Alert("a", "p", "r", "key_frame", 3, 4, "left", 0.8, "v3", late=False, live_until=None, engine="fake")
    verdicts = [verdict(0, 0.1), verdict(1, 0.5), verdict(2, None), verdict(3, 0.8), verdict(4, 0.2)]
    return JudgedRun(summary, verdicts, [alert], [np.arange(64, dtype=np.uint16).reshape(8, 8)])


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_tells_side_books_key_frames_and_the_notice() -> None:
    page = summary_page("title", "subtitle", [judged_run()])
    reader = Reader()
    reader.feed(page)
    for expected in (
        NOTICE,
        "left coronary",
        "左冠動脈",
        "RAO 30° CRA 25°",
        "frame 3",
        "DROPPED",
        "frame_rate_default",
    ):
        assert expected in reader.text
    assert reader.tags.count("img") == 1
    assert reader.tags.count("polyline") == 2, "the dropped frame must leave a gap in the curve"
    assert reader.tags.count("circle") == 1


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
    reader = Reader()
    reader.feed(page)
    assert reader.tags.count("img") == 1
    assert "<img src=x onerror=alert(1)>" in reader.text


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
