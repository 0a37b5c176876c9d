"""How fast the phantom draws (`python -m benchmarks.phantom [--json] [--quick]`): a scene and its frames on one core,
two runs at once on two, and the native chord map beside its numpy reference.

The frames timed are those with contrast, the dearest; several scenes take turns, so that no single anatomy decides.
Not for: how real the pictures are.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from benchmarks import measure
from cathrt.runtime.phantom import PhantomSource, sample_scene
from cathrt.runtime.phantom.tubes import TubeBundle, chord_map
from tests.phantom import phantom_reference

SEEDS = (3, 5, 8, 11)
WORKERS = 2


class Turns:
    """Scenes that take turns: call k draws a frame of scene k modulo their number, walking its frames with contrast."""

    def __init__(self, seeds: tuple[int, ...], matrix: int) -> None:
        self._sources = [PhantomSource(sample_scene(seed, matrix=matrix)) for seed in seeds]
        self._filled = [
            [index for index, label in enumerate(source.labels) if label.contrast > 0.5] for source in self._sources
        ]

    def __call__(self, number: int) -> object:
        turn, step = number % len(self._sources), number // len(self._sources)
        return self._sources[turn].render(self._filled[turn][step % len(self._filled[turn])])


def _draw(pipe: Connection, seeds: tuple[int, ...], rounds: int) -> None:
    """A worker: make the scenes, say so, wait for the word, draw; send the samples back."""
    frame = Turns(seeds, 512)
    measure.interleave({"frame": frame}, rounds=len(seeds), warm_up=0)
    pipe.send("ready")
    pipe.recv()
    samples = measure.interleave({"frame": frame}, rounds=rounds, warm_up=0)["frame"]
    pipe.send((samples.began_ns, samples.took_ns))


def two_at_once(rounds: int) -> tuple[measure.Samples, float]:
    """Samples of WORKERS processes, each on a core of its own where there are as many, and frames per second overall:
    from the first frame's beginning to the last one's end."""
    context = multiprocessing.get_context("spawn")
    cores = os.sched_getaffinity(0)
    started = []
    for number in range(WORKERS):
        ours, theirs = context.Pipe()
        # before the start, so that numpy's BLAS finds one core and starts one thread
        os.sched_setaffinity(0, {sorted(cores)[number % len(cores)]})
        worker = context.Process(target=_draw, args=(theirs, SEEDS[number::WORKERS], rounds), daemon=True)
        worker.start()
        theirs.close()  # else the end of a worker that fails would never show
        started.append((worker, ours))
    os.sched_setaffinity(0, cores)
    for _, pipe in started:
        pipe.recv()
    for _, pipe in started:
        pipe.send("go")
    samples = measure.Samples()
    for worker, pipe in started:
        began_ns, took_ns = pipe.recv()
        samples.began_ns += began_ns
        samples.took_ns += took_ns
        worker.join()
    ends_ns = [began + took for began, took in zip(samples.began_ns, samples.took_ns, strict=True)]
    return samples, len(ends_ns) / ((max(ends_ns) - min(samples.began_ns)) / 1e9)


def chord_maps(rounds: int) -> dict[str, measure.Samples]:
    """The arteries of the scenes, full of contrast, drawn by the native chord map and by its reference in turn."""
    scenes = [scene for seed in SEEDS if (scene := sample_scene(seed)).tree is not None]
    bundles = [
        TubeBundle(scene.tree.tubes.points + scene.table_mm, scene.tree.tubes.radii, scene.tree.tubes.joined)
        for scene in scenes
        if scene.tree is not None
    ]

    def native(number: int) -> object:
        turn = number % len(scenes)
        return chord_map(scenes[turn].carm, bundles[turn], blur_variance=1.0)

    def reference(number: int) -> object:
        turn = number % len(scenes)
        return phantom_reference.chord_map(scenes[turn].carm, bundles[turn], blur_variance=1.0)

    for number in range(len(scenes)):
        np.testing.assert_allclose(np.asarray(native(number)), np.asarray(reference(number)), atol=1e-4, rtol=1e-4)
    return measure.interleave({"cathrt": native, "numpy": reference}, rounds=rounds)


def rows(rounds: int) -> Iterator[dict[str, Any]]:
    """Result rows and the headline."""
    figures: dict[str, float] = {}
    with measure.Heartbeat() as heartbeat:
        at_once, frames_per_second = two_at_once(2 * rounds)
        measure.pin_to_one_core()
        measured = []
        for matrix in (512, 1024):
            frame = Turns(SEEDS, matrix)

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
        maps = chord_maps(rounds)
        heartbeat.finish()
    yield measure.row("phantom", "frame_512_two_at_once", "cathrt", at_once, heartbeat, workers=WORKERS)
    for case, samples_of, cpu_ms in measured:
        yield measure.row("phantom", case, "cathrt", samples_of, heartbeat, cpu_ms=round(cpu_ms, 2))
        figures[f"{case}_cpu_ms"] = cpu_ms
    for impl, samples_of in maps.items():
        yield measure.row("phantom", "chord_map_512", impl, samples_of, heartbeat)
    figures["frames_per_core_second_512"] = 1e3 / figures["frame_512_cpu_ms"]
    figures["frames_per_second_512_two_cores"] = frames_per_second
    figures["chord_map_vs_numpy"] = maps["cathrt"].median_ms / maps["numpy"].median_ms
    yield measure.headline("phantom", figures, heartbeat, ["numpy"])


if __name__ == "__main__":
    measure.command(__doc__, rows, quick=16, full=160)
