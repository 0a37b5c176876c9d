"""Every view in a real browser, in both languages, over a box on a stage: whole, quiet, accessible, by keyboard alone.

Not for: a real box (test_real_box.py), what must never look live (test_safety.py).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.browser.chromium import TABLET, Chromium, Shown
from tests.web.front.mock import Stage, part
from tests.web.front.mock_answers import STUDY, runs
from tests.web.serving import PASSWORD, Served, served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
RUN = runs(True)[0]["run_id"]
VIEWS = {
    "live": ".live-picture.live",
    "runs": ".run-row",
    f"runs/{RUN}": ".run-picture canvas",
    "studies": ".study-row",
    f"studies/{STUDY}": ".pairs-of-sentences",
    "health": ".process",
}


@pytest.fixture(scope="module")
def stage() -> Stage:
    made = Stage()
    made.begin_run()
    for frame, side in ((12, "left"), (31, "left")):
        made.judge(frame, 0.84, time.monotonic_ns(), side)
        made.alert(frame, 0.91, side)
    return made


@pytest.fixture(scope="module")
def box(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("state"), parts=(part(stage),)) as page:
        yield page


@pytest.fixture
def inside(chromium: Chromium, box: Served) -> Iterator[Shown]:
    with chromium.shown(box.url) as shown:
        shown.log_in("operator", PASSWORD)
        yield shown


@pytest.mark.parametrize("language", ["en", "ja"])
def test_every_view_is_whole_quiet_and_accessible(inside: Shown, language: str) -> None:
    inside.language(language)
    wrong: dict[str, list[str]] = {}
    for view, sign in VIEWS.items():
        inside.go(view)
        inside.page.wait_for_selector(sign)
        if found := inside.axe():
            wrong[view] = found
        notice = inside.text(".notice")
        assert "Research use only" in notice
        assert "研究用・臨床使用不可" in notice
        assert inside.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
            f"{view} is wider than the screen"
        )
    assert not wrong
    assert inside.unexpected() == []


def test_the_login_is_accessible_and_says_what_is_wrong(chromium: Chromium, box: Served) -> None:
    with chromium.shown(box.url, language="ja-JP") as shown:
        shown.page.wait_for_selector(".login form")
        assert shown.axe() == []
        shown.page.fill("input[name=user]", "viewer")
        shown.page.fill("input[name=password]", "wrong")
        shown.page.press("input[name=password]", "Enter")
        shown.page.wait_for_function("() => document.querySelector('.login .refusal').textContent.length > 3")
        assert shown.text(".login .refusal") == "ユーザー名またはパスワードが違います。"
        assert shown.page.input_value("input[name=password]") == ""


def test_no_patient_is_named_outside_the_study(inside: Shown) -> None:
    for view, sign in VIEWS.items():
        inside.go(view)
        inside.page.wait_for_selector(sign)
        named = "太郎" in inside.text("body") or "PHANTOM-3" in inside.text("body")
        assert named == view.startswith("studies/"), view


def test_the_whole_page_works_by_keyboard_alone(inside: Shown, stage: Stage) -> None:
    keys = inside.page.keyboard
    keys.press("?")
    inside.page.wait_for_selector("dialog[open]")
    assert "Switch the language" in inside.text("dialog")
    keys.press("Escape")
    keys.press("2")
    inside.page.wait_for_selector(".run-row")
    _tab_to(inside, ".run-row")
    keys.press("Enter")
    inside.page.wait_for_selector(".run-picture canvas")
    before = inside.text(".frame-now")
    keys.press("ArrowRight")
    inside.page.wait_for_function("before => document.querySelector('.frame-now').textContent !== before", arg=before)
    keys.press("s")
    inside.page.wait_for_selector(".aids-on")
    assert "What was judged is unchanged." in inside.text(".aids-on")
    keys.press("w")
    inside.page.wait_for_selector(".aids-on", state="detached")
    keys.press("3")
    inside.page.wait_for_selector(".study-row")
    _tab_to(inside, ".study-row")
    keys.press("Enter")
    inside.page.wait_for_selector("[data-row]")
    decided = len(stage.decisions)
    keys.press("ArrowDown")
    keys.press("ArrowDown")
    assert inside.page.evaluate("document.activeElement.matches('[data-row]')")
    keys.press("a")
    inside.page.wait_for_selector("[data-state=accepted]")
    assert len(stage.decisions) == decided + 1
    assert stage.decisions[-1]["what"] == "accepted"
    keys.press("l")
    inside.page.wait_for_function("() => document.documentElement.lang === 'ja'")
    keys.press("l")
    assert inside.unexpected() == []


def _tab_to(shown: Shown, selector: str) -> None:
    for _ in range(60):
        shown.page.keyboard.press("Tab")
        if shown.page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"Tab never came to {selector}")


def test_everything_is_reached_by_a_finger_on_a_tablet(chromium: Chromium, box: Served) -> None:
    with chromium.shown(box.url, size=TABLET, touch=True) as shown:
        shown.log_in("operator", PASSWORD)
        for view, sign in VIEWS.items():
            shown.go(view)
            shown.page.wait_for_selector(sign)
            small = shown.page.evaluate(
                """() => [...document.querySelectorAll("button, .button, .bar a, .run-row, select, input")]
                  .filter((one) => one.getClientRects().length && !one.closest("dialog:not([open])"))
                  .map((one) => [one.outerHTML.slice(0, 90), one.getBoundingClientRect()])
                  .filter(([, box]) => box.width < 44 || box.height < 44).map(([html]) => html)"""
            )
            assert small == [], view
            assert shown.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{view} is too wide"


def test_the_language_is_remembered(inside: Shown) -> None:
    inside.language("ja")
    inside.page.reload()
    inside.page.wait_for_selector(".bar nav")
    assert inside.page.evaluate("document.documentElement.lang") == "ja"
    assert inside.text(".bar nav a >> nth=0") == "ライブ"


def test_a_correction_sends_another_frame_with_what_was_on_the_screen(inside: Shown, stage: Stage) -> None:
    inside.go(f"studies/{STUDY}")
    row = inside.page.locator(".study-run .decide-row").nth(1)
    row.locator("[data-act=correct]").click()
    row.locator("input").fill("29")
    row.locator("button.main").click()
    row.locator("[data-state=corrected]").wait_for()
    decision = stage.decisions[-1]
    assert (decision["what"], decision["correction"]) == ("corrected", {"frame_index": 29})
    assert decision["thing"]["kind"] == "key_frame"
    assert "29" in row.inner_text()


def test_a_sentence_shows_what_it_rests_on(inside: Shown) -> None:
    inside.go(f"studies/{STUDY}")
    inside.page.click("button.sentence >> nth=0")
    inside.page.wait_for_selector(".rests-on")
    assert inside.page.locator("tr.linked").count() == 1
    assert inside.page.locator(".decide-row.linked").count() == 1
    inside.page.click(".rests-on a.button")
    inside.page.wait_for_selector(".run-picture canvas")
    assert "frame 31" in inside.text(".frame-now")


def test_a_run_without_pictures_says_why(inside: Shown, stage: Stage) -> None:
    stage.pictures_stored = False
    try:
        inside.go(f"runs/{RUN}")
        inside.page.wait_for_selector(".no-pixels")
        assert "Pictures of live runs are not stored." in inside.text(".no-pixels")
        assert inside.page.locator(".score-curve .key-mark").count() == 2
    finally:
        stage.pictures_stored = True


def test_a_run_that_has_ended_shows_its_view_and_says_that_it_has_ended(chromium: Chromium, tmp_path: Path) -> None:
    stage = Stage()
    stage.begin_run()
    with served(tmp_path, parts=(part(stage),)) as page, chromium.shown(page.url) as shown:
        shown.log_in("viewer", PASSWORD)
        shown.page.wait_for_selector("[data-picture=live]")
        assert "Known when the run has ended." in shown.text(".figures")
        stage.judge(1, 0.84, stage.newest_ns)
        shown.page.wait_for_function("() => document.querySelector('[data-figure=readability]').textContent === '0.84'")
        # No further verdict comes: what was judged two seconds ago is not of now.
        shown.page.wait_for_function("() => document.querySelector('[data-figure=readability]').textContent === '–'")
        stage.end_run()
        shown.page.wait_for_selector(".dial")
        said = shown.text(".figures")
        assert "last run, ended" in said
        assert "LAO 45°" in said
        assert "CAU 30°" in said
        assert "Best key frame of this run, but poor" in said


def test_a_viewer_is_offered_nothing_to_decide(chromium: Chromium, box: Served) -> None:
    with chromium.shown(box.url) as shown:
        shown.log_in("viewer", PASSWORD)
        shown.go(f"studies/{STUDY}")
        shown.page.wait_for_selector(".decide-row")
        assert shown.page.locator("[data-act], .sign-off button, .review button").count() == 0


def test_pictures_for_the_docs(inside: Shown, stage: Stage, pictures_folder: Path | None) -> None:
    if pictures_folder is None:
        pytest.skip("no pictures are wanted: --page-pictures FOLDER")
    stage.begin_run()
    inside.go("live")
    inside.page.wait_for_selector("[data-picture=live]")
    for frame, score in ((131, 0.86), (140, 0.93), (152, 0.91)):
        stage.judge(frame, score, stage.newest_ns)
        inside.page.wait_for_timeout(400)
        stage.alert(frame, score)
        inside.page.wait_for_timeout(400)
    stage.judge(160, 0.89, stage.newest_ns)
    inside.page.wait_for_timeout(600)
    write_picture(inside, pictures_folder / "page-live.png")
    for name, view in (("runs", f"runs/{RUN}"), ("study", f"studies/{STUDY}"), ("health", "health")):
        inside.language("ja" if name == "study" else "en")
        inside.go(view)
        inside.page.wait_for_selector(VIEWS[view])
        inside.page.wait_for_timeout(2000)
        inside.page.wait_for_selector(".run-picture .aid-mark", state="detached")
        write_picture(inside, pictures_folder / f"page-{name}.png")


def write_picture(shown: Shown, path: Path) -> None:
    """The page as a PNG of few colours, 300 kB at most."""
    import io

    from PIL import Image

    picture = Image.open(io.BytesIO(shown.page.screenshot()))
    few = picture.convert("RGB").quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.save(path, optimize=True)
    assert path.stat().st_size <= 300_000
