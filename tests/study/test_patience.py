"""A process that waits for something with a time limit says that it works, and falls silent when the limit is over."""

from __future__ import annotations

import threading

from cathrt.runtime.study.patience import Patience, beating


def test_patience_lasts_as_long_as_the_step_in_hand_may_take() -> None:
    now_s = 10.0
    patience = Patience(lambda: now_s)
    assert not patience.lasts
    patience.allow(5.0)
    now_s = 14.9
    assert patience.lasts
    now_s = 15.0
    assert not patience.lasts


def test_it_beats_while_patience_lasts() -> None:
    beaten = threading.Event()
    with beating(beaten.set) as patience:
        patience.allow(60.0)
        assert beaten.wait(60.0)
    assert "cathrt-patience" not in {thread.name for thread in threading.enumerate()}
