"""A run whose frames are in memory already, as one NumPy array: the Source for programs that have read it themselves.

Not for: files, which a confined process decodes (decoder/sandbox.py).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import (
    MAX_RATE_HZ,
    MIN_RATE_HZ,
    Frame,
    Grayscale,
    LostFrame,
    PhotometricInterpretation,
    Run,
    Timing,
    is_rate,
)
from cathrt.runtime.identity import run_id

_BITS = {"uint8": (8, 8), "uint16": (9, 16)}  # fewest and most bits stored


class ArrayRun:
    """The frames of an array as a run (ports.Source). Nothing is copied that is contiguous already."""

    def __init__(
        self,
        frames: NDArray[Any],
        frame_rate_hz: float,
        *,
        bits_stored: int | None = None,
        photometric_interpretation: PhotometricInterpretation = "MONOCHROME2",
        name: str = "array",
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """frames: (frames, rows, columns) uint8 or uint16 stored values; leave them as they are until all are judged.

        bits_stored: each value is < 2**bits_stored; None for 8 of uint8, 16 of uint16. name: what records call the run.
        Raises SourceError for any other array, depth or rate.
        """
        self._unread: NDArray[Any] | None = _stored_values(frames, bits_stored)
        self._clock = clock
        self._closed = False
        if photometric_interpretation not in get_args(PhotometricInterpretation):
            expected = " or ".join(get_args(PhotometricInterpretation))
            raise SourceError(f"{name}: photometric_interpretation {photometric_interpretation!r}, expected {expected}")
        if not is_rate(frame_rate_hz):
            raise SourceError(f"{name}: frame_rate_hz {frame_rate_hz!r}, expected {MIN_RATE_HZ:g} to {MAX_RATE_HZ:g}")
        count, rows, columns = frames.shape
        bits = _BITS[frames.dtype.name][1] if bits_stored is None else bits_stored
        self._run = Run(
            run_id=run_id(_digest(frames, bits, photometric_interpretation, float(frame_rate_hz))),
            source=name,
            frame_count=count,
            rows=rows,
            columns=columns,
            grayscale=Grayscale(bits, photometric_interpretation),
            timing=Timing(float(frame_rate_hz), "given"),
        )

    @property
    def run(self) -> Run:
        return self._run

    def frames(self) -> Iterator[Frame | LostFrame]:
        """Every frame in order, read-only; lost ones after close(). Raises SourceError when walked twice."""
        frames, self._unread = self._unread, None
        if frames is None:
            raise SourceError(f"{self._run.source}: its frames were already read: open it again")
        return self._walk(frames)

    def close(self) -> None:
        """Frames not yet read come as lost."""
        self._closed = True

    def _walk(self, frames: NDArray[Any]) -> Iterator[Frame | LostFrame]:
        for index, stored in enumerate(frames):
            if self._closed:
                yield LostFrame(index, self._clock(), "the source was closed before this frame", failed=False)
                continue
            pixels = np.ascontiguousarray(stored).view()
            pixels.setflags(write=False)
            yield Frame(pixels, index, self._clock())


def _stored_values(frames: NDArray[Any], bits_stored: int | None) -> NDArray[Any]:
    """The same array, if it holds stored values. Raises SourceError where it does not."""
    found = f"{type(frames).__name__}"
    if isinstance(frames, np.ndarray):
        found = f"an array of {frames.dtype.name} and shape {frames.shape}"
        if frames.ndim == 3 and frames.size and frames.dtype.name in _BITS:
            fewest, most = _BITS[frames.dtype.name]
            bits = most if bits_stored is None else bits_stored
            if not fewest <= bits <= most:
                raise SourceError(f"bits_stored {bits} of {frames.dtype.name}, expected {fewest} to {most}")
            if (largest := int(frames.max())) >= 1 << bits:
                raise SourceError(f"found a stored value of {largest}, expected less than 2**{bits} (bits_stored)")
            return frames
    raise SourceError(
        f"frames: found {found}, expected (frames, rows, columns) of uint8 or uint16 stored values, at least one of "
        "each: give the pixels as the detector or the file has them, not scaled to floats"
    )


def _digest(frames: NDArray[Any], bits: int, photometric: str, rate_hz: float) -> str:
    """sha256 over all that the run's verdicts rest on: the same frames are the same run."""
    told = f"array|{frames.shape}|{frames.dtype.name}|{bits}|{photometric}|{rate_hz}|"
    digest = hashlib.sha256(told.encode())
    for stored in frames:
        digest.update(np.ascontiguousarray(stored, dtype=stored.dtype.newbyteorder("<")).data)
    return digest.hexdigest()
