"""The stills reader of the decoder process: PNG, BMP, TIFF and JPEG pictures, and bare J2K and JPEG-LS code streams.

One still is a run of one frame; a sequence of them is a run. Not for: DICOM (dicom/) and for use outside child.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame, Grayscale, LostFrame, Run, Timing
from cathrt.runtime.identity import run_id
from cathrt.runtime.sources.code_stream import (
    CodeStreamError,
    CodeStreamHeader,
    read_code_stream_header,
    require_whole_stream,
    swallowed_errors_raised,
)
from cathrt.runtime.sources.content import Content, content_sha256, head_of, reading
from cathrt.runtime.sources.messages import Request, pixel_dtype
from cathrt.runtime.sources.whole_picture import require_whole_picture

DEFAULT_RATE_HZ = 15.0  # stills carry no rate; the usual cine rate, flagged
_CODE_STREAM_STARTS = (b"\xff\xd8", b"\xff\x4f")
_LOOKED_INTO = 8  # stills; with more of them, importing what is not needed costs less than looking
_PILLOW_FORMATS = ("PNG", "BMP", "TIFF", "JPEG")
_BITS_OF_MODE = {"L": 8, "I;16": 16, "I;16B": 16, "I;16L": 16, "RGB": 8}
_MISSING = "never arrived: this number is missing from the sequence"


class _StillError(Exception):
    """This one still cannot be read."""


def load_stills(contents: Sequence[Content]) -> None:
    """Import what these need, as their first bytes show."""
    starts = [head_of(content, 2) for content in contents]
    if any(start in _CODE_STREAM_STARTS for start in starts):
        import imagecodecs

        for name in ("jpeg8_decode", "jpegls_decode", "jpeg2k_decode"):
            getattr(imagecodecs, name)
    if len(contents) > _LOOKED_INTO or not all(map(_is_grey_code_stream, contents)):
        from PIL import Image, TiffImagePlugin  # noqa: F401

        Image.preinit()


def _is_grey_code_stream(content: Content) -> bool:
    """Whether it goes to imagecodecs alone, as far as its first bytes show."""
    head = head_of(content, 1 << 16)
    try:
        return head[:2] in _CODE_STREAM_STARTS and read_code_stream_header(head).components == 1
    except CodeStreamError:
        return False


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
            except (_StillError, SourceError) as exc:
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
        except (_StillError, SourceError) as exc:
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
    """Stored values (rows, columns) and bits stored. Raises _StillError, or SourceError where it cannot be opened."""
    with reading(content) as file:
        head = file.read(2)
        file.seek(0)
        if head in _CODE_STREAM_STARTS:
            data = file.read()
            try:
                header = read_code_stream_header(data)
            except CodeStreamError as exc:
                raise _StillError(f"no code stream: {exc}") from exc
            _check_size(header.rows, header.columns, limits)
            if header.components == 1 or header.family in ("JPEG", "JPEG lossless"):
                try:
                    require_whole_stream(data, header.family)
                except CodeStreamError as exc:
                    raise _StillError(f"incomplete code stream: {exc}") from exc
            if header.components == 1:
                return _decode_code_stream(data, header)
            file.seek(0)
        return _decode_picture(file, limits, flags)


def _decode_code_stream(data: bytes, header: CodeStreamHeader) -> tuple[NDArray[Any], int]:
    import imagecodecs

    if header.signed or not 8 <= header.bits <= 16:
        raise _StillError(f"{header.bits} {'signed ' * header.signed}bits a sample: expected 8 to 16 unsigned")
    decoders = {"JPEG-LS": imagecodecs.jpegls_decode, "JPEG 2000": imagecodecs.jpeg2k_decode}
    try:
        with swallowed_errors_raised():
            cells = np.asarray(decoders.get(header.family, imagecodecs.jpeg8_decode)(data))
    except (RuntimeError, ValueError) as exc:  # what imagecodecs raises on damaged streams
        raise _StillError(f"damaged {header.family} stream ({type(exc).__name__}: {exc})") from exc
    if cells.shape != (header.rows, header.columns) or int(cells.max()) >> header.bits:
        raise _StillError(f"decodes to {cells.shape} {cells.dtype}, not to what its header declares")
    return np.ascontiguousarray(cells.astype(pixel_dtype(header.bits), copy=False)), header.bits


def _decode_picture(file: BinaryIO, limits: LimitsConfig, flags: set[str]) -> tuple[NDArray[Any], int]:
    """PNG, BMP, TIFF, colour JPEG. Grey pictures saved as RGB are taken back to grey; real colour becomes luma."""
    from PIL import Image, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = None  # our own limits are checked below, before any pixel is read
    try:
        with Image.open(file, formats=_PILLOW_FORMATS) as picture:
            _check_size(picture.height, picture.width, limits)
            if getattr(picture, "n_frames", 1) != 1:
                raise _StillError("several pictures in one file: save one picture a file")
            if picture.mode not in _BITS_OF_MODE:
                raise _StillError(f"Pillow mode {picture.mode}: expected 8 or 16 bit grey, or RGB")
            bits = _BITS_OF_MODE[picture.mode]
            require_whole_picture(picture, file)
            pixels = np.asarray(picture)
    except UnidentifiedImageError as exc:
        raise _StillError("not a PNG, BMP, TIFF or JPEG picture, nor a J2K or JPEG-LS code stream") from exc
    except CodeStreamError as exc:
        raise _StillError(f"incomplete picture: {exc}") from exc
    # What Pillow raises on damaged pictures.
    except (OSError, SyntaxError, ValueError, ArithmeticError, TypeError, KeyError, IndexError) as exc:
        raise _StillError(f"damaged picture ({type(exc).__name__}: {exc})") from exc
    if pixels.ndim == 3:
        if (pixels == pixels[..., :1]).all():
            pixels = pixels[..., 0]
        else:
            flags.add("colour_to_luma")
            pixels = np.rint(pixels @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)  # ITU-R BT.601
    return np.ascontiguousarray(pixels.astype(pixel_dtype(bits), copy=False)), bits


def _check_size(rows: int, columns: int, limits: LimitsConfig) -> None:
    if not (1 <= rows <= limits.max_rows and 1 <= columns <= limits.max_columns):
        raise _StillError(
            f"{rows} rows x {columns} columns, expected 1x1 to limits.max_rows x max_columns = "
            f"{limits.max_rows}x{limits.max_columns}"
        )
