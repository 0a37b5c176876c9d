"""The DICOM reader of the decoder process: one file, its Run, then its frames, never more than one in memory.

Not for: use outside child.py, which confines the process first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame, LostFrame, Run
from cathrt.runtime.sources.content import Content, content_sha256, reading
from cathrt.runtime.sources.dicom.decoders import FrameDecodeError, load_decoders
from cathrt.runtime.sources.dicom.header import Described, describe, run_from_description
from cathrt.runtime.sources.dicom.inflated import InflatedStream
from cathrt.runtime.sources.dicom.native import native_frames
from cathrt.runtime.sources.dicom.part10 import Part10, open_pixel_data, read_part10
from cathrt.runtime.sources.dicom.pixel_frames import FrameMissingError, PixelFrames, encapsulated_frames
from cathrt.runtime.sources.messages import Request


def load_dicom() -> None:
    """Import what reading needs."""
    load_decoders()


def read_dicom(request: Request, contents: Sequence[Content]) -> Iterator[Run | Frame | LostFrame]:
    """The Run, then a frame or a lost frame for each index from request.first_frame to run.frame_count.

    Raises SourceError where there is no run.
    """
    limits = request.limits
    with reading(contents[0]) as file:
        digest = content_sha256(file)
        part10 = read_part10(file, max_inflated_bytes=limits.max_file_mib << 20)
        described = describe(part10, limits)
        frames = _pixel_frames(part10, described)
        if frames.count > limits.max_frames:
            raise SourceError(
                f"Pixel Data holds {frames.count} frames, Number of Frames (0028,0008) says {described.frames}: "
                f"expected at most limits.max_frames = {limits.max_frames}: raise it if this is meant"
            )
        run, descriptions = run_from_description(described, part10, request.name, digest, frame_count=frames.count)
        yield replace(run, flags=tuple(sorted({*run.flags, *frames.flags})))
        for index in range(request.first_frame, frames.count):
            try:
                pixels = frames.read(index)
            except FrameMissingError as exc:
                yield LostFrame(index, 0, str(exc), failed=False)
            except FrameDecodeError as exc:
                yield LostFrame(index, 0, str(exc), failed=True)
            else:
                yield Frame(pixels, index, 0, *descriptions[index].angles, descriptions[index].grayscale)


def _pixel_frames(part10: Part10, described: Described) -> PixelFrames:
    element = open_pixel_data(part10)
    if element.length is not None:
        return native_frames(part10, described.layout, element, declared=described.frames)
    assert not isinstance(part10.body, InflatedStream)
    return encapsulated_frames(
        part10.body,
        part10.transfer_syntax_uid,
        described.layout,
        declared=described.frames,
        extended_table=described.attributes.octets("ExtendedOffsetTable"),
    )
