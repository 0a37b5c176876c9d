"""Cost of checking that a code stream is whole, beside decoding it (`python -m benchmarks.completeness`).

Frames of the phantom, 10 bits (8 where the syntax asks for it), 512 x 512 and 1024 x 1024, in every syntax that is
walked over. Not for: the decoders compared with each other (docs/decisions/0003-decoders.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from rle.rle import encode_frame as rle_encode_frame

from benchmarks import measure
from cathrt.runtime.phantom import PhantomSource, sample_scene
from cathrt.runtime.sources.code_stream import require_whole_rle, require_whole_stream
from cathrt.runtime.sources.dicom.decoders import DECODERS, PixelLayout

SEED = 5
Pixels = NDArray[Any]
# Name -> transfer syntax, bits, encoder.
SYNTAXES: dict[str, tuple[str, int, Callable[[Pixels], bytes]]] = {
    "jpeg_baseline": ("1.2.840.10008.1.2.4.50", 8, lambda p: bytes(imagecodecs.jpeg8_encode(p, level=90))),
    "jpeg_lossless": ("1.2.840.10008.1.2.4.70", 10, lambda p: bytes(imagecodecs.ljpeg_encode(p, bitspersample=10))),
    "jpeg2000": (
        "1.2.840.10008.1.2.4.90",
        10,
        lambda p: bytes(
            imagecodecs.jpeg2k_encode(p, codecformat="j2k", reversible=True, level=0, bitspersample=10)
        ),
    ),
    "htj2k": ("1.2.840.10008.1.2.4.201", 10, lambda p: bytes(imagecodecs.htj2k_encode(p, reversible=True))),
    "rle": (
        "1.2.840.10008.1.2.5",
        10,
        lambda p: bytes(rle_encode_frame(p.tobytes(), *p.shape, 1, 16, "<")),
    ),
}  # fmt: skip


def frame(matrix: int) -> NDArray[np.uint16]:
    """(matrix, matrix) of 10 bits, with contrast."""
    source = PhantomSource(sample_scene(SEED, matrix=matrix))
    filled = next(index for index, label in enumerate(source.labels) if label.contrast > 0.5)
    pixels = source.render(filled)
    return (pixels.astype(np.float64) * (1023 / max(int(pixels.max()), 1))).astype(np.uint16)


def variants(matrix: int) -> dict[str, Callable[[int], object]]:
    """Decoding and checking of each syntax, the decoder alone: what it costs without the check."""
    ten = frame(matrix)
    calls: dict[str, Callable[[int], object]] = {}
    for name, (syntax, bits, encode) in SYNTAXES.items():
        stream = encode((ten >> 2).astype(np.uint8) if bits == 8 else ten)
        layout = PixelLayout(matrix, matrix, 8 if bits == 8 else 16, bits, bits - 1)
        (family,) = DECODERS[syntax].families or (None,)

        def decode(_: int, syntax: str = syntax, stream: bytes = stream, layout: PixelLayout = layout) -> object:
            return DECODERS[syntax].decode(stream, layout)

        def check(_: int, family: Any = family, stream: bytes = stream, layout: PixelLayout = layout) -> object:
            if family is None:
                return require_whole_rle(stream, layout.rows * layout.columns, layout.bits_allocated // 8)
            return require_whole_stream(stream, family)

        calls |= {f"{name}_{matrix}: decode": decode, f"{name}_{matrix}: check": check}
    return calls


def rows(rounds: int) -> Iterator[dict[str, Any]]:
    """Result rows and the headline: the share of the check in the decoder's time (RLE's decoding holds its check)."""
    figures: dict[str, float] = {}
    with measure.Heartbeat() as heartbeat:
        measure.pin_to_one_core()
        samples: dict[str, measure.Samples] = {}
        for matrix in (512, 1024):
            samples |= measure.interleave(variants(matrix), rounds=rounds)
        heartbeat.finish()
    for name, found in samples.items():
        case, impl = name.split(": ")
        yield measure.row("completeness", case, impl, found, heartbeat)
        if impl == "check":
            figures[f"{case}_share"] = found.median_ms / samples[f"{case}: decode"].median_ms
    yield measure.headline("completeness", figures, heartbeat, ["imagecodecs", "pylibjpeg-rle"])


if __name__ == "__main__":
    measure.command(__doc__, rows, quick=20, full=200)
