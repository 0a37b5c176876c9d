"""The DICOM reader of the decoder process: one file, its Run, then its frames, never more than one in memory.

Not for: use outside child.py, which confines the process first.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame, LostFrame, Run
from cathrt.runtime.sources.content import Content, content_sha256, head_of, reading, size_of
from cathrt.runtime.sources.dicom.attributes import Attributes
from cathrt.runtime.sources.dicom.decoders import DECODERS, FrameDecodeError, PixelLayout, decode_frame, load_decoders
from cathrt.runtime.sources.dicom.encapsulated import locate_fragments, read_frame
from cathrt.runtime.sources.dicom.header import run_from_part10
from cathrt.runtime.sources.dicom.inflated import InflatedStream
from cathrt.runtime.sources.dicom.native import read_native_frame
from cathrt.runtime.sources.dicom.part10 import EXPLICIT_BIG, Part10, open_pixel_data, read_part10
from cathrt.runtime.sources.messages import Request

_MISSING = "never arrived: the file holds no data for it"
_NAMED_WITHIN = 1 << 16  # bytes; the file meta information has a few hundred

# One decoded frame, None for one that is not in the file, or why it cannot be decoded.
_Outcome = NDArray[Any] | FrameDecodeError | None


def load_dicom(contents: Sequence[Content]) -> None:
    """Import what reading these needs."""
    load_decoders(head_of(contents[0], _NAMED_WITHIN))


def read_dicom(request: Request, contents: Sequence[Content]) -> Iterator[Run | Frame | LostFrame]:
    """The Run, then a frame or a lost frame for each index from request.first_frame to run.frame_count.

    Raises SourceError where there is no run.
    """
    limits = request.limits
    with reading(contents[0]) as file:
        digest = content_sha256(file)
        head = file.read(_NAMED_WITHIN)
        file.seek(0)
        part10 = read_part10(file, max_inflated_bytes=limits.max_file_mib << 20)
        syntax = part10.transfer_syntax_uid
        if syntax in DECODERS and syntax.encode() not in head:
            raise SourceError(
                f"the transfer syntax {syntax} is named beyond the first {_NAMED_WITHIN} bytes, where its decoder is "
                "looked for: export the file again"
            )
        run, layout, angles = run_from_part10(part10, request.name, digest, limits)
        assert run.frame_count is not None
        element = open_pixel_data(part10)
        wanted = range(request.first_frame, run.frame_count)
        if element.length is None:
            flags, outcomes = _encapsulated(part10, layout, wanted)
        else:
            flags, outcomes = _native(part10, layout, wanted, element.length, vr=element.vr)
        yield replace(run, flags=tuple(sorted({*run.flags, *flags})))
        for index, outcome in zip(wanted, outcomes, strict=True):
            if outcome is None:
                yield LostFrame(index, 0, _MISSING, failed=False)
            elif isinstance(outcome, FrameDecodeError):
                yield LostFrame(index, 0, str(outcome), failed=True)
            else:
                yield Frame(outcome, index, 0, *angles[index])


def _encapsulated(part10: Part10, layout: PixelLayout, wanted: range) -> tuple[frozenset[str], Iterator[_Outcome]]:
    """Flags of the Pixel Data, and the frames `wanted`, which end with the run's last."""
    decoder = DECODERS[part10.transfer_syntax_uid]
    file = part10.body
    assert not isinstance(file, InflatedStream)
    table = Attributes([part10.dataset], set()).octets("ExtendedOffsetTable") or b""
    offsets = struct.unpack(f"<{len(table) // 8}Q", table[: len(table) // 8 * 8])
    located = locate_fragments(
        file, frame_count=wanted.stop, extended_offsets=offsets or None, splittable=decoder.splittable
    )

    def outcomes() -> Iterator[_Outcome]:
        for index in wanted:
            if index >= len(located.frames):
                yield None
                continue
            try:
                yield decode_frame(decoder, read_frame(file, located.frames[index]), layout)
            except FrameDecodeError as exc:
                yield exc

    return located.flags, outcomes()


def _native(
    part10: Part10, layout: PixelLayout, wanted: range, declared: int, *, vr: bytes | None
) -> tuple[frozenset[str], Iterator[_Outcome]]:
    """As _encapsulated(). Pixel Data says how many bytes it has (`declared`); the file has the last word."""
    start = part10.body.tell()
    expected = layout.frame_bytes * wanted.stop
    if declared < layout.frame_bytes:
        raise SourceError(f"Pixel Data holds {declared} bytes, less than one frame of {layout.frame_bytes}")
    if not isinstance(part10.body, InflatedStream):
        available = size_of(part10.body) - start
        if available < layout.frame_bytes:
            raise SourceError(
                f"the file ends {available} bytes into its first frame of {layout.frame_bytes}: fetch it again"
            )
    flags = {"pixel_data_short"} if declared < expected else set()
    flags |= {"pixel_data_long"} if declared > expected + 1 else set()
    big_endian = part10.transfer_syntax_uid == EXPLICIT_BIG
    word_swapped = big_endian and layout.bits_allocated == 8 and vr == b"OW"

    def outcomes() -> Iterator[_Outcome]:
        for index in wanted:
            if (index + 1) * layout.frame_bytes > declared:
                yield None
                continue
            try:
                yield read_native_frame(
                    part10.body, start, index, layout, little_endian=not big_endian, word_swapped=word_swapped
                )
            except FrameDecodeError as exc:
                yield exc

    return frozenset(flags), outcomes()
