"""How well runs are found in what a video tap shows (`python -m benchmarks.live_runs`).

Start and end against the known pedal, runs missed, split, merged and invented, pulses not judged and repeats judged,
by coding; beside a fixed threshold on the mean difference of two pictures, beside a temporal filter before it, and
beside a known field. Thresholds were chosen on seeds below 24; the figures are those of others. Not for: the taps.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks import measure
from benchmarks.live_runs_score import FoundRun, row_of, score
from benchmarks.live_runs_streams import CODINGS, FILTERED, Stream, streams
from cathrt.runtime.config import SourceConfig
from cathrt.runtime.counts import CountsInMemory
from cathrt.runtime.frame import Frame, Grayscale
from cathrt.runtime.line.live_run import REPLAY
from cathrt.runtime.line.live_runs import LiveRuns
from cathrt.runtime.ports import Picture
from cathrt.runtime.sources.capture.sighting import Sighting

FIRST_SEED = 1000
# Of the fixed threshold; the best of 0.05, 0.1, 0.2 ... 1.6 grey values and 0.3, 0.5, 0.8 s on seeds below 24.
BASELINE_CHANGE, BASELINE_HOLD_S = 0.4, 0.8
_QUOTED = ("found_whole", "start_max_ms", "end_p50_ms", "end_max_ms", "pulses_not_judged", "repeats_judged")

Finder = Callable[[Stream], Sequence[FoundRun]]


class _Tap:
    """Plays a stream's signatures; time is that of its pictures."""

    def __init__(self, stream: Stream) -> None:
        self.at = -1
        self._stream = stream
        self._pixels = np.zeros((32, 32), np.uint8)
        self._grayscale = Grayscale(8)
        self._period_ns = 1e9 / stream.display_hz

    def take(self, wait_s: float | None) -> Sighting | None:  # noqa: ARG002 - nothing is waited for
        if self.at + 1 == len(self._stream.signatures):
            return None
        self.at += 1
        picture = Picture(self._pixels, self._grayscale, self.now_ns())
        return Sighting(picture, self._stream.signatures[self.at])

    def now_ns(self) -> int:
        return round((self.at + 1) * self._period_ns)

    def wait_until(self, deadline_ns: int) -> None:
        raise AssertionError(f"nobody waits here: {deadline_ns}")

    def place(self, captured_ns: int) -> int:
        return round(captured_ns / self._period_ns) - 1


def found_by_live_runs(stream: Stream) -> list[FoundRun]:
    """What the product finds."""
    tap, found = _Tap(stream), []
    stop = _AtTheEnd(tap, len(stream.signatures))
    runs = LiveRuns("bench", tap, SourceConfig("bench", "phantom"), CountsInMemory(), tap)
    while (run := runs.next_run(stop)) is not None:
        places = [(tap.place(item.acquired_ns), isinstance(item, Frame)) for item in run.frames()]
        timing = run.run.timing
        found.append(
            FoundRun(
                first=places[0][0],
                last=places[-1][0],
                judged=frozenset(place for place, judged in places if judged),
                rate_hz=timing.frame_rate_hz if timing.origin == "measured" else None,
                replay=REPLAY in run.run.flags,
            )
        )
    return found


class _AtTheEnd(threading.Event):
    """Set once the stream has come to its end."""

    def __init__(self, tap: _Tap, pictures: int) -> None:
        super().__init__()
        self._tap, self._pictures = tap, pictures

    def is_set(self) -> bool:
        return self._tap.at + 1 >= self._pictures


def found_by_threshold(
    stream: Stream, least_change: float = BASELINE_CHANGE, hold_s: float = BASELINE_HOLD_S
) -> list[FoundRun]:
    """The simplest thing: a mean difference above a threshold is a new picture; none for a while ends the run."""
    moved = np.abs(np.diff(stream.signatures, axis=0)).mean(axis=(1, 2)) > least_change
    news = [place + 1 for place in np.flatnonzero(moved)]
    patience, found, group = hold_s * stream.display_hz, [], []
    for place, following in zip(news, [*news[1:], None], strict=True):
        group.append(int(place))
        if following is None or following - place > patience:
            last = min(int(place + patience), len(stream.signatures) - 1)
            found.append(FoundRun(group[0], last, frozenset(group)))
            group = []
    return found


def field_only(stream: Stream) -> Stream:
    """The stream as a perfect finder of the field would leave it: of each run only the blocks in which it changes.

    They are repeated to as many as there were, so that a tenth of them is still a tenth of the picture's.
    """
    flat = stream.signatures.reshape(len(stream.signatures), -1)
    kept = flat.copy()
    ends = [*(following.first for following in stream.runs[1:]), len(flat)]
    for true, end in zip(stream.runs, ends, strict=True):
        moved = np.abs(np.diff(flat[true.first : true.last], axis=0))
        changing = np.flatnonzero(np.quantile(moved, 0.9, axis=0) > 0.1)
        if changing.size:
            kept[true.first : end] = flat[true.first : end][:, np.resize(changing, flat.shape[1])]
    return replace(stream, signatures=kept)


def rows(seeds: int) -> Iterator[dict[str, Any]]:
    """Figures by coding, ours and the others', and the headline."""
    heartbeat = measure.Heartbeat()
    played = list(streams(range(FIRST_SEED, FIRST_SEED + seeds)))
    figures: dict[str, float] = {}
    for coding in CODINGS:
        of = [stream for stream in played if stream.coding == coding]
        for name, found_in in _finders(coding).items():
            one = row_of(score(found_in, of))
            yield {
                "bench": "live_runs",
                "case": coding,
                "impl": name,
                "n": sum(len(stream.runs) for stream in of),
            } | one
            if name == "pedal" and coding != FILTERED:
                figures |= {f"{coding}_{key}": one[key] for key in _QUOTED}
            if name == "fixed threshold":
                figures[f"{coding}_found_whole_by_threshold"] = one["found_whole"]
    figures["picture_ms"] = _picture_ms(played)
    heartbeat.finish()
    yield measure.headline("live_runs", figures, heartbeat, ("numpy", "av", "imagecodecs"))


def _finders(coding: str) -> dict[str, Finder]:
    ours: dict[str, Finder] = {"pedal": found_by_live_runs}
    if coding == FILTERED:
        return ours
    return ours | {
        "pedal, field known": lambda stream: found_by_live_runs(field_only(stream)),
        "fixed threshold": found_by_threshold,
    }


def _picture_ms(played: Sequence[Stream]) -> float:
    """CPU time that a picture takes, all in all: the pedal, the run and its replays."""
    began = time.thread_time()
    for stream in played:
        found_by_live_runs(stream)
    return (time.thread_time() - began) * 1e3 / sum(len(stream.signatures) for stream in played)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.live_runs", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--quick", action="store_true", help="one stream of each coding: no figure to quote")
    options = parser.parse_args()
    for row in rows(1 if options.quick else 12):
        if options.json:
            print(json.dumps(row), flush=True)
        else:
            title = f"{row['case']}, {row['impl']}" if "case" in row else "headline"
            shown = row if "case" in row else row["headline"]
            figures = ", ".join(
                f"{key} {value}" for key, value in shown.items() if key not in ("bench", "case", "impl")
            )
            print(f"{title}: {figures}", flush=True)


if __name__ == "__main__":
    main()
