"""Takes requests for another bundle in the running live process, and says how far each is.

A bundle is checked by a thread that has the CPU only when nobody else wants it, and loaded in a pause between runs if
one comes soon. Not for: comparing and exchanging it (line/swap.py, line/live_ladder.py), its files (swap_files.py).
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cathrt.runtime.alert import EngineReason
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.clock import Clock
from cathrt.runtime.config import Config
from cathrt.runtime.engines.device_thread import DeviceThread
from cathrt.runtime.errors import CathrtError, ConfigError, EngineError, ManifestError, SinkError
from cathrt.runtime.line.ladder_place import Place
from cathrt.runtime.line.live_ladder import LiveLadder
from cathrt.runtime.line.replay import row_of
from cathrt.runtime.line.swap import Swap
from cathrt.runtime.models import trusted_bundle
from cathrt.runtime.processes.state_folder import StateFolder
from cathrt.runtime.processes.swap_files import (
    OVER,
    WELL,
    SwapAnswer,
    SwappedIn,
    SwapRequest,
    answer_swap,
    keep_swapped,
    swap_answer,
    swap_request,
)

_CHECKED_WITHIN_MS = 1_800_000.0  # gigabytes, hashed on an idle CPU
_PAUSE_S, _LOOK_S = 30.0, 0.1  # longest wait for a pause between runs; how often it is looked for
_LOWEST_NICE = 19
_log = logging.getLogger(__name__)


class Lane(Protocol):
    """One live source, as the desk sees it. ladder: None until it is open."""

    @property
    def ladder(self) -> LiveLadder | None: ...
    def open_beside(self, bundle: Bundle) -> Place:
        """The new bundle's place on the ladder. Raises CathrtError."""


