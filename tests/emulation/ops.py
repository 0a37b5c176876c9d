"""The ops whose CUDA kernels are run on the CPU, and the sources each is judged by.

An op's exercise has `small(stream)`, several tiny cases that reach every site of its sources, and `full_frame(stream)`,
one 512 x 512 and one 1024 x 1024 case. Both raise AssertionError where a result is wrong.
"""

from __future__ import annotations

from types import ModuleType
from typing import NamedTuple

from tests.emulation import (
    exercise_clahe,
    exercise_clip,
    exercise_histogram,
    exercise_ingest,
    exercise_repeats,
    exercise_subtraction,
    exercise_temporal,
    exercise_vesselness,
)


class Op(NamedTuple):
    exercise: ModuleType
    sources: tuple[str, ...]  # in kernels/src: the .cu files and what they include of ours


# To add an op: import tests.emulation.exercise_<op> and add its line, "<op>": Op(exercise_<op>, ("<op>.cu",)).
OPS: dict[str, Op] = {
    "clahe": Op(exercise_clahe, ("clahe.cu",)),
    "clip": Op(exercise_clip, ("clip.cu",)),
    "histogram": Op(exercise_histogram, ("histogram.cu",)),
    "ingest": Op(exercise_ingest, ("ingest.cu", "histogram.cu")),
    "repeats": Op(exercise_repeats, ("repeats.cu",)),
    "subtraction": Op(exercise_subtraction, ("subtraction.cu",)),
    "temporal": Op(exercise_temporal, ("temporal.cu",)),
    "vesselness": Op(exercise_vesselness, ("vesselness.cu",)),
}
