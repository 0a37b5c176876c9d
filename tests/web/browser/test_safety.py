"""What must never look live, in a real browser: a frozen picture, a box that is away, a box without live AI."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.browser.chromium import Chromium, Shown
from tests.web.browser.test_views import write_picture
from tests.web.front.mock import Stage, part
from tests.web.serving import PASSWORD, served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def stage() -> Stage:
    made = Stage()
    made.begin_run()
    return made


@pytest.fixture
def live(chromium: Chromium, stage: Stage, tmp_path: Path) -> Iterator[Shown]:
    with served(tmp_path, parts=(part(stage),)) as page, chromium.shown(page.url) as shown:
        shown.log_in("viewer", PASSWORD)
        shown.page.wait_for_selector("[data-picture=live]")
        yield shown


@pytest.mark.parametrize("language", ["en", "ja"])
def test_a_frozen_picture_is_told_as_old_within_two_seconds_and_counts_on(
    live: Shown, stage: Stage, language: str
) -> None:
    live.language(language)
    stage.frozen = True
    began = time.monotonic()
    live.page.wait_for_selector("[data-picture=old] .veil")
    # The limit is 1 s; the rest is for a loaded machine.
    assert time.monotonic() - began < 4.0
    first = live.text(".old-mark")
    assert ("s old" in first) if language == "en" else ("秒前の画像です" in first)
    live.page.wait_for_function(
        "first => document.querySelector('.old-mark b').textContent !== first", arg=live.text(".old-mark b")
    )
    assert live.page.locator(".live-mark").count() == 0
    stage.frozen = False
    live.page.wait_for_selector("[data-picture=live] .live-mark")
    assert live.page.locator(".veil").count() == 0


def test_no_live_ai_fills_the_top_in_both_languages_and_cannot_be_dismissed(
    live: Shown, stage: Stage, pictures_folder: Path | None
) -> None:
    stage.judge(3, 0.84, time.monotonic_ns())
    live.page.wait_for_function("() => document.querySelector('[data-figure=readability]').textContent === '0.84'")
    stage.live_ai, stage.reasons = False, ("source A: no live AI of kind keyframe since 2 s (hung: no answer)",)
    live.page.wait_for_selector(".banner.no_ai")
    said = live.text(".banner.no_ai")
    assert "NO LIVE AI" in said
    assert "AI判定なし" in said
    box = live.page.locator(".banner.no_ai").bounding_box()
    assert box is not None
    assert box["width"] >= 1270
    assert box["height"] >= 110
    assert live.page.locator(".banner.no_ai button, .banner.no_ai a").count() == 0
    live.page.keyboard.press("Escape")
    assert live.text("[data-figure=readability]") == "–", "a figure of a while ago looks as if it were now"
    if pictures_folder is not None:
        live.page.wait_for_timeout(1500)
        write_picture(live, pictures_folder / "page-no-live-ai.png")
    for view in ("runs", "studies", "health"):
        live.go(view)
        assert live.page.locator(".banner.no_ai").is_visible()
    assert live.axe() == []
    stage.live_ai, stage.reasons = True, ()
    live.page.wait_for_selector(".banner.no_ai", state="detached")


def test_a_lower_rung_is_told_and_names_its_cause(live: Shown, stage: Stage) -> None:
    stage.rung = 1
    stage.reasons = ("source A: something",)  # the box says so with its next word
    live.page.wait_for_selector(".banner.lower")
    assert "rung 2 of 2" in live.text(".banner.lower")
    assert "the engine hangs" in live.text(".banner.lower")


def test_a_session_that_ends_shows_the_login_and_comes_back_to_the_same_view(live: Shown) -> None:
    live.go("health")
    live.page.wait_for_selector(".process")
    live.page.context.clear_cookies()
    live.page.evaluate("location.hash = '#/runs'")
    live.page.wait_for_selector(".login form")
    assert "Your session has ended" in live.text(".login")
    live.log_in("viewer", PASSWORD)
    live.page.wait_for_selector(".run-row")
    assert live.unexpected(outage=True) == []


def test_what_is_kept_in_the_browser_is_bounded(live: Shown, stage: Stage) -> None:
    for number in range(120):
        stage.alert(number, 0.9)
    live.page.wait_for_function("() => document.querySelectorAll('.filmstrip li').length === 24")
    assert live.page.locator(".alert-list li").count() <= 24
    kept = live.page.evaluate("Object.keys(localStorage)")
    assert set(kept) <= {"cathrt.settings"}


def test_an_outage_is_told_and_the_page_comes_back_by_itself(chromium: Chromium, stage: Stage, tmp_path: Path) -> None:
    with served(tmp_path, parts=(part(stage),)) as page:
        port = page.page.port
        with chromium.shown(page.url) as shown:
            shown.log_in("viewer", PASSWORD)
            shown.page.wait_for_selector("[data-picture=live]")
            shown.page.evaluate("window.before = true")
            page.page.close()
            shown.page.wait_for_selector(".banner.lost")
            assert "NO CONNECTION" in shown.text(".banner.lost")
            shown.page.wait_for_selector("[data-picture=old]")
            assert "The connection to the box is lost." in shown.text(".old-mark")
            assert shown.text("[data-figure=readability]") == "–"
            with served(tmp_path, parts=(part(stage),), page={"port": port}):
                shown.page.wait_for_selector("[data-picture=live]")
                shown.page.wait_for_selector(".banner.lost", state="detached")
                assert shown.page.evaluate("window.before") is True, "the page was loaded anew"
            assert shown.unexpected(outage=True) == []
