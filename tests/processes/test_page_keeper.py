"""The keeper of the page: it opens the page anew, and says in a report where it is or why it is not."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cathrt.runtime.config import Config, PageConfig
from cathrt.runtime.processes.health import PAGE, health_of
from cathrt.runtime.processes.kept_report import KeptReport
from cathrt.runtime.processes.page_keeper import PageKeeper
from cathrt.runtime.processes.state_folder import StateFolder
from tests.web.serving import served

PATIENCE_S = 60.0


class _OfPage:
    """A page that a test ends."""

    url = "http://127.0.0.1:1/"
    is_running = True


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateFolder]:
    """A state folder; what is left in shared memory is cleared."""
    folder = StateFolder(tmp_path / "state")
    folder.make()
    yield folder
    if os.path.lexists(folder.memory):
        folder.dismiss_memory()


@contextmanager
def kept(state: StateFolder, opening: Callable[[], Any]) -> Iterator[PageKeeper]:
    """A keeper that tries again at once."""
    keeper = PageKeeper(opening, KeptReport(state, PAGE), retry_s=0.05)
    try:
        yield keeper
    finally:
        keeper.close()


def reported(state: StateFolder, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The report, once it is as wanted."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not wanted(report := state.read_report(PAGE) or {}):
        assert time.monotonic() < deadline_s, report
        time.sleep(0.02)
    return report


def against(state: StateFolder, config: Config | None = None) -> list[str]:
    """What health has against the page."""
    health = health_of(state, config or Config(), time.monotonic_ns())
    return [reason for reason in health.reasons if reason.startswith("page:")]


def test_a_port_that_is_taken_is_a_reason_in_health_until_it_is_free(state: StateFolder, tmp_path: Path) -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    keys = {"port": taken.getsockname()[1]}
    with kept(state, lambda: _page(tmp_path / "other", keys)):
        fault = reported(state, lambda report: bool(report.get("fault")))["fault"]
        assert "the page cannot be there" in fault
        assert against(state) == [f"page: not running: {fault}"]
        assert against(state, Config(page=PageConfig(enabled=False))) == []
        taken.close()
        assert reported(state, lambda report: bool(report.get("url")))["url"].endswith(f":{keys['port']}/")
        assert against(state) == []


@contextmanager
def _page(folder: Path, keys: dict[str, Any]) -> Iterator[Any]:
    with served(folder, parts=(), users=False, page=keys) as opened:
        yield opened.page


def test_a_page_that_ends_or_has_a_fault_is_opened_anew(state: StateFolder) -> None:
    opened: list[_OfPage] = []

    @contextmanager
    def opening() -> Iterator[_OfPage]:
        if len(opened) == 1:
            opened.append(_OfPage())
            raise KeyError("YAMADA")
        opened.append(_OfPage())
        yield opened[-1]

    with kept(state, opening):
        reported(state, lambda report: bool(report.get("url")))
        opened[0].is_running = False
        reported(state, lambda report: len(opened) == 3 and bool(report.get("url")))
    assert against(state) == []


def test_the_end_does_not_wait_for_the_next_try(state: StateFolder) -> None:
    @contextmanager
    def never() -> Iterator[Any]:
        raise OSError("no")
        yield

    begin_s = time.monotonic()
    keeper = PageKeeper(never, KeptReport(state, PAGE), retry_s=3600.0)
    reported(state, lambda report: bool(report.get("fault")))
    keeper.close()
    assert time.monotonic() - begin_s < PATIENCE_S
