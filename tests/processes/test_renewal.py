"""When the live process ends so that a new one opens a lost engine: too seldom for the supervisor to give it up."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from cathrt.runtime.config import SupervisorConfig
from cathrt.runtime.errors import EngineLostError
from cathrt.runtime.processes.renewal import RENEWAL, Renewal
from cathrt.runtime.processes.restarts import Watched
from cathrt.runtime.processes.state_folder import StateFolder

SECOND = 10**9


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    folder = StateFolder(tmp_path / "state")
    folder.make()
    return folder


def ends(state: StateFolder, config: SupervisorConfig, hours: float, *, live_ai: bool = False) -> list[float]:
    """The seconds at which processes end, one after the other, while the engine stays lost."""
    moments, now_s = [], 0.0
    renewal = Renewal(state, config, 0)
    while now_s < 3600.0 * hours:
        now_s += 1.0
        if renewal.is_due(round(now_s * SECOND), needed=True, live_ai=live_ai):
            moments.append(now_s)
            renewal = Renewal(state, config, round(now_s * SECOND))  # the next process
    return moments


def test_it_ends_ever_more_seldom_and_the_supervisor_never_gives_it_up(state: StateFolder) -> None:
    config = SupervisorConfig()
    moments = ends(state, config, 12.0)
    assert 60.0 <= moments[0] <= 62.0
    assert moments[1] - moments[0] >= 119.0
    assert 3500.0 <= moments[-1] - moments[-2] <= 3700.0, "once an hour, for as long as it takes"
    watched = Watched("live", config, 0.0)
    for moment in moments:
        watched.started(moment - 1.0)
        watched.ended(moment, EngineLostError.exit_code)
        assert watched.state == "waiting"


def test_with_few_restarts_allowed_it_takes_half_of_them(state: StateFolder) -> None:
    config = SupervisorConfig(restarts=2, restart_window_s=3600.0)
    moments = ends(state, config, 12.0)
    assert moments
    assert all(later - before >= 3600.0 for before, later in pairwise(moments))


def test_where_no_restart_is_allowed_it_never_ends(state: StateFolder) -> None:
    assert ends(state, SupervisorConfig(restarts=0), 12.0) == []


def test_where_it_cannot_be_noted_nothing_ends(state: StateFolder) -> None:
    state.report(RENEWAL).mkdir()
    assert ends(state, SupervisorConfig(), 1.0) == []
    state.report(RENEWAL).rmdir()
    assert ends(state, SupervisorConfig(), 0.1)[0] <= 62.0


def test_a_note_that_cannot_be_read_is_as_none(state: StateFolder) -> None:
    state.report(RENEWAL).write_text("{")
    assert ends(state, SupervisorConfig(), 0.1)[0] <= 62.0


def test_on_a_lower_rung_there_is_less_hurry(state: StateFolder) -> None:
    assert ends(state, SupervisorConfig(), 0.25, live_ai=True) == [601.0]


def test_once_all_is_well_it_begins_anew(state: StateFolder) -> None:
    config = SupervisorConfig()
    ends(state, config, 1.0)
    renewal = Renewal(state, config, 0)
    assert not renewal.is_due(SECOND, needed=False, live_ai=True)
    assert ends(state, config, 0.02)[0] <= 62.0
