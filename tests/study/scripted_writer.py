"""A writer of drafts without networks, which does at each token what a test says. Not for: what a draft says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from cathrt.runtime.alert import Draft, StudyFinding
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.frame import Frame, Run
from cathrt.runtime.model_kind import FrameOfRun, StudyRun
from tests import lines
from tests.passes import draft

TOKENS = 5


def _nothing(token: int) -> None:
    """At no token anything happens."""


@dataclass
class ScriptedWriter:
    """Fits model_kind.Writer. at_token(number): before each token of all drafts. log: what it was asked, in order.

    leave: how the draft in hand is told to give way.
    """

    at_token: Callable[[int], None] = _nothing
    prepared: Callable[[], None] = lambda: None
    bundle: Bundle = lines.BUNDLE
    seen: dict[FrameOfRun, Frame] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    written: list[tuple[StudyRun, ...]] = field(default_factory=list)
    studies: list[str] = field(default_factory=list)
    readings: list[Sequence[Sequence[StudyFinding]]] = field(default_factory=list)
    leave: threading.Event = field(default_factory=threading.Event)
    tokens: int = 0

    def prepare(self) -> None:
        self.log.append("prepare")
        self.prepared()

    def lacks(self, runs: Sequence[StudyRun]) -> Sequence[FrameOfRun]:
        wanted = [FrameOfRun(run.run_id, run.key_frames[0]) for run in runs if run.side is not None]
        return [which for which in wanted if which not in self.seen]

    def see(self, which: FrameOfRun, run: Run, frame: Frame) -> None:
        assert (run.run_id, frame.index) == (which.run_id, which.frame_index)
        self.log.append("see")
        self.seen[which] = frame

    def write(
        self,
        study: str,
        runs: Sequence[StudyRun],
        stop: threading.Event,
        told: Callable[[], None] = lambda: None,
        readings: Sequence[Sequence[StudyFinding]] = (),
    ) -> Draft | None:
        self.log.append("write")
        self.readings.append(readings)
        self.studies.append(study)
        self.leave = stop
        for _ in range(TOKENS):
            if stop.is_set():
                return None
            self.tokens += 1
            self.at_token(self.tokens)
            told()
        self.written.append(tuple(runs))
        return draft().draft

    def withheld(self, reason: str) -> Draft:
        return replace(draft().draft, text=None, text_ja=None, withheld=reason)

    def close(self) -> None:
        self.log.append("close")
