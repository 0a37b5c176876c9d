"""The stills reader of the decoder process: PNG, BMP, TIFF and JPEG pictures, and bare J2K and JPEG-LS code streams.

One still is a run of one frame; a sequence of them is a run. Not for: DICOM (dicom/) and for use outside child.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from numpy.typing import NDArray

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame, Grayscale, LostFrame, Run, Timing
from cathrt.runtime.identity import run_id
from cathrt.runtime.sources import code_stream_picture, tiff_picture
from cathrt.runtime.sources.bmp_picture import SIGNATURE as BMP
from cathrt.runtime.sources.bmp_picture import read_bmp
from cathrt.runtime.sources.code_stream_picture import read_code_stream_picture
from cathrt.runtime.sources.content import Content, content_sha256, head_of, reading
from cathrt.runtime.sources.messages import Request
from cathrt.runtime.sources.picture import Picture, PictureError, grey_of, require_size
from cathrt.runtime.sources.png_picture import SIGNATURE as PNG
from cathrt.runtime.sources.png_picture import read_png
from cathrt.runtime.sources.tiff_picture import read_tiff

DEFAULT_RATE_HZ = 15.0  # stills carry no rate; the usual cine rate, flagged
_MISSING = "never arrived: this number is missing from the sequence"

# How a file of each format begins, and what reads it.
_READERS: tuple[tuple[tuple[bytes, ...], Callable[[bytes, LimitsConfig], Picture]], ...] = (
    ((PNG,), read_png),
    (tiff_picture.SIGNATURES, read_tiff),
    (code_stream_picture.STARTS, read_code_stream_picture),
    ((BMP,), read_bmp),
)


def load_stills(contents: Sequence[Content]) -> None:
    """Import what these need, as their first bytes show."""
    import imagecodecs

    for name in ("png_decode", "tiff_decode", "jpeg8_decode", "jpegls_decode", "jpeg2k_decode"):
        getattr(imagecodecs, name)  # it imports each of them when it is asked for
    if any(head_of(content, len(BMP)) == BMP for content in contents):
        from PIL import BmpImagePlugin  # noqa: F401


def read_stills(request: Request, contents: Sequence[Content]) -> Iterator[Run | Frame | LostFrame]:
    """The Run, then one item per path, from request.first_frame on.

    Matrix and depth are those of the first still that can be read. Raises SourceError where none can.
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
            found = f"{pixels.shape[0]}x{pixels.shape[1]}, {bits} bits"
            expected = f"{shape[0]}x{shape[1]}, {bits_stored} bits"
            yield LostFrame(index, 0, f"the still is {found}, expected {expected} as the first", failed=True)
            continue
        yield Frame(pixels, index, 0)


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
