"""When a process is started again, given up or killed: the decisions, with the time passed in."""

from __future__ import annotations

import signal
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cathrt.runtime.config import SupervisorConfig
from cathrt.runtime.processes.restarts import Watched, how_ended, patience_with

HUNG_S, STARTED_WITHIN_S = patience_with("live").hung_s, patience_with("live").started_s
CONFIG = SupervisorConfig(restarts=4, restart_window_s=60.0, backoff_s=0.5, most_backoff_s=3.0)


def running(now_s: float = 0.0) -> Watched:
    """A process that has beaten once."""
    watched = Watched("live", CONFIG, now_s)
    watched.started(now_s)
    watched.looked(now_s, 1)
    watched.ready()
    return watched


def test_the_first_start_is_due_at_once_and_is_no_restart() -> None:
    watched = Watched("live", CONFIG, 7.0)
    assert watched.is_due(7.0)
    assert watched.started(7.0).text == "live: started"
    assert (watched.restarts, watched.state, watched.is_due(99.0)) == (0, "starting", False)


def test_each_further_restart_waits_twice_as_long_up_to_the_longest() -> None:
    watched, now_s, waits = Watched("live", CONFIG, 0.0), 0.0, []
    for _ in range(4):
        watched.started(now_s)
        watched.ended(now_s, 1)
        due_s = next(now_s + step / 100 for step in range(1000) if watched.is_due(now_s + step / 100))
        waits.append(round(due_s - now_s, 2))
        now_s = due_s
    assert waits == [0.5, 1.0, 2.0, 3.0]


def test_it_is_given_up_after_so_many_restarts_within_the_window() -> None:
    watched = Watched("live", CONFIG, 0.0)
    for number in range(5):
        assert watched.state == "waiting"
        watched.started(float(number))
        event = watched.ended(float(number), -signal.SIGSEGV)
    assert (watched.state, event.what, event.restarts) == ("given up", "given up", 4)
    assert event.text == "live: ended by SIGSEGV: given up after 4 restarts within 60 s; the others go on"
    assert not watched.is_due(1e9)


def test_ends_outside_the_window_are_forgotten() -> None:
    watched = Watched("live", CONFIG, 0.0)
    for number in range(50):
        watched.started(61.0 * number)
        assert watched.ended(61.0 * number, 1).text.endswith("starts again in 0.5 s")
    assert watched.restarts == 49


@given(st.lists(st.floats(0.0, 100.0), max_size=60))
def test_no_window_ever_holds_more_restarts_than_allowed(pauses_s: list[float]) -> None:
    watched, now_s, starts = Watched("live", CONFIG, 0.0), 0.0, []
    for pause_s in pauses_s:
        if watched.is_due(now_s):
            starts.append(now_s)
            watched.started(now_s)
            watched.ended(now_s, 1)
        now_s += pause_s
    for first in starts:
        assert sum(first <= start <= first + CONFIG.restart_window_s for start in starts) <= CONFIG.restarts + 1


@pytest.mark.parametrize("exit_code", [2, 3, 5])
def test_an_end_that_the_next_start_would_repeat_is_final_at_once(exit_code: int) -> None:
    event = running().ended(1.0, exit_code)
    assert event.what == "given up"
    assert f"exit status {exit_code}: given up, since another start would end the same way" in event.text


@pytest.mark.parametrize("exit_code", [0, 1, 4, 6, 7, 8, -9])
def test_any_other_end_is_followed_by_a_restart_even_a_good_one_that_nobody_asked_for(exit_code: int) -> None:
    watched = running()
    watched.ended(1.0, exit_code)
    assert (watched.state, watched.well) == ("waiting", False)
    assert watched.is_due(1.5)
    assert watched.started(1.5).text == "live: started (restart 1)"


@pytest.mark.parametrize("exit_code", [7, 8])
def test_a_process_that_cannot_write_is_tried_again_for_as_long_as_it_takes(exit_code: int) -> None:
    watched, now_s, waits = running(), 0.0, []
    for _ in range(50):
        event = watched.ended(now_s, exit_code)
        assert "cannot persist" in event.text
        assert watched.state == "waiting"
        due_s = next(now_s + step / 10 for step in range(1000) if watched.is_due(now_s + step / 10))
        waits.append(round(due_s - now_s, 1))
        now_s = due_s
        watched.started(now_s)
    assert waits[:4] == [0.5, 1.0, 2.0, 3.0]
    assert max(waits) == 3.0
    assert watched.ended(now_s, -9).what == "ended", "a crash after it is the first one"


