"""Gives the line its frames: as fast as it takes them, or each when it is due.

Not for: judging lateness (pipeline.py). A paced frame's acquired_ns is the time it was *due*, fixed before the run,
so waiting anywhere counts against us (no coordinated omission: MLPerf, wrk2).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from cathrt.runtime.clock import Clock
from cathrt.runtime.frame import Frame, LostFrame
from cathrt.runtime.line.keep_warm import KeepWarm
from cathrt.runtime.ports import Source


def as_taken(source: Source) -> Iterator[Frame | LostFrame]:
    """Each frame when the line asks for it: nothing is ever dropped, and the same input gives the same verdicts."""
    yield from source.frames()


def in_real_time(
    source: Source, queue_frames: int, clock: Clock, keep_warm: KeepWarm | None = None
) -> Iterator[Frame | LostFrame]:
    """Each frame when it is due, whether or not the line is ready.

    At most queue_frames frames wait; one more overruns the oldest, which comes out in its place as a LostFrame:
    the newest picture matters most, and none vanishes. Errors of the source surface here.
    keep_warm: runs while no frame waits.
    """
    waiting: deque[Frame | LostFrame] = deque()
    changed = threading.Condition()
    over = threading.Event()
    failure: list[BaseException] = []

    def feed() -> None:
        try:
            start_ns: int | None = None
            for item in source.frames():
                if over.is_set():
                    return
                if start_ns is None:
                    start_ns = clock.now_ns()
                due_ns = start_ns + round(source.run.timing.due_ms(item.index) * 1e6)
                clock.wait_until(due_ns)
                with changed:
                    _overrun_oldest(waiting, queue_frames)
                    waiting.append(replace(item, acquired_ns=due_ns))
                    changed.notify()
        except BaseException as exc:
            failure.append(exc)
        finally:
            over.set()
            with changed:
                changed.notify()

    feeder = threading.Thread(target=feed, name="cathrt-feed", daemon=True)
    feeder.start()
    try:
        while True:
            with changed:
                if not waiting and not over.is_set():
                    changed.wait(keep_warm.patience_s if keep_warm else None)
                item = waiting.popleft() if waiting else None
                ended = item is None and over.is_set()
            if item is not None:
                yield item
                if keep_warm:
                    keep_warm.worked()
            elif ended:
                break
            elif keep_warm:
                keep_warm.idle()
        if failure:
            raise failure[0]
    finally:
        over.set()
        feeder.join()


def _overrun_oldest(waiting: deque[Frame | LostFrame], queue_frames: int) -> None:
    frames = [position for position, item in enumerate(waiting) if isinstance(item, Frame)]
    if len(frames) >= queue_frames:
        oldest = waiting[frames[0]]
        waiting[frames[0]] = LostFrame(
            oldest.index, oldest.acquired_ns, f"overrun: {queue_frames} newer frames were waiting", failed=False
        )
