"""The state machine of the ladder alone, on a clock held by hand: it never flaps, and never forgets a rung."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cathrt.runtime.config import LadderConfig
from cathrt.runtime.line.ladder import PROBES, Ladder
from tests.clocks import ManualClock

CONFIG = LadderConfig(back_after_s=9.0, most_back_s=100.0)


def ladder_of(rungs: int) -> tuple[Ladder, ManualClock]:
    clock = ManualClock(10**9)
    return Ladder(rungs, CONFIG, clock.now_ns), clock


def test_a_rung_comes_back_after_its_probes_over_the_whole_wait() -> None:
    ladder, clock = ladder_of(2)
    ladder.put_out(0, "errors")
    assert ladder.in_force == 1
    began, probes = clock.now, 0
    while not ladder.ready:
        clock.advance(0.1)
        if ladder.due() == 0:
            probes += 1
            ladder.probed(0, well=True)
    assert probes == PROBES
    assert 0.99 * CONFIG.back_after_s <= (clock.now - began) / 1e9 <= 1.1 * CONFIG.back_after_s
    assert ladder.in_force == 1, "not before somebody takes it in"
    ladder.take_in(0)
    assert ladder.in_force == 0


def test_one_bad_probe_begins_the_wait_anew_and_longer() -> None:
    ladder, clock = ladder_of(2)
    ladder.put_out(0, "errors")
    clock.advance(3.0)
    ladder.probed(0, well=True)
    clock.advance(3.0)
    ladder.probed(0, well=False)
    clock.advance(5.9)
    assert ladder.due() is None
    clock.advance(0.2)
    assert ladder.due() == 0


def test_where_none_is_left_one_probe_after_a_second_is_enough_for_any_rung() -> None:
    ladder, clock = ladder_of(2)
    ladder.put_out(0, "lost")
    ladder.put_out(1, "hung")
    assert ladder.in_force is None
    clock.advance(1.0)
    assert ladder.due() == 0
    ladder.probed(0, well=False)
    assert ladder.due() == 1
    ladder.probed(1, well=True)
    assert ladder.ready == (1,)
    ladder.take_in(1)
    assert ladder.in_force == 1


Act = st.sampled_from(["out", "well", "bad", "wait", "in"])


@settings(max_examples=200)
@given(st.lists(st.tuples(Act, st.integers(0, 3)), max_size=60))
def test_every_rung_that_is_out_is_tried_again_in_time_whatever_happens(acts: list[tuple[str, int]]) -> None:
    ladder, clock = ladder_of(4)
    for act, number in acts:
        if act == "out":
            ladder.put_out(number, "errors")
        elif act in ("well", "bad"):
            ladder.probed(number, well=act == "well")
        elif act == "wait":
            clock.advance(float(1 + number))
        elif number in ladder.ready:
            ladder.take_in(number)
        assert ladder.in_force == next((n for n in range(4) if ladder.is_in(n)), None)
    for number in ladder.ready:
        ladder.take_in(number)
    tried = {number for number in range(4) if ladder.is_in(number)}
    for _ in range(4):
        clock.advance(CONFIG.most_back_s)
        while (due := ladder.due()) is not None:
            tried.add(due)
            ladder.probed(due, well=False)
    assert tried == set(range(4))
