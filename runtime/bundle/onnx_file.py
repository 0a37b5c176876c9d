"""What must hold of an ONNX file before any engine sees it: it parses, is self-contained, and its opset is known.

OpenVINO 2026.4 resolves external tensor data of a model given as bytes against the current folder, and takes any
opset number without a word (both tried); ONNX Runtime had holes of its own (CVE-2022-25882 and its followers). So the
file's wire format is walked here, with no protobuf library and no copy. Not for: whether the graph computes anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from cathrt.runtime.errors import ManifestError

# The way from a model to every tensor in it: message -> field number -> message. Field numbers from onnx.proto;
# tests/bundle/test_onnx_file.py holds them against the onnx package.
MESSAGES: dict[str, dict[int, str]] = {
    "ModelProto": {7: "GraphProto", 8: "OperatorSetIdProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "GraphProto": {1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        5: "TensorProto",
        6: "GraphProto",
        10: "TensorProto",
        11: "GraphProto",
        22: "SparseTensorProto",
        23: "SparseTensorProto",
    },
    "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
    "FunctionProto": {7: "NodeProto", 9: "OperatorSetIdProto", 11: "AttributeProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "OperatorSetIdProto": {},
    "TensorProto": {},
}
MODEL_GRAPH = 7
NODE_OPERATOR = 4  # op_type of NodeProto
MODEL_FIELDS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26})
MAX_DEPTH = 100  # protobuf's own limit on nested messages
EXTERNAL_DATA, DATA_LOCATION = 13, 14  # fields of TensorProto
OPSET_DOMAIN, OPSET_VERSION = 1, 2  # fields of OperatorSetIdProto
# What TensorRT 11's parser documents, the narrowest of the engines.
OPSETS = range(9, 26)

_OPSETS_TEXT = f"{OPSETS.start} to {OPSETS.stop - 1}"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types; 3 and 4 (groups) do not occur in ONNX


class _Field(NamedTuple):
    number: int
    wire_type: int
    value: int  # of a varint, else 0
    content: memoryview  # of a length-delimited field, else empty


class _MalformedError(Exception):
    """The bytes are not protobuf; the text says where."""


def check_onnx(name: str, model: bytes) -> frozenset[str]:
    """Names of the operators in `model`: well-formed ONNX with every tensor inside it and an opset in OPSETS.

    Raises ManifestError for anything else.
    """
    opsets, operators = [], set()
    try:
        for message, fields in _messages("ModelProto", memoryview(model), 0):
            if message == "TensorProto":
                _refuse_external_data(name, fields)
            elif message == "OperatorSetIdProto":
                opsets.append(_opset(name, fields))
            elif message == "NodeProto":
                operators |= {bytes(field.content) for field in fields if field.number == NODE_OPERATOR}
            elif message == "ModelProto":
                _check_model_fields(fields)
    except _MalformedError as exc:
        raise ManifestError(f"{name}: not an ONNX model ({exc}): export it again") from exc
    if not any(opsets):
        raise ManifestError(f"{name}: imports no ai.onnx opset, expected one of {_OPSETS_TEXT}: export it again")
    return frozenset(operator.decode(errors="replace") for operator in operators)


def _check_model_fields(fields: list[_Field]) -> None:
    numbers = {field.number for field in fields}
    if unknown := numbers - MODEL_FIELDS:
        raise _MalformedError(f"field {min(unknown)} is not one of a model's")
    if MODEL_GRAPH not in numbers:
        raise _MalformedError("no graph in it")


def _refuse_external_data(name: str, fields: list[_Field]) -> None:
    # Any location but 0 is refused, since parsers cut the number to 32 bits before they compare it with EXTERNAL.
    if any(field.number == EXTERNAL_DATA or (field.number == DATA_LOCATION and field.value) for field in fields):
        raise ManifestError(
            f"{name}: a tensor keeps its data in another file, expected a self-contained model: "
            "save it with save_as_external_data=False"
        )


def _opset(name: str, fields: list[_Field]) -> int:
    """Version of the ai.onnx operator set, 0 for another domain. Raises ManifestError for one outside OPSETS."""
    domain, version = b"", 0
    for field in fields:
        if field.number == OPSET_DOMAIN:
            domain = bytes(field.content)
        elif field.number == OPSET_VERSION:
            version = field.value
    if domain not in (b"", b"ai.onnx"):
        return 0
    if version not in OPSETS:
        raise ManifestError(
            f"{name}: ONNX opset {version}, this runtime knows {_OPSETS_TEXT}: "
            "export it with one of these, or update cathrt"
        )
    return version


def _messages(message: str, content: memoryview, depth: int) -> Iterator[tuple[str, list[_Field]]]:
    """This message and, depth first, every message of MESSAGES inside it, each with its fields."""
    if depth > MAX_DEPTH:
        raise _MalformedError(f"messages nested deeper than {MAX_DEPTH}")
    fields = list(_fields(content))
    yield message, fields
    below = MESSAGES[message]
    for field in fields:
        if field.number in below:
            if field.wire_type != _BYTES:
                raise _MalformedError(f"field {field.number} of {message} has wire type {field.wire_type}")
            yield from _messages(below[field.number], field.content, depth + 1)


def _fields(content: memoryview) -> Iterator[_Field]:
    position, end = 0, len(content)
    empty = content[:0]
    while position < end:
        tag, position = _varint(content, position)
        number, wire_type = tag >> 3, tag & 7
        if not 0 < number < 1 << 29:
            raise _MalformedError(f"field number {number} at byte {position}")
        value, length = 0, 0
        if wire_type == _VARINT:
            value, position = _varint(content, position)
        elif wire_type == _BYTES:
            length, position = _varint(content, position)
        elif wire_type in (_FIXED32, _FIXED64):
            length = 4 if wire_type == _FIXED32 else 8
        else:
            raise _MalformedError(f"wire type {wire_type} at byte {position}")
        if length > end - position:
            raise _MalformedError(f"field {number} ends {length - (end - position)} bytes past its message")
        yield _Field(number, wire_type, value, content[position : position + length] if length else empty)
        position += length


def _varint(content: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(content):
            raise _MalformedError("cut off inside a number")
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise _MalformedError(f"number of more than 10 bytes at byte {position}")
