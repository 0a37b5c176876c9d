"""A real Chromium for the page's tests, and where its pictures for the docs go.

`pytest -m slow tests/web/browser --page-pictures docs` writes docs/page-*.png from the phantom.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.browser.chromium import Chromium, why_no_chromium


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--page-pictures", type=Path, default=None, help="folder for pictures of the page, for the docs")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """A browser for all tests; skips, and says why, where there is none."""
    if (why := why_no_chromium()) is not None:
        pytest.skip(why)
    with Chromium.opened() as opened:
        yield opened


@pytest.fixture(scope="session")
def pictures_folder(request: pytest.FixtureRequest) -> Path | None:
    """Where pictures for the docs are wanted; None: nowhere."""
    folder: Path | None = request.config.getoption("--page-pictures", default=None)
    return folder
