"""Tensors that an ONNX graph keeps in another file of the bundle: what a reference must say, and the range it names.

A vendor never resolves a reference. It gets the range from the file that was hashed (openvino_weights.py,
onnxruntime.py), so all that is not exactly understood here is refused. Not for: finding the tensors (onnx_file.py).
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice, pairwise

from cathrt.runtime.bundle.files import check_name
from cathrt.runtime.bundle.protobuf import BYTES, VARINT, Field, MalformedError, fields, varints
from cathrt.runtime.errors import ManifestError
from cathrt.runtime.tensor import MAX_RANK

# Fields of TensorProto, and those of StringStringEntryProto; tests/bundle/test_onnx_file.py holds them against onnx.
DIMS, DATA_TYPE, NAME, DOC_STRING, EXTERNAL_DATA, DATA_LOCATION, METADATA = 1, 2, 8, 12, 13, 14, 16
ENTRY_KEY, ENTRY_VALUE = 1, 2
EXTERNAL = 1  # the one DataLocation that is not 0
# Bytes an element by TensorProto.DataType; no strings and no complex numbers.
ELEMENT_BYTES = {
    **dict.fromkeys((2, 3, 9, 17, 18, 19, 20), 1),  # uint8, int8, bool, the four float8
    **dict.fromkeys((4, 5, 10, 16), 2),  # uint16, int16, float16, bfloat16
    **dict.fromkeys((1, 6, 12), 4),  # float32, int32, uint32
    **dict.fromkeys((7, 11, 13), 8),  # int64, float64, uint64
}
NIBBLES = frozenset({21, 22})  # uint4, int4: two in a byte, the first in its lower half
# ONNX advises it in its page on external data, so that a tensor can be mapped; here no tensor is anything else.
ALIGNMENT = 4096

_ALLOWED = frozenset({DIMS, DATA_TYPE, NAME, DOC_STRING, EXTERNAL_DATA, DATA_LOCATION, METADATA})
_KEYS = frozenset({"location", "offset", "length"})
_IGNORED_KEYS = frozenset({"checksum"})  # SHA-1 of the file, which the manifest lists with its SHA-256
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)
_LONGEST_TEXT = 500
_MOST_FIELDS = 64


@dataclass(frozen=True, slots=True)
class ExternalTensor:
    """An initializer of the main graph, and where its elements are: little-endian, in C order.

    file: name in the bundle. offset, length: in bytes, inside that file once check_external() has passed.
    data_type: number of ONNX's TensorProto.DataType.
    """

    name: str
    data_type: int
    shape: tuple[int, ...]
    file: str
    offset: int
    length: int

    @property
    def end(self) -> int:
        return self.offset + self.length


def external_tensor(graph: str, content: memoryview, *, initializer: bool) -> ExternalTensor:
    """The reference in a TensorProto that has one. graph: the file it stands in, by its name in the bundle.

    initializer: whether it is one of the main graph. Raises ManifestError for a reference that is not plainly one
    range of one file beside the graph, MalformedError for what is no TensorProto.
    """
    found = list(islice(fields(content), _MOST_FIELDS + 1))
    if len(found) > _MOST_FIELDS:
        raise MalformedError(f"a reference to another file in more than {_MOST_FIELDS} fields")
    name = _text(_only(found, NAME, BYTES))
    where = f"{graph}: tensor {name!r} keeps its data in another file"
    if not initializer:
        raise ManifestError(f"{where}, expected that of initializers of the main graph alone: keep it in the graph")
    if not name:
        raise ManifestError(f"{where} and has no name: export it again")
    if more := {field.number for field in found} - _ALLOWED:
        raise ManifestError(f"{where}, but has field {min(more)} too, expected its data in one place: export it again")
    location = _number(found, DATA_LOCATION)
    if location != EXTERNAL:
        raise ManifestError(f"{where}, but its data_location is {location}, expected {EXTERNAL}: export it again")
    data_type = _number(found, DATA_TYPE)
    if data_type not in ELEMENT_BYTES.keys() | NIBBLES:
        raise ManifestError(
            f"{where}: found data type {data_type}, expected one of {sorted(ELEMENT_BYTES.keys() | NIBBLES)}: "
            "keep it in the graph"
        )
    entries = _entries(where, [field for field in found if field.number == EXTERNAL_DATA])
    try:
        check_name(entries["location"])
    except ManifestError as exc:
        raise ManifestError(f"{where}: {exc}") from exc
    shape = _shape(where, found)
    tensor = ExternalTensor(
        name, data_type, shape, _beside(graph, entries["location"]), int(entries["offset"]), int(entries["length"])
    )
    expected = stored_bytes(data_type, math.prod(shape))
    if tensor.length != expected:
        raise ManifestError(f"{where}: its length is {tensor.length}, {shape} of type {data_type} takes {expected}")
    if tensor.offset % ALIGNMENT:
        raise ManifestError(
            f"{where}: its offset is {tensor.offset}, expected a multiple of {ALIGNMENT}: save it aligned"
        )
    return tensor


def stored_bytes(data_type: int, elements: int) -> int:
    """What so many elements take in a file."""
    return -(-elements // 2) if data_type in NIBBLES else elements * ELEMENT_BYTES[data_type]


def check_external(graph: str, tensors: Iterable[ExternalTensor], sizes: Mapping[str, int]) -> None:
    """Every range lies in a listed file. sizes: of the bundle's files. Raises ManifestError."""
    for tensor in tensors:
        where = f"{graph}: tensor {tensor.name!r} keeps its data in {tensor.file!r}"
        if tensor.file not in sizes or tensor.file == graph:
            listed = "is the graph itself" if tensor.file == graph else "the manifest does not list"
            raise ManifestError(f"{where}, which {listed}: put the file beside the graph and sign the bundle again")
        if tensor.end > sizes[tensor.file]:
            raise ManifestError(f"{where} up to byte {tensor.end}, it has {sizes[tensor.file]}: export it again")


