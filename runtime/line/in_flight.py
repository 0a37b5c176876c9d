"""Several frames under way, their verdicts in order: while one frame is inferred, the next is prepared and the one
before it goes to the journal.

How many is the engine's to say; at real time it is one, and a frame has its verdict before the next is asked for. Not
for: judging a frame (judge.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping

from cathrt.runtime.alert import Verdict
from cathrt.runtime.failpoints import failpoint
from cathrt.runtime.frame import Frame, LostFrame
from cathrt.runtime.line.judge import Judge


def verdicts_in_order(
    items: Iterable[tuple[Frame | LostFrame, float]], judge: Judge, stands: Mapping[int, Verdict]
) -> Iterator[tuple[Verdict, int | None]]:
    """Each frame's verdict and when the frame was due; None with one that stands, which is not judged again.

    items: with the milliseconds that each was waited for. The verdicts are those of one frame after the other: a frame
    begins only when all that its verdict rests on is known.
    """
    begun: deque[tuple[Callable[[], Verdict], int]] = deque()

    def finished(left: int) -> Iterator[tuple[Verdict, int | None]]:
        while len(begun) > left:
            finish, due_ns = begun.popleft()
            yield finish(), due_ns

    for item, waited_ms in items:
        failpoint("line.received")
        standing = stands.get(item.index)
        if standing is not None:
            yield from finished(0)
            judge.stands(item, standing)
            yield standing, None
            continue
        if judge.rests_on_unfinished(item):
            yield from finished(0)
        begun.append((judge.begin(item, waited_ms), item.acquired_ns))
        yield from finished(judge.in_flight - 1)
    yield from finished(0)
