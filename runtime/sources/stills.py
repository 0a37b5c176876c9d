"""The stills reader of the decoder process: PNG, BMP, TIFF and JPEG pictures, and bare J2K and JPEG-LS code streams.

One still is a run of one frame; a sequence of them is a run. Not for: DICOM (dicom/) and for use outside child.py.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import DEFAULT_RATE_HZ, Frame, Grayscale, LostFrame, Run, Timing
from cathrt.runtime.identity import run_id
from cathrt.runtime.sources import code_stream_picture, tiff_picture
from cathrt.runtime.sources.bmp_picture import SIGNATURE as BMP
from cathrt.runtime.sources.bmp_picture import read_bmp
from cathrt.runtime.sources.code_stream_picture import read_code_stream_picture
from cathrt.runtime.sources.content import Content, content_sha256, reading
from cathrt.runtime.sources.discover import UnlikeStillsError
from cathrt.runtime.sources.likeness import LEAST, correlation, thumbnail
from cathrt.runtime.sources.messages import Request
from cathrt.runtime.sources.picture import Picture, PictureError, grey_of, require_size
from cathrt.runtime.sources.png_picture import SIGNATURE as PNG
from cathrt.runtime.sources.png_picture import read_png
from cathrt.runtime.sources.tiff_picture import read_tiff

_MOST_COMPARED = 1 << 27  # pixels: 512 stills of 512 x 512; decoding them takes two seconds
_MISSING = "never arrived: this number is missing from the sequence"

# How a file of each format begins, and what reads it.
_READERS: tuple[tuple[tuple[bytes, ...], Callable[[bytes, LimitsConfig], Picture]], ...] = (
    ((PNG,), read_png),
    (tiff_picture.SIGNATURES, read_tiff),
    (code_stream_picture.STARTS, read_code_stream_picture),
    ((BMP,), read_bmp),
)


def load_stills() -> None:
    """Import what reading needs."""
    import imagecodecs
    from PIL import BmpImagePlugin  # noqa: F401

    for name in ("png_decode", "tiff_decode", "jpeg8_decode", "jpegls_decode", "jpeg2k_decode"):
        getattr(imagecodecs, name)  # it imports each of them when it is asked for


def read_stills(request: Request, contents: Sequence[Content]) -> Iterator[Run | Frame | LostFrame]:
    """The Run, then one item per path, from request.first_frame on.

    Matrix and depth are those of the first still that can be read. Raises SourceError where none can, and
    UnlikeStillsError where they are a run by guess only and not alike.
    """
    limits = request.limits
    if len(request.paths) > limits.max_frames:
        raise SourceError(f"{len(request.paths)} stills, more than limits.max_frames = {limits.max_frames}")
    digests = [_digest(content) for content in contents]
    first: NDArray[Any] | None = None
    flags: set[str] = set()
    failure = ""
    for content in contents:
        if content is not None and first is None:
            try:
                first, bits_stored = _read(content, limits, flags)
            except (PictureError, SourceError) as exc:
                failure = failure or str(exc)
    if first is None:
        raise SourceError(f"no still of {len(request.paths)} can be read: {failure}")
    if request.guessed:
        _require_alike(request, contents, first.size)
    flags.add("frame_rate_default")
    digest = digests[0] if len(digests) == 1 else hashlib.sha256("|".join(digests).encode()).hexdigest()
    yield Run(
        run_id=run_id(digest),
        source=request.name,
        frame_count=len(request.paths),
        rows=first.shape[0],
        columns=first.shape[1],
        grayscale=Grayscale(bits_stored),
        timing=Timing(DEFAULT_RATE_HZ, "default"),
        flags=tuple(sorted(flags)),
    )
    shape = first.shape
    first = None
    for index, content in enumerate(contents):
        if index < request.first_frame:
            continue
        if content is None:
            yield LostFrame(index, 0, _MISSING, failed=False)
            continue
        try:
            pixels, bits = _read(content, limits, set())
        except (PictureError, SourceError) as exc:
            yield LostFrame(index, 0, str(exc), failed=True)
            continue
        if (pixels.shape, bits) != (shape, bits_stored):
            expected = f"{shape[0]}x{shape[1]}, {bits_stored} bits"
            reason = f"the still is {_form(pixels, bits)}, expected {expected} as the first"
            yield LostFrame(index, 0, reason, failed=True)
            continue
        yield Frame(pixels, index, 0)


@dataclass(frozen=True, slots=True)
class _Look:
    """What of a still is compared with its neighbours."""

    form: str
    thumbnail: NDArray[np.float64]


def _require_alike(request: Request, contents: Sequence[Content], pixels: int) -> None:
    """Raise UnlikeStillsError unless neighbours have one size and depth and are alike (likeness.py).

    Stills that cannot be read are passed over, and neighbours with a number missing between them where others have
    none. pixels: of a still. Of more stills than _MOST_COMPARED holds, pairs all over the sequence are compared.
    """
    there = [index for index, content in enumerate(contents) if content is not None]
    pairs = [(one, other) for one, other in pairwise(there) if other == one + 1] or list(pairwise(there))
    if len(there) * pixels > _MOST_COMPARED:
        most = max(_MOST_COMPARED // (2 * pixels), 1)
        pairs = [pairs[place * len(pairs) // most] for place in range(min(most, len(pairs)))]
    looks: dict[int, _Look | None] = {}
    for pair in pairs:
        for index in pair:
            if index not in looks:
                looks[index] = _look(contents[index], request.limits)
        one, other = (looks[index] for index in pair)
        unlike = None if one is None or other is None else _unlike(one, other)
        if unlike:
            names = " and ".join(os.path.basename(request.paths[index] or "") for index in pair)
            raise UnlikeStillsError(f"{names} {unlike}")


def _look(content: Content, limits: LimitsConfig) -> _Look | None:
    try:
        pixels, bits = _read(content, limits, set())
    except (PictureError, SourceError):
        return None
    return _Look(_form(pixels, bits), thumbnail(pixels))


def _unlike(one: _Look, other: _Look) -> str | None:
    if one.form != other.form:
        return f"are {one.form} and {other.form}"
    found = correlation(one.thumbnail, other.thumbnail)
    if found is None or found >= LEAST:
        return None
    return f"are unlike (correlation {found:.2f}, of neighbours in a run {LEAST} or more)"


def _form(pixels: NDArray[Any], bits: int) -> str:
    return f"{pixels.shape[0]}x{pixels.shape[1]}, {bits} bits"


def _digest(content: Content) -> str:
    """Hash of one still; a missing or unreadable one has its place in the run's identity too."""
    if content is None:
        return "missing"
    try:
        with reading(content) as file:
            return content_sha256(file)
    except SourceError:
        return "unreadable"


def _read(content: Content, limits: LimitsConfig, flags: set[str]) -> tuple[NDArray[Any], int]:
    """Grey values (rows, columns) and bits stored. Raises PictureError, or SourceError where it cannot be opened."""
    with reading(content) as file:
        data = file.read()
    read = next((read for starts, read in _READERS if data.startswith(starts)), None)
    if read is None:
        raise PictureError("not a PNG, BMP, TIFF or JPEG picture, nor a J2K or JPEG-LS code stream")
    picture = read(data, limits)
    pixels = grey_of(picture, flags)
    rows, columns = pixels.shape
    require_size(rows, columns, limits)  # as shown
    return pixels, picture.bits
