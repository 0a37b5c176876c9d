"""What is fuzzed: readers of foreign bytes, each with seeds, and a check that fails on any end that is not allowed.

Readers run in this process, unconfined, so that coverage can be seen. Not for: mutating (atheris_loop.py), and what a
good input must become (tests/sources, tests/bundle).
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from cathrt.runtime.bundle.onnx_file import OnnxFile, check_onnx
from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import ManifestError, SourceError
from cathrt.runtime.frame import Frame, Run
from cathrt.runtime.sources.decoder.child import READERS
from cathrt.runtime.sources.discover import InputKind
from cathrt.runtime.sources.messages import Request, angles_from_document, document_from_run, pixel_dtype
from cathrt.runtime.sources.messages import run_from_document as run_as_the_parent_checks_it

LIMITS = LimitsConfig(max_file_mib=1, max_rows=256, max_columns=256, max_frames=32)
LONGEST_SEED = 1 << 16


@dataclass(frozen=True)
class Target:
    """check: returns for an allowed end, raises for any other. seeds: small inputs that reach most of the code."""

    check: Callable[[bytes], None]
    seeds: Callable[[], Iterator[bytes]]


def _read(kind: InputKind, data: bytes) -> None:
    """A run whose messages the parent would accept, with every frame accounted for; or SourceError."""
    descriptor = os.memfd_create("fuzzed", os.MFD_CLOEXEC)
    with io.FileIO(descriptor, "rb+") as content:
        content.write(data)
        contents = (content,)
        try:
            items = READERS[kind]()(Request(kind, "fuzzed", ("fuzzed",), LIMITS), contents)
            run = next(items)
        except SourceError as exc:
            if not str(exc):
                raise AssertionError("a refusal without a reason") from exc
            return
        assert isinstance(run, Run), "the first item is no run"
        run_as_the_parent_checks_it(document_from_run(run), "fuzzed", LIMITS)
        shape, dtype = (run.rows, run.columns), pixel_dtype(run.grayscale.bits_stored)
        expected = 0
        for item in items:
            assert not isinstance(item, Run), "a second run"
            assert item.index == expected, f"frame {item.index}, expected {expected}"
            expected += 1
            if isinstance(item, Frame):
                assert item.pixels.shape == shape, "a frame of another size"
                assert item.pixels.dtype == dtype, "a frame of another type"
                angles_from_document([item.positioner_primary_angle_deg, item.positioner_secondary_angle_deg])
            else:
                assert item.reason, "a lost frame without a reason"
        assert expected == run.frame_count, f"{expected} items, {run.frame_count} declared"


def _onnx(data: bytes) -> None:
    """Refused, or walked to every tensor that the onnx package's own parser finds outside the file."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        found: OnnxFile = check_onnx("fuzzed.onnx", data)
    except ManifestError:
        return
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        return  # accepted here, and refused by every engine
    outside = sum(1 for tensor in _tensors(model) if _is_outside(tensor))
    assert outside <= len(found.external), f"{outside} tensors lie outside, {len(found.external)} were found"


def _is_outside(tensor: Any) -> bool:
    return bool(tensor.data_location) or len(tensor.external_data) > 0


def _tensors(message: Any) -> Iterator[Any]:
    """Every TensorProto anywhere in a message."""
    if message.DESCRIPTOR.name == "TensorProto":
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for one in value if field.is_repeated else (value,):
                yield from _tensors(one)


def _dicom_seeds() -> Iterator[bytes]:
    from tests.faults.malformed import CASES
    from tests.sources.encapsulated_runs import STREAMS, TABLES, Written

    for syntax, streams in STREAMS.items():
        for table in TABLES:
            yield Written(syntax, [[stream] for stream in streams], table).octets()
    yield from (case.build() for case in CASES if case.name.endswith(".dcm"))


def _still_seeds() -> Iterator[bytes]:
    from tests.faults.malformed import CASES
    from tests.sources.code_streams import forms
    from tests.sources.picture_files import GREY8, GREY16, exif, packed, png, saved, tiff, tiles, with_segment

    for pixels, formats in ((GREY8, ("PNG", "BMP", "TIFF", "JPEG")), (GREY16, ("PNG", "TIFF"))):
        for name in formats:
            yield saved(pixels, name)
    for name, modes in {"PNG": ("RGB", "RGBA", "LA", "P", "1"), "TIFF": ("RGB", "RGBA", "P", "CMYK")}.items():
        for mode in modes:
            yield saved(GREY8, name, mode)
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        yield saved(GREY8, "TIFF", compression=compression)
    yield png(GREY8, 8, 0, interlaced=True)
    yield tiff(tiles(GREY16, 32, 16, ">"), bits=16, tile=32, order=">")
    yield tiff([packed(GREY8, 8)], photometric=0, big=True)
    yield with_segment(saved(GREY8, "JPEG"), 0xE1, exif(6))
    yield from (form.stream for form in forms().values())
    yield from (case.build() for case in CASES if case.name.endswith((".png", ".tif", ".jpg", ".bmp")))


def _video_seeds() -> Iterator[bytes]:
    from tests.faults.malformed import CASES

    yield from (case.build() for case in CASES if case.name.endswith((".mp4", ".avi", ".mkv", ".mov")))


def _onnx_seeds() -> Iterator[bytes]:
    import onnx
    from onnx import TensorProto, helper

    from tests.golden import conv_model

    for opset in (13, 17):
        yield conv_model(opset=opset).SerializeToString()
    model = conv_model()
    for tensor in model.graph.initializer:
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="weights.bin")
        tensor.ClearField("raw_data")
    yield model.SerializeToString()
    branch = helper.make_graph([], "branch", [], [], [onnx.TensorProto(name="inner", data_type=1, dims=[1])])
    model.graph.node.append(helper.make_node("If", ["condition"], ["out"], then_branch=branch, else_branch=branch))
    yield model.SerializeToString()


TARGETS: dict[str, Target] = {
    "dicom": Target(partial(_read, "dicom"), _dicom_seeds),
    "stills": Target(partial(_read, "stills"), _still_seeds),
    "video": Target(partial(_read, "video"), _video_seeds),
    "onnx": Target(_onnx, _onnx_seeds),
}
