"""The page over `cathrt run`, in a real browser: an alert in time, kills of the gateway, decisions that stay.

Not for: each view (test_views.py), nor what the kills lose elsewhere (tests/e2e/test_run.py).
"""

from __future__ import annotations

import http.client
import os
import signal
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cathrt.runtime.web.page import USERS_FILE
from tests.decisions.deciding import state_with_study
from tests.e2e.running_box import Box, FeedReader, free_port
from tests.web.browser.chromium import Chromium, Shown
from tests.web.serving import PASSWORD, make_users

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(900)]
MOST_MS = 500
FEED_MS = 20  # the feed that times are taken by looks for new rows so often
ALERTS = 3


@dataclass
class PageBox(Box):
    """With a page under a port that stays, and pictures as large as a detector's."""

    page_port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.page_port}/"

    def start(self) -> None:
        self.state.path.mkdir(parents=True, exist_ok=True)
        if not (self.state.path / USERS_FILE).exists():
            make_users(self.state.path / USERS_FILE)
        super().start()

    def _config(self) -> str:
        written = super()._config().replace("matrix=64 pause_s=1 rate_hz=15 frames=30", "pause_s=2 rate_hz=15 hold=yes")
        assert ("hold=yes" in written) == bool(self.sources)
        return written.replace("[page]\nport = 0\n", f"[page]\nport = {self.page_port}\n")

    def kill_gateway(self) -> None:
        """kill -9, and nobody waits for the next one."""
        self.wait_for(lambda: self.pid("gateway"))
        os.kill(int(self.pid("gateway") or 0), signal.SIGKILL)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageBox]:
    made = PageBox(tmp_path_factory.mktemp("box"))
    made.start()
    made.wait_for(lambda: made.met() > 0 and made.pid("gateway"))
    yield made
    made.end()


@pytest.fixture
def with_study(tmp_path: Path) -> Iterator[PageBox]:
    """A box whose journal has a study, read and drafted; the gateway is all that has to be awake."""
    made = PageBox(tmp_path / "box", sources=())
    state_with_study(made.state.path)
    made.start()
    made.wait_for(lambda: made.pid("gateway") and _answers(made))
    yield made
    made.end()


@pytest.fixture
def inside(chromium: Chromium, box: PageBox) -> Iterator[Shown]:
    box.wait_for(lambda: _answers(box))
    with chromium.shown(box.url) as shown:
        shown.log_in("operator", PASSWORD)
        yield shown


def _answers(box: PageBox) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", box.page_port, timeout=10.0)
    try:
        connection.request("GET", "/api/session")
        with connection.getresponse() as answer:
            return answer.status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


# When each alert is on the screen, by the wall clock of the browser, which is this machine's.
_WATCH = """() => {
  window.seenAt = {};
  const look = () => {
    for (const one of document.querySelectorAll("[data-alert]")) window.seenAt[one.dataset.alert] ??= Date.now();
  };
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true, attributes: true });
  look();
}"""


class _TimedReader(FeedReader):
    """Notes when each record came, by the wall clock, ms."""

    def __init__(self, box: Box) -> None:
        super().__init__(box)
        self.came_ms: dict[str, float] = {}

    def run(self) -> None:
        class Noting(list[Any]):
            def append(inner, item: Any) -> None:  # noqa: N805
                self.came_ms[item[1]["id"]] = time.time() * 1000
                super().append(item)

        self.events = Noting()
        super().run()


def test_an_alert_is_on_the_screen_within_half_a_second_of_its_record(inside: Shown, box: PageBox) -> None:
    reader = _TimedReader(box)
    reader.start()
    inside.page.wait_for_selector("[data-picture=live]")
    before = set(inside.page.evaluate(f"({_WATCH})() ?? Object.keys(window.seenAt)"))
    inside.page.wait_for_function(
        "([before, count]) => Object.keys(window.seenAt).length >= before + count",
        arg=[len(before), ALERTS],
        timeout=240_000,
    )
    seen = inside.page.evaluate("window.seenAt")
    reader.over.set()
    took = [at_ms - reader.came_ms[one] for one, at_ms in seen.items() if one not in before and one in reader.came_ms]
    print(f"alert on screen after its record: {[round(ms) for ms in took]} ms")
    assert len(took) >= ALERTS - 1
    assert statistics.median(took) + FEED_MS <= MOST_MS
    assert inside.unexpected() == []


def test_the_page_goes_on_after_the_gateway_is_killed_without_being_loaded_anew(inside: Shown, box: PageBox) -> None:
    inside.page.wait_for_selector("[data-picture=live]")
    inside.page.evaluate("window.before = true")
    shown_before = inside.page.locator(".filmstrip li").count()
    box.kill_gateway()
    inside.page.wait_for_selector("[data-picture=old]")
    inside.page.wait_for_selector(".banner.lost")
    inside.page.wait_for_selector("[data-picture=live]")
    inside.page.wait_for_selector(".banner.lost", state="detached")
    assert inside.page.evaluate("window.before") is True
    inside.page.wait_for_function(
        "before => document.querySelectorAll('.filmstrip li').length > before || before === 24",
        arg=shown_before,
        timeout=240_000,
    )
    links = inside.page.eval_on_selector_all(".filmstrip a", "all => all.map((one) => one.href)")
    assert len(links) == len(set(links)), "an alert is shown twice"
    assert inside.unexpected(outage=True) == []


def test_decisions_survive_a_killed_gateway_and_are_stored_once(chromium: Chromium, with_study: PageBox) -> None:
    with chromium.shown(with_study.url) as shown:
        shown.log_in("operator", PASSWORD)
        shown.go("studies")
        shown.page.wait_for_selector(".study-row")
        shown.page.click(".study-row")
        shown.page.wait_for_selector(".decide-row [data-act=accept]")
        row = shown.page.locator(".study-run .decide-row").first
        row.locator("[data-act=accept]").click()
        with_study.kill_gateway()  # before or after its answer: the same id is sent until there is one
        row.locator("[data-state=accepted]").wait_for()
        with_study.kill_gateway()
        shown.page.wait_for_selector(".banner.lost")
        shown.page.wait_for_selector(".banner.lost", state="detached")
        shown.page.reload()
        shown.page.locator(".study-run .decide-row [data-state=accepted]").first.wait_for()
        assert shown.page.locator(".so-far li").count() == 1
        assert shown.unexpected(outage=True) == []


def test_every_view_of_a_real_box_is_whole_in_both_languages(inside: Shown, box: PageBox) -> None:
    inside.go("runs")
    inside.page.locator(".run-row").filter(has_text="RIGHT").or_(inside.page.locator(".run-row")).first.click()
    inside.page.wait_for_selector(".score-curve")
    for language in ("ja", "en"):
        inside.language(language)
        for view in ("live", "runs", "studies", "health"):
            inside.go(view)
            inside.page.wait_for_timeout(1000)
            text = inside.text("main")
            assert not [word for word in ("undefined", "NaN", "[object", "null") if word in text], text
            assert inside.axe() == []
    assert inside.unexpected() == []
