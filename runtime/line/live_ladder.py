"""What judges one live source: its models, each on the rung of the ladder that is in force, and how that changes.

    with closing(ladder): while there are runs: line = ladder.begin(); watch(ladder.watched(run), line, ladder); end()

Engines of one bundle take over between two frames. Another bundle takes over between two runs, since a pass names its
bundle: a run that must not wait for it is broken off. Every change is a record. Not for: the rules (ladder.py,
ladder_signs.py, swap.py), engines (ladder_place.py).
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from cathrt.runtime.alert import EngineChange, EngineReason, EngineWhat, Outcome, Record, StoredRecord, Verdict
from cathrt.runtime.errors import CathrtError, EngineError, EngineLostError
from cathrt.runtime.frame import Frame, LostFrame, Run
from cathrt.runtime.identity import record_id
from cathrt.runtime.journal.lateness import boot
from cathrt.runtime.line.failover import FailoverEngine
from cathrt.runtime.line.heat import Heat, ReadHeat
from cathrt.runtime.line.ladder_place import Change, Place
from cathrt.runtime.line.pipeline import Line, Recorder
from cathrt.runtime.line.swap import OVER, Shadow, Swap
from cathrt.runtime.ports import Source

_HOT_LOOKS = 2  # in turn, before heat counts
_COOLS_NS = 10_000_000_000  # how long a lower rung may take to cool the processor
_log = logging.getLogger(__name__)
_Judging = tuple[str | None, str | None]  # engine and manifest_sha256


class LiveLadder:
    """The line of one live source. One thread uses it, but for look(), offer() and report(). Fits pipeline.Recorder."""

    def __init__(self, source: str, line: Line, places: Sequence[Place], journal: Recorder, heat: ReadHeat) -> None:
        """line: its models are replaced by those of `places`. Says in the journal what judges at the start."""
        self.source = source
        self._places, self._journal, self._read_heat = list(places), journal, heat
        self._line = replace(line, models=tuple(place.served() for place in places))
        self._clock = line.clock
        self._numbers = itertools.count()
        self._announced: list[int | None] = []
        self._run_on = False
        self._hot = {"cpu": 0, "gpu": 0}  # looks in turn
        self._verdict: Verdict | None = None  # the newest
        self._swap: Swap | None = None
        self._beside: Place | None = None  # compared in shadow; on trial, the one that was judging before
        self._on_new = False
        self._shadow: Shadow | None = None  # of the run that is on
        self._run: Run | None = None
        self._discarded: list[Place] = []
        for place in self._places:
            rung = place.in_force
            self._announced.append(rung)
            what: EngineWhat = "off" if rung is None else "down" if rung else "started"
            self._say(place, what, place.change, (None, None), _judging(place, rung))

    # For the line's thread.

    def begin(self) -> Line:
        """The line for the next run."""
        self.settle()
        self._run_on, self._verdict, self._shadow, self._run = True, None, None, None
        self._line = replace(self._line, models=tuple(place.served() for place in self._places))
        return self._line

    def end(self) -> None:
        """The run is over."""
        self._run_on, self._shadow = False, None
        self.settle()

    def watched(self, run: Source) -> Source:
        """The same run, which ends where another bundle must take over."""
        return _WatchedRun(run, self)

    def append(self, record: Record) -> None:
        """Hand a record on to the journal, and look at how a frame ended."""
        self._journal.append(record)
        if isinstance(record, Verdict):
            self._saw(record)

    def stored(self, pass_id: str) -> tuple[StoredRecord, ...]:
        """What the journal holds of a pass."""
        return self._journal.stored(pass_id)

    def cannot_take(self, exc: EngineError) -> None:
        """The engine in force could not prepare for a run."""
        now_ns = self._clock.now_ns()
        for place in self._places:
            place.leave("errors", f"it cannot take a run: {exc}", now_ns)
        self._announce()

    def settle(self) -> None:
        """What can only happen between two runs: a better rung judges again, a bundle comes in. Else does nothing."""
        if self._run_on:
            return
        for place in self._places:
            place.take_in_ready()
        self._announce()
        self._settle_swap()

    def warm(self) -> bool:
        """One inference of each model while no frame comes. Whether each could make one. Raises nothing."""
        self.settle()
        models = self._line.models if self._run_on else [place.served() for place in self._places]
        well = True
        for served in models:
            engine = served.engine
            try:
                if isinstance(engine, FailoverEngine) and engine.can_keep_warm:
                    engine.keep_warm()
                    engine.require_alive()
                else:
                    engine.infer(engine.input_buffers)
            except EngineError as exc:
                well = False
                if not isinstance(exc, EngineLostError):
                    _log.warning("%s: a dummy inference failed: %s", self.source, exc)
        self._announce()
        return well

    @property
    def may_get_slow(self) -> bool:
        """Whether a rung has an engine that may get slow in a pause, be it the one that judges or not."""
        return self.gets_slow or any(rung.on_gpu for place in self._places for rung in place.rungs)

    @property
    def gets_slow(self) -> bool:
        """Whether an engine that judges gets slow in a pause."""
        engines = [place.served().engine for place in self._places]
        return any(isinstance(engine, FailoverEngine) and engine.can_keep_warm for engine in engines)

    @property
    def breaks_off(self) -> bool:
        """Whether the run that is on must end now, so that another bundle judges what follows."""
        if self._on_new and self._swap is not None and self._swap.phase == "rolled back":
            return True
        for place, served in zip(self._places, self._line.models, strict=True):
            rung = place.in_force
            if place.waits_for_run or (rung is not None and place.rungs[rung].served.bundle is not served.bundle):
                return True
        return False

    def began(self, run: Run) -> None:
        """The first frame of that run comes."""
        self._run = run

    def between(self, item: Frame | LostFrame) -> None:
        """The frame has its verdict, and the line asks for the next one: there may be time for a look in shadow."""
        swap, beside, verdict, run = self._swap, self._beside, self._verdict, self._run
        if swap is None or beside is None or swap.phase != "comparing" or not isinstance(item, Frame):
            return
        if self._shadow is None and item.index == 0 and run is not None:  # from its first frame on, or not at all
            try:
                self._shadow = Shadow(beside.served(), run, swap, self._clock, self._line.config.line.budget_ms)
            except CathrtError as exc:
                swap.refuse("errors", f"it cannot take a run: {exc}")
        if self._shadow is not None and verdict is not None and verdict.frame_index == item.index:
            self._shadow.see(item, verdict)

    # For the threads beside it.

    def look(self) -> None:
        """Read the temperature, probe what may come back, close what judges no more. For one thread, some times a
        second."""
        discarded, self._discarded = self._discarded, []
        for place in discarded:
            place.close()
        heat = self._read_heat()
        for device, hot in (("cpu", heat.cpu), ("gpu", heat.gpu)):
            self._hot[device] = self._hot[device] + 1 if hot else 0
        for place in tuple(self._places):
            place.look(idle=not self._run_on, hot=self._is_hot(place, heat))

    def offer(self, swap: Swap, place: Place) -> None:
        """A bundle is loaded beside, to be compared in shadow from the next run on."""
        ours = next(each for each in self._places if each.kind == place.kind)
        change = Change("asked", f"bundle {swap.bundle.manifest.name} is compared from the next run on", swap.began_ns)
        self._say(ours, "loaded", change, _judging(ours, ours.in_force), _judging(place, 0))
        self._on_new, self._beside = False, place
        self._swap = swap  # last: the line's thread looks at it first

    def refused(self, kind: str, reason: EngineReason, detail: str, since_ns: int) -> None:
        """Say that a bundle does not come in, which was not even compared. kind: of its model, if that is known."""
        ours = next((place for place in self._places if place.kind == kind), self._places[0])
        judging = _judging(ours, ours.in_force)
        self._say(ours, "refused", Change(reason, detail, since_ns), judging, (None, None))

    @property
    def swapping(self) -> bool:
        """Whether a bundle is on its way in."""
        return self._swap is not None

    @property
    def run_on(self) -> bool:
        """Whether a run is being judged."""
        return self._run_on

    @property
    def kinds(self) -> tuple[str, ...]:
        """Of the models."""
        return tuple(place.kind for place in self._places)

    @property
    def live_ai(self) -> bool:
        """Whether every model judges."""
        return all(place.in_force is not None for place in self._places)

    @property
    def needs_new_process(self) -> bool:
        """Whether an engine that is lost may come back in a new process alone."""
        return any(place.needs_new_process for place in self._places)

    def report(self) -> dict[str, Any]:
        """By kind of model, how it is, as health reads it."""
        return {place.kind: _report(place) for place in tuple(self._places)}

    def close(self) -> None:
        """Close every engine. Once no other thread looks any more."""
        beside = [] if self._beside is None else [self._beside]
        for place in (*self._places, *beside, *self._discarded):
            place.close()

    def _saw(self, verdict: Verdict) -> None:
        self._verdict, now_ns = verdict, self._clock.now_ns()
        for place in self._places:
            place.saw(verdict, now_ns)
            on_gpu = (number := place.in_force) is not None and place.rungs[number].on_gpu
            if self._hot["gpu" if on_gpu else "cpu"] >= _HOT_LOOKS and now_ns - place.change.since_ns > _COOLS_NS:
                place.leave("heat", f"the {'GPU' if on_gpu else 'CPU'} is throttled for heat", now_ns)
        if self._on_new and self._swap is not None:
            self._watch_trial(verdict, self._swap)
        self._announce()

    def _watch_trial(self, verdict: Verdict, swap: Swap) -> None:
        place = next(place for place in self._places if place.kind == swap.bundle.manifest.kind)
        found = any(finding.kind == place.kind for finding in verdict.findings)
        if place.in_force != 0:
            swap.roll_back(place.change.reason, place.change.detail)
        elif verdict.outcome is Outcome.FAILED and verdict.retry and not found:
            swap.roll_back("errors", verdict.reason or "a frame failed")
        elif place.signs.overload is not None:
            swap.roll_back("overload", "too many frames are late or overrun")
        elif found:
            swap.judged()

    def _announce(self) -> None:
        """Say in the journal which rung judges now, where that has changed."""
        for index, place in enumerate(self._places):
            rung, before = place.in_force, self._announced[index]
            if rung == before:
                continue
            self._announced[index] = rung
            better = before is None or (rung is not None and rung < before)
            what: EngineWhat = "off" if rung is None else "up" if better else "down"
            self._say(place, what, place.change, _judging(place, before), _judging(place, rung))

    def _settle_swap(self) -> None:
        swap, beside = self._swap, self._beside
        if swap is None or beside is None:
            return
        index = next(i for i, place in enumerate(self._places) if place.kind == beside.kind)
        old = self._places[index]
        change = Change(swap.reason, swap.detail, swap.began_ns)
        now, new = _judging(old, old.in_force), _judging(beside, 0)
        if swap.phase in ("on trial", "kept") and not self._on_new:
            self._say(old, "compared", change, now, new)
            self._exchange(index, beside, on_new=True)
            self._say(beside, "swapped", change, now, _judging(beside, beside.in_force))
        elif swap.phase == "kept":
            self._say(old, "kept", change, now, now)
        elif swap.phase == "rolled back" and self._on_new:
            self._exchange(index, beside, on_new=False)
            self._say(beside, "rolled_back", change, _judging(old, 0), _judging(beside, beside.in_force))
        elif swap.phase == "refused":
            self._say(old, "refused", change, now, new)
        if swap.phase in OVER:
            assert self._beside is not None
            self._discarded.append(self._beside)
            self._swap = self._beside = None
            self._on_new = False

    def _exchange(self, index: int, place: Place, *, on_new: bool) -> None:
        self._beside, self._places[index] = self._places[index], place
        self._announced[index] = place.in_force
        self._on_new = on_new

    def _is_hot(self, place: Place, heat: Heat) -> bool:
        return heat.gpu if any(rung.on_gpu for rung in place.rungs) else heat.cpu

    def _say(self, place: Place, what: EngineWhat, change: Change, before: _Judging, after: _Judging) -> None:
        """place: what judges now."""
        now_ns, rung = self._clock.now_ns(), place.in_force
        self._journal.append(
            EngineChange(
                id=record_id(f"{boot()}|{self.source}", "engine", f"{now_ns}|{next(self._numbers)}"),
                source=self.source,
                kind=place.kind,
                what=what,
                reason=change.reason,
                from_engine=before[0],
                from_manifest_sha256=before[1],
                to_engine=after[0],
                to_manifest_sha256=after[1],
                rung=rung,
                rungs=len(place.rungs),
                live_ai=rung is not None,
                took_ms=max(0.0, (now_ns - change.since_ns) / 1e6),
                detail=change.detail,
                notice=self._line.notice,
            )
        )


class _WatchedRun:
    """A run that the ladder may end (ports.Source)."""

    def __init__(self, source: Source, ladder: LiveLadder) -> None:
        self._source, self._ladder = source, ladder

    @property
    def run(self) -> Run:
        return self._source.run

    def frames(self) -> Iterator[Frame | LostFrame]:
        self._ladder.began(self._source.run)
        for item in self._source.frames():
            yield item
            self._ladder.between(item)
            if self._ladder.breaks_off:
                self._source.close()
                return

    def close(self) -> None:
        self._source.close()


def _judging(place: Place, rung: int | None) -> _Judging:
    if rung is None:
        return None, None
    return place.rungs[rung].label, place.rungs[rung].served.bundle.manifest_sha256


def _report(place: Place) -> dict[str, Any]:
    rung = place.in_force
    engine, manifest = _judging(place, rung)
    return {
        "engine": engine,
        "manifest_sha256": manifest,
        "bundle": None if rung is None else place.rungs[rung].served.bundle.manifest.name,
        "rung": rung,
        "rungs": len(place.rungs),
        "live_ai": rung is not None,
        "reason": place.change.reason,
        "detail": place.change.detail,
        "since_ns": place.change.since_ns,
        "left_behind": place.left_behind,
    }
