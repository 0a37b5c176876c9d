"""What must hold of an ONNX file before any engine sees it: it parses, its opset is known, and where its tensors are.

OpenVINO 2026.4 resolves external tensor data of a model given as bytes against the current folder, and takes any
opset number without a warning (both tried); ONNX Runtime had holes of its own (CVE-2022-25882 and others). So the
file's wire format is walked here, with no protobuf library, no copy and no memory that grows with the file. Not for:
whether the graph computes anything, and what a reference to another file must look like (onnx_external.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from cathrt.runtime.bundle.onnx_external import DATA_LOCATION, EXTERNAL_DATA, NAME, ExternalTensor, external_tensor
from cathrt.runtime.bundle.protobuf import BYTES, Field, MalformedError, fields
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
GRAPH_INITIALIZER = 5  # of GraphProto
NODE_OPERATOR = 4  # op_type of NodeProto
MODEL_FIELDS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26})
MAX_DEPTH = 100  # protobuf's own limit on nested messages
OPSET_DOMAIN, OPSET_VERSION = 1, 2  # fields of OperatorSetIdProto
# What TensorRT 11's parser documents, the narrowest of the engines.
OPSETS = range(9, 26)

MAX_FIELDS = 1_000_000  # of all messages walked; a graph of 5,000 nodes has some 100,000

_OPSETS_TEXT = f"{OPSETS.start} to {OPSETS.stop - 1}"
_LONGEST_OPERATOR = 200
_MOST_OPERATORS = 1000  # ONNX itself has two hundred
_INITIALIZER_DEPTH = 2  # of the main graph


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """What was found: names of the operators, and the tensors whose data is in another file."""

    operators: frozenset[str]
    external: tuple[ExternalTensor, ...] = ()


def check_onnx(name: str, model: bytes | memoryview) -> OnnxFile:
    """Walk well-formed ONNX with an opset in OPSETS, whose tensors have their data inside it or say where it is.

    name: of the file in the bundle. Raises ManifestError for anything else.
    """
    walk = _Walk(name)
    try:
        walk.message("ModelProto", memoryview(model), 0)
    except MalformedError as exc:
        raise ManifestError(f"{name}: not an ONNX model ({exc}): export it again") from exc
    if not walk.graphs:
        raise ManifestError(f"{name}: not an ONNX model (no graph in it): export it again")
    if not walk.knows_opset:
        raise ManifestError(f"{name}: imports no ai.onnx opset, expected one of {_OPSETS_TEXT}: export it again")
    _refuse_namesakes(name, memoryview(model), walk.external)
    operators = frozenset(operator.decode(errors="replace") for operator in walk.operators)
    return OnnxFile(operators, tuple(walk.external))


def _refuse_namesakes(name: str, model: memoryview, external: Collection[ExternalTensor]) -> None:
    """An initializer of the same name as one in another file: which of the two counts is each reader's own choice."""
    found = Counter[bytes]()
    names = {tensor.name.encode() for tensor in external}
    for graph in fields(model) if names else ():
        for field in fields(graph.content) if graph.number == MODEL_GRAPH else ():
            if field.number == GRAPH_INITIALIZER:
                found.update(names & {bytes(own.content) for own in fields(field.content) if own.number == NAME})
    if twice := sorted(own.decode() for own, times in found.items() if times > 1):
        raise ManifestError(f"{name}: tensor {twice[0]!r} occurs twice among the initializers: export it again")


def check_self_contained(name: str, model: bytes | memoryview) -> OnnxFile:
    """check_onnx() for whoever opens the model alone. Raises ManifestError where a tensor is in another file too."""
    found = check_onnx(name, model)
    if found.external:
        raise ManifestError(
            f"{name}: tensor {found.external[0].name!r} keeps its data in another file, expected a self-contained "
            "model: save it with save_as_external_data=False"
        )
    return found


class _Walk:
    """One walk over a model, depth first. It keeps what it found and nothing of the file."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.graphs = 0
        self.knows_opset = False
        self.operators: set[bytes] = set()
        self.external: list[ExternalTensor] = []
        self._fields_left = MAX_FIELDS

    def message(self, message: str, content: memoryview, depth: int) -> None:
        """Visit a message of MESSAGES that is no tensor and no opset, and every one in it."""
        if depth > MAX_DEPTH:
            raise MalformedError(f"messages nested deeper than {MAX_DEPTH}")
        below = MESSAGES[message]
        for field in self._counted(content):
            inside = below.get(field.number)
            if inside is not None:
                if field.wire_type != BYTES:
                    raise MalformedError(f"field {field.number} of {message} has wire type {field.wire_type}")
                self._below(message, inside, field.content, depth + 1)
            elif message == "NodeProto" and field.number == NODE_OPERATOR:
                self._operator(field.content)
            elif message == "ModelProto" and field.number not in MODEL_FIELDS:
                raise MalformedError(f"field {field.number} is not one of a model's")

    def _below(self, parent: str, message: str, content: memoryview, depth: int) -> None:
        if message == "TensorProto":
            self._tensor(content, initializer=parent == "GraphProto" and depth == _INITIALIZER_DEPTH)
        elif message == "OperatorSetIdProto":
            self._opset(content)
        else:
            self.graphs += parent == "ModelProto" and message == "GraphProto"
            self.message(message, content, depth)

    def _tensor(self, content: memoryview, *, initializer: bool) -> None:
        # Any location but 0 counts, since parsers cut the number to 32 bits before they compare it with EXTERNAL.
        elsewhere = False
        for field in self._counted(content):
            elsewhere |= field.number == EXTERNAL_DATA or (field.number == DATA_LOCATION and field.value != 0)
        if elsewhere:
            self.external.append(external_tensor(self.name, content, initializer=initializer))

    def _operator(self, content: memoryview) -> None:
        if len(content) > _LONGEST_OPERATOR or len(self.operators) >= _MOST_OPERATORS:
            raise MalformedError("operators of names, or of a number, that no graph has")
        self.operators.add(bytes(content))

    def _opset(self, content: memoryview) -> None:
        """Raises ManifestError for a version of ai.onnx outside OPSETS."""
        domain, version = b"", 0
        for field in self._counted(content):
            if field.number == OPSET_DOMAIN:
                domain = bytes(field.content[:_LONGEST_OPERATOR])
            elif field.number == OPSET_VERSION:
                version = field.value
        if domain not in (b"", b"ai.onnx"):
            return
        if version not in OPSETS:
            raise ManifestError(
                f"{self.name}: ONNX opset {version}, this runtime knows {_OPSETS_TEXT}: "
                "export it with one of these, or update cathrt"
            )
        self.knows_opset = True

    def _counted(self, content: memoryview) -> Iterator[Field]:
        for field in fields(content):
            self._fields_left -= 1
            if self._fields_left < 0:
                raise MalformedError(f"more than {MAX_FIELDS} fields")
            yield field
