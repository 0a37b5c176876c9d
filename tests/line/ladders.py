"""A live ladder in memory for tests: engines that do as they are told, a source and a line on a clock held by hand.

Not for: what must come of it (test_live_ladder.py, test_swap.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cathrt.runtime.alert import EngineChange
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import Config, LadderConfig, LineConfig
from cathrt.runtime.engines.fake import FakeEngine
from cathrt.runtime.errors import EngineError, EngineHungError, EngineLostError
from cathrt.runtime.frame import Frame, LostFrame
from cathrt.runtime.line.heat import Heat
from cathrt.runtime.line.ladder_place import Place, Rung
from cathrt.runtime.line.live_ladder import LiveLadder
from cathrt.runtime.line.pipeline import Line, watch
from cathrt.runtime.models import record_parts
from cathrt.runtime.models.keyframe.section import CLASSIFIER
from tests.clocks import ManualClock
from tests.lines import BUNDLE, MANIFEST, ArraySource, ListJournal, Tensors, brightness, picture, served

PERIOD_S = 1.0 / 15.0
SMALL = replace(BUNDLE, manifest=replace(MANIFEST, name="small"), manifest_sha256="5" * 64)
CONFIG = LadderConfig(back_after_s=9.0, most_back_s=600.0)


class Scripted(FakeEngine):
    """An engine that is well, until `fault` is set. takes_ms: by the clock held by hand."""

    def __init__(self, name: str, clock: ManualClock) -> None:
        network = MANIFEST.network(CLASSIFIER)
        super().__init__(network.input_specs(), network.output_specs(), self._judge)
        self._name, self._clock = name, clock
        self.fault: EngineError | None = None
        self.takes_ms = 1.0
        self.calls = self.closed = 0
        self.answer: Callable[[Tensors, Tensors], None] = brightness
        self.on_close: Callable[[], object] = lambda: None

    @property
    def name(self) -> str:
        return self._name

    def close(self) -> None:
        self.closed += 1
        self.on_close()
        super().close()

    def lose(self) -> None:
        self.fault = EngineLostError(f"{self._name}: the device is lost")

    def hang(self, within_ms: float = 800.0) -> None:
        """The next inference takes until its deadline."""
        self.takes_ms = within_ms
        self.fault = EngineHungError(f"{self._name}: an inference has not returned")

    def _judge(self, inputs: Tensors, outputs: Tensors) -> None:
        self.calls += 1
        self._clock.advance(self.takes_ms / 1e3)
        if self.fault is not None:
            raise self.fault
        self.answer(inputs, outputs)


@dataclass
class Pedal(ArraySource):
    """A run of frames at 15 Hz on the clock held by hand. before: what happens ahead of a frame, by its index."""

    clock: ManualClock = field(default_factory=ManualClock)
    before: Mapping[int, Callable[[], object]] = field(default_factory=dict)

    @property
    def run(self) -> Any:
        return replace(super().run, frame_count=None)

    def frames(self) -> Iterator[Frame | LostFrame]:
        due_ns = self.clock.now
        for index, score in enumerate(self.items):
            self.clock.wait_until(due_ns)
            if (act := self.before.get(index)) is not None:
                act()
            assert isinstance(score, float)
            yield Frame(picture(score, index), index, due_ns)
            due_ns += round(PERIOD_S * 1e9)


class Bench:
    """One live source: its engines by name, its ladder, its journal."""

    def __init__(
        self,
        *rungs: str | tuple[str, Bundle],
        config: LadderConfig = CONFIG,
        all_signs: bool = True,
        unopened: tuple[str, ...] = (),
        budget_ms: float = 60.0,
        bundle: Bundle = BUNDLE,
    ) -> None:
        """rungs: best first, each an engine's name, with its bundle where that is another one."""
        self.clock, self.heat = ManualClock(10**9), Heat()
        self.engines: dict[str, Scripted] = {}
        self.journal = ListJournal()
        self.config, self.budget_ms, self.all_signs = config, budget_ms, all_signs
        self.given, self.runs = bundle, 0
        self.opens: dict[str, Callable[[], Scripted]] = {}
        place = self.place(*rungs, bundle=bundle, unopened=unopened)
        line = Line((), record_parts(), Config(line=LineConfig(budget_ms=budget_ms)), self.clock, "live")
        self.ladder = LiveLadder("A", line, [place], self.journal, lambda: self.heat)

    def place(self, *rungs: str | tuple[str, Bundle], bundle: Bundle = BUNDLE, unopened: tuple[str, ...] = ()) -> Place:
        models = {}
        made = []
        for named in rungs:
            name, used = (named, bundle) if isinstance(named, str) else named
            if used.manifest_sha256 not in models:
                models[used.manifest_sha256] = served(used)
            self.opens.setdefault(name, lambda name=name: self._opened(name))  # type: ignore[misc]
            rung = Rung(name, models[used.manifest_sha256], lambda name=name: self.opens[name]())  # type: ignore[misc]
            if name in unopened:
                rung.why = f"{name} cannot be opened"
            else:
                rung.engine = self._opened(name)
            made.append(rung)
        return Place(made, self.config, self.clock, self.budget_ms, all_signs=self.all_signs)

    def run(self, frames: int, before: Mapping[int, Callable[[], object]] | None = None) -> Pedal:
        """One press of the pedal, until the ladder breaks it off or it ends."""
        self.runs += 1
        pedal = Pedal([0.1 + 0.02 * (i % 30) for i in range(frames)], name=f"run {self.runs}", clock=self.clock,
                      before=before or {})  # fmt: skip
        line = self.ladder.begin()
        watch(self.ladder.watched(pedal), line, self.ladder)
        self.ladder.end()
        return pedal

    def rest(self, seconds: float, step_s: float = 0.25) -> None:
        """A pause between runs, in which the thread beside the line looks and the line keeps warm."""
        until = self.clock.now + round(seconds * 1e9)
        while self.clock.now < until:
            self.clock.advance(step_s)
            self.ladder.look()
            self.ladder.settle()

    @property
    def changes(self) -> list[EngineChange]:
        return self.journal.of(EngineChange)

    @property
    def told(self) -> list[tuple[str, str, str | None]]:
        """what, reason and the engine after, of each change."""
        return [(change.what, change.reason, change.to_engine) for change in self.changes]

    def _opened(self, name: str) -> Scripted:
        self.engines[name] = Scripted(name, self.clock)
        return self.engines[name]