@dataclass(slots=True, eq=False)
class SwapDesk:
    """One request at a time. look() is for the main thread, some times a second; it never waits."""

    state: StateFolder
    config: Config
    lanes: Sequence[Lane]
    clock: Clock
    stop: threading.Event
    swap: Swap | None = None
    said: SwapAnswer | None = None
    _request: SwapRequest | None = None
    _loader: threading.Thread | None = None
    _failure: tuple[str, EngineReason, str] | None = None  # kind, why and how loading failed
    _began_ns: int = 0
    _fault: str = ""  # logged last

    def restart(self, faults: Mapping[str, str]) -> None:
        """Tell of what a process before left undone, and of bundles that were kept and cannot be opened any more."""
        ladders = self._ladders()
        now_ns = self.clock.now_ns()
        for kind, fault in faults.items():
            _log.warning("%s", fault)
            for ladder in ladders:
                ladder.refused(kind, "bundle", fault, now_ns)
        try:
            before = self.said = swap_answer(self.state)
            if before is not None and before.phase not in OVER:
                detail = f"the live process ended while it was {before.phase}: ask again"
                for ladder in ladders:
                    ladder.refused("", "restart", detail, now_ns)
                self._answer(before.id, before.bundle, "refused", "restart", detail)
        except SinkError as exc:
            _log.error("swap: %s", exc)

    def look(self) -> None:
        """Do what is due. What cannot be read or written is logged, and live sources go on."""
        try:
            if self._request is None:
                self._take()
            elif self.swap is None:
                self._loaded()
            else:
                self._follow(self._request, self.swap)
            self._fault = ""
        except SinkError as exc:
            if str(exc) != self._fault:  # once, not twice a second
                _log.error("swap: %s", exc)
            self._fault = str(exc)

    def _take(self) -> None:
        request = swap_request(self.state)
        if request is None or (self.said is not None and self.said.id == request.id):
            return
        if len(self._ladders()) < len(self.lanes) or not self.lanes:
            return  # still opening
        self._answer(request.id, request.bundle, "checking", "asked", "its signature, its files, its engines")
        self._request, self._began_ns = request, self.clock.now_ns()
        self._loader = threading.Thread(target=self._load, args=(request,), name="cathrt-swap", daemon=True)
        self._loader.start()

    def _loaded(self) -> None:
        if self._failure is None or self._request is None:
            return
        kind, reason, detail = self._failure
        for ladder in self._ladders():
            ladder.refused(kind, reason, detail, self._began_ns)
        self._answer(self._request.id, self._request.bundle, "refused", reason, detail)
        self._request = self._failure = None

    def _follow(self, request: SwapRequest, swap: Swap) -> None:
        swap.look()
        phase = swap.phase
        if phase in OVER and any(ladder.swapping for ladder in self._ladders()):
            return  # until each line has done it
        if phase == WELL:
            manifest = swap.bundle.manifest
            keep_swapped(self.state, SwappedIn(manifest.kind, request.bundle, swap.bundle.manifest_sha256))
        if phase == "comparing":
            detail, frames, of = f"{swap.skipped} frames left out: no time", swap.compared, swap.config.shadow_frames
        else:
            detail, frames, of = swap.detail, swap.watched, swap.config.watch_frames
        self._answer(request.id, request.bundle, phase, swap.reason, detail, frames, of)
        if phase in OVER:
            self._request = self.swap = None

    def _answer(
        self, id_: str, bundle: str, phase: str, reason: str, detail: str, frames: int = 0, of: int = 0
    ) -> None:
        answer = SwapAnswer(id_, bundle, phase, reason, detail, frames, of)
        if answer != self.said:
            answer_swap(self.state, answer)
            self.said = answer

    def _load(self, request: SwapRequest) -> None:
        """In a thread of its own."""
        kind, places = "", list[tuple[LiveLadder, Place]]()
        try:
            bundle = self._checked(Path(request.bundle))
            kind = bundle.manifest.kind
            self._wait_for_pause()
            for lane in self.lanes:
                if (ladder := lane.ladder) is not None:
                    places.append((ladder, lane.open_beside(bundle)))
            cost_ms = max(_cost_ms(place, self.clock) for _, place in places)
            swap = Swap(bundle, self.config.swap, self.clock, cost_ms)
        except CathrtError as exc:
            for _, place in places:
                place.close()
            reason: EngineReason = "bundle" if isinstance(exc, ManifestError | ConfigError) else "errors"
            _log.warning("swap to %s is refused: %s", request.bundle, exc)
            self._failure = kind, reason, str(exc)
            return
        for ladder, place in places:
            ladder.offer(swap, place)
        self.swap = swap

    def _checked(self, path: Path) -> Bundle:
        """The bundle, checked at the lowest priority. Raises ManifestError, ConfigError."""
        ladders = self._ladders()
        checker = DeviceThread("cathrt-swap-check")
        try:
            checker.call(_lowest_priority, _CHECKED_WITHIN_MS)
            bundle = checker.call(lambda: trusted_bundle(path, self.config), _CHECKED_WITHIN_MS)
        except TimeoutError as exc:
            raise ManifestError(f"bundle {path} refused: it was not read within half an hour: check the disk") from exc
        finally:
            checker.end()
        kinds = ladders[0].kinds
        if bundle.manifest.kind not in kinds:
            raise ConfigError(
                f"bundle {path} is of kind {bundle.manifest.kind}, expected one of {', '.join(kinds)}, which judge here"
            )
        row_of(bundle, [bundle])
        return bundle

    def _wait_for_pause(self) -> None:
        """Loading takes CPU time from frames, so it waits for a pause between runs, but not for ever."""
        until_ns = self.clock.now_ns() + round(_PAUSE_S * 1e9)
        while any(ladder.run_on for ladder in self._ladders()) and self.clock.now_ns() < until_ns:
            if self.stop.wait(_LOOK_S):
                return

    def _ladders(self) -> list[LiveLadder]:
        return [lane.ladder for lane in self.lanes if lane.ladder is not None]


def _lowest_priority() -> None:
    """Of the calling thread (Linux: priorities belong to threads)."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST_NICE)


def _cost_ms(place: Place, clock: Clock) -> float:
    """What one inference takes on the best rung. Raises EngineError where it cannot be opened, fails or is too slow."""
    engine = place.rungs[0].engine
    if engine is None:
        raise EngineError(place.rungs[0].why)
    for _ in range(2):  # the first one warms up
        began_ns = clock.now_ns()
        engine.infer(engine.input_buffers)
    cost_ms = (clock.now_ns() - began_ns) / 1e6
    if cost_ms > place.budget_ms:
        raise EngineError(f"an inference takes {cost_ms:.0f} ms, the budget of a frame is {place.budget_ms:g} ms")
    return cost_ms
