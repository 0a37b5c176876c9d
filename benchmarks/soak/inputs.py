"""What a soak replays, made before its clock starts: recorded screens of two planes, runs to send, a bundle to swap.

Live pictures come from a file of raw video, since decoding or rendering them would take from the cores that are
measured. Not for: sending and swapping.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.replay_inputs import Archive, archive_folder
from benchmarks.soak.plan import Plan
from cathrt.runtime.frame import Frame
from cathrt.runtime.phantom import PhantomSource
from cathrt.runtime.phantom.study import SceneRecipe, draw_study

RATE_HZ = 15
_PAUSE_S = 2.5  # in the middle
_SHORTEST_PAUSE_FRAMES = 20  # so that a pause is told from a run that stands still
_SCREENS = {"A": 3, "B": 11}  # plane and seed of its study
_STORED = Archive("12 bit, uncompressed", 256, 12, "explicit-le", (90_000_073, 90_000_080))


def write_screens(folder: Path, plan: Plan) -> dict[str, Path]:
    """For each plane a file of raw video: runs at 15 frames/s, the last image held between them."""
    folder.mkdir(parents=True, exist_ok=True)
    return {name: _written(folder / f"plane-{name}.mkv", _shown(seed, plan)) for name, seed in _SCREENS.items()}


def _shown(seed: int, plan: Plan) -> Iterator[NDArray[np.uint8]]:
    """What a monitor shows of a study."""
    recipe = SceneRecipe(seed, matrix=plan.matrix, frame_rate_hz=float(RATE_HZ), most_frames=plan.run_frames)
    for press in draw_study(recipe, plan.runs, _PAUSE_S):
        source = PhantomSource(press.recipe.scene())
        low, high = 0.0, float((1 << source.run.grayscale.bits_stored) - 1)
        for item in source.frames():
            assert isinstance(item, Frame)
            shown = ((item.pixels.astype(np.float32) - low) * (255.0 / (high - low))).astype(np.uint8)
            yield shown
        yield from [shown] * max(_SHORTEST_PAUSE_FRAMES, round(press.pause_s * RATE_HZ))


def _written(path: Path, pictures: Iterator[NDArray[np.uint8]]) -> Path:
    import av

    first = next(pictures)
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("rawvideo", rate=RATE_HZ)
        stream.height, stream.width = first.shape
        stream.pix_fmt = "gray"
        for number, pixels in enumerate(_with(first, pictures)):
            picture = av.VideoFrame.from_ndarray(pixels, format="gray")
            picture.pts, picture.time_base = number, Fraction(1, RATE_HZ)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def _with(first: NDArray[np.uint8], others: Iterator[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
    yield first
    yield from others


def read_runs(folder: Path, plan: Plan) -> list[Any]:
    """Data sets of whole runs, in memory, to be sent again and again under new UIDs."""
    from pydicom import dcmread

    paths = sorted(archive_folder(_STORED, folder, plan.stored_runs, min(plan.run_frames, 60)).iterdir())
    return [dcmread(path) for path in islice(paths, plan.stored_runs)]


def write_twin(folder: Path) -> str:
    """The shipped bundle under another name and another signature, so that it can be swapped with it. Returns the
    public key that opens it."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from cathrt.export.bundle.sign import public_key, write_bundle
    from cathrt.runtime.bundle.shipped import demonstration_bundle, shipped_keys
    from cathrt.runtime.models import open_bundle

    shipped = demonstration_bundle()
    with open_bundle(shipped, shipped_keys()) as opened:
        manifest = opened.manifest
    files = {name: (shipped / name).read_bytes() for name in manifest.files}
    key = Ed25519PrivateKey.generate()  # and forgotten: nobody signs anything else with it
    write_bundle(folder, replace(manifest, name=f"{manifest.name}-twin", files={}), files, key)
    return str(public_key(key))
