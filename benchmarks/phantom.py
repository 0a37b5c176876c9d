"""How fast the phantom draws, on one core: a scene, its set-up, and a frame (`python -m benchmarks.phantom`).

The frames timed are those with contrast, the dearest; several scenes take turns, so that no single anatomy decides.
Not for: how real the pictures are.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from benchmarks import measure
from cathrt.runtime.sources.phantom import PhantomSource, sample_scene

SEEDS = (3, 5, 8, 11)


def rows(rounds: int) -> Iterator[dict[str, Any]]:
    """Result rows and the headline."""
    figures: dict[str, float] = {}
    with measure.Heartbeat() as heartbeat:
        measure.pin_to_one_core()
        measured = []
        for matrix in (512, 1024):
            sources = [PhantomSource(sample_scene(seed, matrix=matrix)) for seed in SEEDS]
            filled = [
                [index for index, label in enumerate(source.labels) if label.contrast > 0.5] for source in sources
            ]

            def frame(number: int, sources: list[PhantomSource] = sources, filled: list[list[int]] = filled) -> object:
                turn = number % len(sources)
                return sources[turn].render(filled[turn][number // len(sources) % len(filled[turn])])

            def scene(number: int, matrix: int = matrix) -> object:
                return PhantomSource(sample_scene(100 + number, matrix=matrix))

            began = time.process_time_ns()
            samples = measure.interleave({"frame": frame}, rounds=rounds)
            cpu_ms = (time.process_time_ns() - began) / 1e6 / (rounds + 5)
            measured.append((f"frame_{matrix}", samples["frame"], cpu_ms))
            began = time.process_time_ns()
            samples = measure.interleave({"scene": scene}, rounds=max(4, rounds // 16), warm_up=1)
            cpu_ms = (time.process_time_ns() - began) / 1e6 / (max(4, rounds // 16) + 1)
            measured.append((f"scene_{matrix}", samples["scene"], cpu_ms))
        heartbeat.finish()
    for case, samples_of, cpu_ms in measured:
        yield measure.row("phantom", case, "cathrt", samples_of, heartbeat, cpu_ms=round(cpu_ms, 2))
        figures[f"{case}_cpu_ms"] = cpu_ms
    figures["frames_per_core_second_512"] = 1e3 / figures["frame_512_cpu_ms"]
    yield measure.headline("phantom", figures, heartbeat, ["numpy"])


if __name__ == "__main__":
    measure.command(__doc__, rows, quick=16, full=160)