def test_its_wait_is_the_longest_one_after_however_many_ends() -> None:
    watched = Watched("live", replace(CONFIG, restart_window_s=1e9), 0.0)
    for number in range(1100):  # 2.0 ** 1024 is no float any more
        watched.started(float(number))
        watched.ended(float(number), 7)
    assert watched.is_due(1099.0 + CONFIG.most_backoff_s)


def test_a_process_that_cannot_write_at_its_start_keeps_the_service_from_nothing() -> None:
    watched = Watched("gateway", CONFIG, 0.0)
    watched.started(0.0)
    assert not watched.settled
    watched.ended(1.0, 8)
    assert watched.settled


def test_a_process_without_heartbeats_is_hung() -> None:
    watched = running()
    for second in range(1, int(HUNG_S) + 1):
        assert watched.looked(float(second), 1) is None
    assert watched.looked(HUNG_S + 1.0, 1) == f"no heartbeat for {HUNG_S:g} s"


def test_a_process_whose_heartbeat_is_gone_is_hung() -> None:
    watched = running()
    for second in range(1, int(HUNG_S) + 1):
        assert watched.looked(float(second), None) is None
    assert watched.looked(HUNG_S + 1.0, None) == f"no heartbeat for {HUNG_S:g} s"


def test_a_process_whose_heartbeat_is_gone_before_one_was_seen_is_hung() -> None:
    watched = Watched("live", CONFIG, 0.0)
    watched.started(0.0)
    for second in range(1, 60):
        assert watched.looked(float(second), None, is_made=True) is None  # it opens its engine
    for second in range(60, 61 + int(HUNG_S)):
        assert watched.looked(float(second), None) is None
    assert watched.ready() is None
    assert watched.looked(61.0 + HUNG_S, None) == f"no heartbeat for {HUNG_S:g} s"


def test_a_process_that_beats_is_not() -> None:
    watched = running()
    assert [watched.looked(float(second), second) for second in range(2, 100)] == [None] * 98


def test_a_process_may_take_long_to_start_but_not_for_ever() -> None:
    watched = Watched("live", CONFIG, 0.0)
    watched.started(0.0)
    for second in range(1, int(STARTED_WITHIN_S) + 1):
        assert watched.looked(float(second), None) is None
    assert watched.looked(STARTED_WITHIN_S + 1.0, None) == f"not ready within {STARTED_WITHIN_S:g} s"


def test_the_study_may_be_silent_for_longer_since_it_gets_the_cpu_last() -> None:
    study, live = patience_with("study"), patience_with("live")
    assert (live.hung_s, live.started_s) == (10.0, 180.0)
    assert study.hung_s > live.hung_s
    assert study.started_s > live.started_s


def test_a_machine_that_stood_still_makes_no_process_hung() -> None:
    watched = running()
    assert watched.looked(3600.0, 1) is None
    assert watched.looked(3600.1, 1) is None


def test_the_process_before_does_not_make_the_next_one_hung() -> None:
    watched = running()
    watched.looked(9.0, 1)
    watched.ended(9.0, 1)
    watched.started(100.0)
    assert watched.looked(101.0, None) is None
    assert watched.state == "starting"


def test_it_is_ready_once_at_its_first_heartbeat() -> None:
    watched = Watched("live", CONFIG, 0.0)
    watched.started(0.0)
    watched.looked(1.0, None)
    assert watched.ready() is None
    watched.looked(2.0, 5)
    event = watched.ready()
    assert event is not None
    assert event.text == "live: ready"
    assert (watched.state, watched.ready()) == ("running", None)


def test_a_process_that_ends_well_when_it_is_stopped() -> None:
    watched = running()
    assert watched.stopped(0).text == "live: ended"
    assert watched.well


def test_a_process_that_does_not() -> None:
    watched = running()
    assert watched.stopped(7).text == "live: ended with exit status 7, expected exit status 0"
    assert not watched.well


def test_a_process_that_sigterm_met_before_it_was_ready_has_ended_well() -> None:
    early = Watched("live", CONFIG, 0.0)
    early.started(0.0)
    early.stopped(-signal.SIGTERM)
    late = running()
    late.stopped(-signal.SIGTERM)
    assert (early.well, late.well) == (True, False)


def test_a_process_that_had_to_be_killed_has_lost_what_it_had_in_hand() -> None:
    watched = running()
    event = watched.stopped(-signal.SIGKILL, "not ended within 15 s of SIGTERM")
    assert event.text == "live: killed, not ended within 15 s of SIGTERM: what it had in hand is lost"
    assert not watched.well


def test_ends_in_words() -> None:
    assert [how_ended(code) for code in (0, 6, -9, -200)] == [
        "with exit status 0", "with exit status 6", "by SIGKILL", "by signal 200",
    ]  # fmt: skip
