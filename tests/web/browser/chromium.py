"""Debian's Chromium, driven by Playwright: pages that may not write anything to their console, and axe-core.

Not for: what a page shows (the tests beside it).
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest

from tests.conftest import ROOT

EXECUTABLES = ("chromium", "chromium-browser", "google-chrome")
DESK = (1280, 800)
TABLET = (1024, 768)
AXE = "axe-core-4.14.1.tgz"
AXE_SHA512 = (
    "1477dafa598d8d065f273d6af302aa203c02e83131707b7fa648cd41bd3d6b73"
    "4f8c22a0dab86ee6a6f64b8afbe804b214d36db85a2826965edfb3a0b9d546b5"
)
# What Chromium says of an answer that a test has asked for: a refusal, a server that was killed.
EXPECTED = ("Failed to load resource", "net::ERR_", "WebSocket connection to")


def why_no_chromium() -> str | None:
    """Why no browser can be opened here; None if one can."""
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return "no browser: playwright is not installed (pip install '.[test]')"
    if not any(shutil.which(name) for name in EXECUTABLES):
        return "no browser: Chromium is not installed (Debian: apt-get install chromium)"
    return None


@dataclass
class Shown:
    """One page in the browser. errors: what it wrote to its console, and what was thrown in it."""

    page: Any
    errors: list[str] = field(default_factory=list)

    def log_in(self, user: str, password: str) -> None:
        """Fill in the form; returns when the page is inside."""
        self.page.fill("input[name=user]", user)
        self.page.fill("input[name=password]", password)
        self.page.press("input[name=password]", "Enter")
        self.page.wait_for_selector(".bar nav")

    def go(self, view: str) -> None:
        """Show a view by its hash; returns when its heading stands there."""
        self.page.evaluate("view => { location.hash = '#/' + view; }", view)
        self.page.wait_for_selector("main h1", state="attached")

    def language(self, wanted: str) -> None:
        """Switch to a language."""
        if self.page.evaluate("document.documentElement.lang") != wanted:
            self.page.click(".bar button[lang]")
        self.page.wait_for_function("wanted => document.documentElement.lang === wanted", arg=wanted)

    def text(self, selector: str) -> str:
        """What stands in the first element of a kind."""
        return str(self.page.inner_text(selector))

    def axe(self) -> list[str]:
        """What axe-core finds wrong: rule and elements."""
        self.page.evaluate(axe_source())
        found = self.page.evaluate(
            "axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})"
        )
        return [f"{one['id']}: {[node['html'][:160] for node in one['nodes'][:4]]}" for one in found["violations"]]

    def unexpected(self, *, outage: bool = False) -> list[str]:
        """Errors in the console. outage: the test took the server away, so that what the network says is expected."""
        return [text for text in self.errors if not (outage and any(one in text for one in EXPECTED))]


class Chromium:
    """The browser."""

    def __init__(self, browser: Any) -> None:
        self._browser = browser

    @classmethod
    @contextmanager
    def opened(cls) -> Iterator[Chromium]:
        """Open it for a while."""
        from playwright.sync_api import sync_playwright

        executable = next(found for name in EXECUTABLES if (found := shutil.which(name)))
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
            try:
                yield cls(browser)
            finally:
                browser.close()

    @contextmanager
    def shown(
        self, url: str, *, size: tuple[int, int] = DESK, language: str = "en-GB", touch: bool = False
    ) -> Iterator[Shown]:
        """A page of its own, with its own cookies. All waits end after 60 s."""
        context = self._browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            locale=language,
            has_touch=touch,
            timezone_id="Asia/Tokyo",
            reduced_motion="reduce",
        )
        page = context.new_page()
        page.set_default_timeout(60_000)
        shown = Shown(page)
        page.on("console", lambda said: shown.errors.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: shown.errors.append(str(error)))
        try:
            page.goto(url)
            yield shown
        finally:
            context.close()


@cache
def axe_source() -> str:
    """axe-core (MPL-2.0, for tests only), by npm; skips, and says why, where it cannot be had."""
    folder = ROOT / "build" / "npm"
    packed = folder / AXE
    if not packed.exists():
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip(f"no axe-core: npm is not installed, and there is no {packed}")
        folder.mkdir(parents=True, exist_ok=True)
        name = AXE.removesuffix(".tgz").replace("core-", "core@")
        fetched = subprocess.run([npm, "pack", name], cwd=folder, capture_output=True, text=True, timeout=120)
        if fetched.returncode != 0:
            pytest.skip(f"no axe-core: npm pack failed: {fetched.stderr[-200:]}")
    content = packed.read_bytes()
    assert hashlib.sha512(content).hexdigest() == AXE_SHA512, f"{packed} is another axe-core: remove it"
    with tarfile.open(packed) as archive:
        source = archive.extractfile("package/axe.min.js")
        assert source is not None
        return source.read().decode()
