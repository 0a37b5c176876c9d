"""One trial: generators on one side, an implementation's process on the other, and what came of it.

Not for: which trials there are (plan.py), figures (figures.py).
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.frame_stream.ends import read_ends
from benchmarks.frame_stream.figures import Stream, stream_of
from benchmarks.frame_stream.generator import Generator
from benchmarks.frame_stream.schedule import Schedule
from benchmarks.frame_stream.setting import Trial
from benchmarks.turns import Variant

_TICK_MS = 10.0  # of /proc/stat: USER_HZ is 100 on every Linux that counts


@dataclass(frozen=True, slots=True)
class Ran:
    """A finished trial. stolen_ms: CPU time that the host of a virtual machine gave to others meanwhile."""

    streams: tuple[Stream, ...]
    peak_rss_mb: float
    stolen_ms: float


def run_trial(
    process: Variant,
    schedule: Schedule,
    sources: int,
    budget_ms: float,
    scratch: Path,
    *,
    real_time: bool = True,
) -> Ran:
    """Send each of so many streams and wait until everything has come to its end. real_time: as Trial's.

    Raises LateGeneratorError where a generator did not end well; ends the program where the implementation's process
    has.
    """
    with TemporaryDirectory(prefix="trial-", dir=scratch) as name, ExitStack() as stack:
        folder = Path(name)
        (folder / "kept").mkdir()
        fifos = tuple(folder / f"{source}.fifo" for source in range(sources))
        generators = []
        for source, fifo in enumerate(fifos):
            generators.append(Generator(fifo, folder / f"{source}.npy", schedule))
            stack.callback(generators[-1].kill)
        out = folder / "ends.jsonl"
        kept = str(folder / "kept")
        trial = Trial(tuple(map(str, fifos)), str(out), kept, schedule.rate_hz, budget_ms, real_time)
        stolen_ms = _stolen_ms()
        answer = process.ask("result", trial.to_text())
        stolen_ms = _stolen_ms() - stolen_ms
        ends = read_ends(out)
        streams = tuple(
            stream_of(
                schedule.rate_hz,
                generator.sent(),
                schedule.first_after_pause,
                [end for end in ends if end.source == source],
            )
            for source, generator in enumerate(generators)
        )
        return Ran(streams, answer["peak_rss_mb"], stolen_ms)


def _stolen_ms(stat: Path = Path("/proc/stat")) -> float:
    return float(stat.read_text(encoding="ascii").split()[8]) * _TICK_MS
