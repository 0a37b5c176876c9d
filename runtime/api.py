"""The few names for programs that use cathrt as a library: open a bundle, name runs, judge them, read the records.

It is the line that `cathrt replay` runs, with the same journal and the same policy (docs/library.md). Exporting a
checkpoint is cathrt.export.api. Not for: anything that the line does itself (line/).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime import models
from cathrt.runtime.alert import Alert, PassStart, Rate, Record, Refusal, RunSummary, Verdict
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import Config
from cathrt.runtime.errors import ConfigError, EngineError, EngineLostError, ManifestError, SourceError
from cathrt.runtime.frame import DEFAULT_RATE_HZ, MAX_RATE_HZ, MIN_RATE_HZ, PhotometricInterpretation, is_rate
from cathrt.runtime.line.handover import Handover, LeftError, until_left
from cathrt.runtime.line.pipeline import Line
from cathrt.runtime.line.replay import opened_journal, opened_line, replay
from cathrt.runtime.ports import Opening
from cathrt.runtime.sources.still_sequences import StillsAre

__all__ = [
    "Alert",
    "OpenLine",
    "PassStart",
    "Record",
    "Refusal",
    "RunSummary",
    "Verdict",
    "load_config",
    "open_bundle",
    "open_line",
    "run_from_frames",
    "run_from_phantom",
    "runs_from_paths",
]

_log = logging.getLogger(__name__)
_REFUSED_WITH = {
    kind.__name__: kind for kind in (SourceError, ManifestError, ConfigError, EngineError, EngineLostError)
}


def load_config(path: Path | str | None = None) -> Config:
    """The configuration of a TOML file (docs/configuration.md); None for the defaults. Raises ConfigError."""
    return models.load_config(None if path is None else Path(path))


def open_bundle(folder: Path | str | None = None, config: Config | None = None) -> Bundle:
    """Check a bundle from its signature to its last file; None for the demonstration bundle.

    config: names the keys that may have signed it (trust.keys). Raises ManifestError, ConfigError.
    """
    return models.trusted_bundle(None if folder is None else Path(folder), config or load_config())


def runs_from_paths(
    *paths: Path | str, rate_hz: float | None = None, stills_are: StillsAre = "auto", config: Config | None = None
) -> tuple[Opening, ...]:
    """The runs in files and folders: DICOM, video, stills. None is opened before it is judged.

    rate_hz, stills_are: as --rate-hz and --stills of `cathrt replay` (docs/sources.md). config: its [limits] count.
    A file that turns out to be no run becomes a Refusal among the records. Raises SourceError where there is nothing to
    open, or for a rate that none can have.
    """
    from cathrt.runtime.sources.decoder.sandbox import opening_of
    from cathrt.runtime.sources.discover import discover, passed_over, require_inputs

    if rate_hz is not None and not is_rate(rate_hz):
        raise SourceError(f"rate_hz {rate_hz!r}, expected {MIN_RATE_HZ:g} to {MAX_RATE_HZ:g} frames a second")
    found = discover(paths, stills_are=stills_are, rate_hz=rate_hz)
    for reason in passed_over(found.ignored):
        _log.info("%s", reason)
    require_inputs(found, paths)
    limits = (config or load_config()).limits
    return tuple(opening_of(one, limits) for one in found.inputs)


def run_from_frames(
    frames: NDArray[Any],
    frame_rate_hz: float,
    *,
    bits_stored: int | None = None,
    photometric_interpretation: PhotometricInterpretation = "MONOCHROME2",
    name: str = "array",
) -> Opening:
    """A run of frames that the program has in memory, without a window of its own.

    frames: (frames, rows, columns) uint8 or uint16 stored values; leave them as they are until all are judged.
    frame_rate_hz: the rules over time count in seconds. bits_stored: each value is < 2**bits_stored; None for 8 of
    uint8, 16 of uint16. name: what records call it. Raises SourceError for any other array.
    """
    from cathrt.runtime.sources.array import ArrayRun

    given = partial(
        ArrayRun,
        frames,
        frame_rate_hz,
        bits_stored=bits_stored,
        photometric_interpretation=photometric_interpretation,
        name=name,
    )
    given()  # what is no run is said here, not when it is judged
    return Opening(name, given)


def run_from_phantom(
    seed: int, *, side: Literal["left", "right"] | None = None, kind: str | None = "coronary", matrix: int = 512
) -> Opening:
    """A generated run (docs/phantom.md); the same arguments give the same pixels.

    kind: "coronary", "no_contrast", ...; None draws one. matrix: rows and columns, 64 to 2048.
    Raises ValueError for anything else.
    """
    from cathrt.runtime.phantom import PhantomSource, sample_scene

    scene = sample_scene(seed, side=side, kind=kind, matrix=matrix)  # type: ignore[arg-type]  # it checks the kind
    return Opening(f"phantom seed {seed}", lambda: PhantomSource(scene))


@contextmanager
def open_line(*bundles: Bundle, config: Config | None = None, rate: Rate = "max") -> Iterator[OpenLine]:
    """Engines loaded and warm, until the `with` block ends. bundles: at least one, each of another kind.

    rate: "max" judges as fast as it can; "realtime" gives each frame when it is due, and what takes longer than
    line.budget_ms is LATE. Raises EngineError, ConfigError, ManifestError; EngineLostError at the end where an engine
    was lost on the way. Everything runs in one thread of its own: use it from one thread at a time.
    """
    if not bundles:
        raise ConfigError("no bundle: give at least one, such as open_bundle()")
    settings = config or load_config()
    with ThreadPoolExecutor(1, thread_name_prefix="cathrt-line") as thread:
        opening = opened_line(bundles, settings, rate)
        line = OpenLine(thread.submit(opening.__enter__).result(), settings, thread)
        try:
            try:
                yield line
            finally:
                line.stop()
        except BaseException as exc:
            thread.submit(opening.__exit__, type(exc), exc, exc.__traceback__).result()
            raise
        thread.submit(opening.__exit__, None, None, None).result()


class OpenLine:
    """A line that is ready to judge. Made by open_line()."""

    def __init__(self, line: Line, config: Config, thread: ThreadPoolExecutor) -> None:
        self._line = line
        self._config = config
        self._thread = thread
        self._under_way: tuple[Handover, Future[None]] | None = None

    def judge(self, runs: Opening | Iterable[Opening], journal: Path | str | None = None) -> Iterator[Record]:
        """Judge runs one after another and yield each record once it is durable, while the line goes on.

        In order: PassStart, a Verdict for each frame with the Alerts between them, RunSummary; a Refusal for an input
        that could not be judged. journal: the file to keep them in; what it holds of the same runs is yielded and not
        judged again. None keeps nothing.
        Leaving the loop stops the line before the next frame: what was judged is in the journal, and the same call
        completes it. A reader that is slow makes the line wait; at "realtime" frames are then DROPPED.
        Raises JournalError where records cannot be kept, RuntimeError while another judge() is not at its end.
        """
        if self._under_way is not None:
            raise RuntimeError("the line is judging already: read the records of that judge() to their end or close it")
        handover = Handover(self._line.parts)
        given = [runs] if isinstance(runs, Opening) else runs
        done = self._thread.submit(self._replay, given, None if journal is None else Path(journal), handover)
        self._under_way = (handover, done)
        try:
            yield from handover.records()
        finally:
            self._stop(handover, done)

    def judge_frame(
        self,
        pixels: NDArray[Any],
        *,
        bits_stored: int | None = None,
        photometric_interpretation: PhotometricInterpretation = "MONOCHROME2",
    ) -> Verdict:
        """Judge one frame alone, as a run of one frame.

        pixels: (rows, columns) uint8 or uint16 stored values. Returns its verdict: one finding of each model, or none
        and the reason. A network that sees a run's history sees none here. For many frames judge a run: this makes a
        journal each time. Raises SourceError where the frame fits no model, and as judge() does.
        """
        frames = np.asarray(pixels)[np.newaxis]
        one = run_from_frames(
            frames,
            DEFAULT_RATE_HZ,
            bits_stored=bits_stored,
            photometric_interpretation=photometric_interpretation,
            name="frame",
        )
        verdicts: list[Verdict] = []
        for record in self.judge(one):
            if isinstance(record, Refusal):
                raise _REFUSED_WITH[record.error](record.message)
            if isinstance(record, Verdict):
                verdicts.append(record)
        (verdict,) = verdicts
        return verdict

    def stop(self) -> None:
        """Stop the judging that is under way, if any: the line stops before its next frame. Raises as judge() does."""
        if self._under_way is not None:
            self._stop(*self._under_way)

    def _stop(self, handover: Handover, done: Future[None]) -> None:
        """Wait until the line stands still and its journal is closed."""
        handover.leave()
        if self._under_way == (handover, done):  # a loop that was stopped may be closed while a later one goes on
            self._under_way = None
        try:
            done.result()
        except LeftError:
            return

    def _replay(self, runs: Iterable[Opening], journal: Path | None, handover: Handover) -> None:
        """In the line's thread."""
        try:
            with opened_journal(journal, self._config, (handover,)) as book:
                replay(until_left(runs, handover), self._line, book)
        finally:
            handover.end()