def check_overlaps(tensors: Collection[ExternalTensor]) -> None:
    """Two tensors share a whole range or nothing. tensors: of every graph of the bundle. Raises ManifestError."""
    ranges = sorted({(tensor.file, tensor.offset, tensor.end) for tensor in tensors})
    for (file, _, end), (next_file, start, _) in pairwise(ranges):
        if file == next_file and start < end:
            raise ManifestError(
                f"{file}: byte {start} belongs to two tensors whose ranges differ, expected the same range or none in "
                "common: export it again"
            )


def _entries(where: str, found: list[Field]) -> dict[str, str]:
    entries: dict[str, str] = {}
    for field in found:
        inside = list(islice(fields(field.content), 3)) if field.wire_type == BYTES else []
        key, value = _text(_only(inside, ENTRY_KEY, BYTES)), _text(_only(inside, ENTRY_VALUE, BYTES))
        if key in entries or key not in _KEYS | _IGNORED_KEYS or len(inside) != 2:
            raise ManifestError(f"{where}: found entry {key!r}, expected each of {sorted(_KEYS)} once: export it again")
        entries[key] = value
    for key in sorted(_KEYS):
        if key not in entries:
            raise ManifestError(f"{where} and does not say its {key}: export it again")
        if key != "location" and not _NUMBER.fullmatch(entries[key]):
            raise ManifestError(f"{where}: its {key} is {entries[key][:40]!r}, expected a number: export it again")
    return entries


def _shape(where: str, found: list[Field]) -> tuple[int, ...]:
    shape: list[int] = []
    for field in found:
        if field.number == DIMS:
            shape += [field.value] if field.wire_type == VARINT else islice(varints(field.content), MAX_RANK + 1)
    if len(shape) > MAX_RANK or any(not 0 < size < 1 << 48 for size in shape):
        raise ManifestError(f"{where}: found shape {str(shape)[:80]}, expected up to {MAX_RANK} sizes of 1 and more")
    return tuple(shape)


def _beside(graph: str, location: str) -> str:
    """ONNX counts a location from the graph's own folder."""
    folder, slash, _ = graph.rpartition("/")
    return f"{folder}{slash}{location}"


def _number(found: list[Field], number: int) -> int:
    field = _only(found, number, VARINT)
    return field.value if field is not None else 0


def _only(found: list[Field], number: int, wire_type: int) -> Field | None:
    """The one field of that number. Two of them mean the last one to some readers, so they are refused."""
    same = [field for field in found if field.number == number]
    if len(same) > 1 or any(field.wire_type != wire_type for field in same):
        raise MalformedError(f"field {number} stands {len(same)} times, or is of another type")
    return same[0] if same else None


def _text(field: Field | None) -> str:
    content = bytes(field.content[: _LONGEST_TEXT + 1]) if field is not None else b""
    try:
        text = content.decode()
    except UnicodeDecodeError as exc:
        raise MalformedError("a text that is not UTF-8") from exc
    if len(content) > _LONGEST_TEXT:
        raise MalformedError(f"a text of more than {_LONGEST_TEXT} bytes")
    return text
