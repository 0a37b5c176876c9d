"""ConvNeXt weights to one self-contained ONNX graph, node by node, without any tracing exporter.

For: full say over the graph and the same bytes for the same weights. The graph is the plain network, one initializer
per weight under its own name; folding and quantising are later passes over it. Not for: other networks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from cathrt.export.graph.fold import TOLERANCE, check_outputs
from cathrt.export.models.keyframe.convnext import ARCHS, DEPTHWISE_KERNEL, LAYER_NORM_EPS, ConvNext, arch_of
from cathrt.export.models.keyframe.outputs import OUTPUT, SplitOutputs
from cathrt.runtime.errors import EngineError

OPSET = 20  # the first with Gelu; LayerNormalization came with 17
IR_VERSION = 9  # of the same ONNX release (1.15), so that older engines of that opset still read the file
INPUT = "image"
TO_CHANNELS_LAST, TO_CHANNELS_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)

Storage = Literal["float32", "float16"]


def onnx_from_state(
    state: Mapping[str, Tensor],
    *,
    height: int,
    width: int,
    storage: Storage = "float32",
    outputs: Mapping[str, int] | None = None,
) -> bytes:
    """The ONNX file of a ConvNeXt state in timm's names: image (1, 3, height, width) to its outputs, float32.

    outputs: rows of the last layer by the name of the output (1, rows) that they make, in order, as outputs_of gives
    them; None: all rows are the logits.
    storage: "float16" stores the weights as half floats, each behind a Cast to float32, so the file halves and engines
    fold the casts when they load it; all arithmetic stays float32. It equals the float32 graph of the rounded weights.
    Raises ValueError if the names or shapes are not those of a published size, the outputs take more or fewer rows than
    there are, or height, width are no multiples of 32.
    """
    arch_name, rows = arch_of(state)
    _require_complete(state, arch_name, rows)
    outputs = {OUTPUT: rows} if outputs is None else outputs
    if sum(outputs.values()) != rows or min(outputs.values()) < 1:
        raise ValueError(f"head.fc has {rows} rows, the outputs take {dict(outputs)}: give each row to one output")
    if height % 32 or width % 32:
        raise ValueError(f"input {height}x{width}: ConvNeXt halves its input five times, give multiples of 32")
    graph = _Graph(state, storage)
    arch = ARCHS[arch_name]

    x = graph.conv(INPUT, "stem.0", kernel=4, stride=4)
    x = graph.channel_norm(x, "stem.1")
    for s, depth in enumerate(arch.depths):
        if s:
            x = graph.channel_norm(x, f"stages.{s}.downsample.0")
            x = graph.conv(x, f"stages.{s}.downsample.1", kernel=2, stride=2)
        for i in range(depth):
            x = _block(graph, x, f"stages.{s}.blocks.{i}", arch.widths[s])
    pooled = graph.add("head.pool", "ReduceMean", [x, graph.constant("head.pool.axes", np.array([2, 3]))], keepdims=0)
    normed = graph.layer_norm(pooled, "head.norm")
    only = next(iter(outputs)) if len(outputs) == 1 else None
    logits = graph.add("head.fc", "Gemm", [normed, *graph.weights("head.fc")], transB=1, output=only)
    if only is None:
        graph.split(logits, "head.split", outputs)
    return _serialised(graph, arch_name, (1, 3, height, width), outputs)


def state_from_onnx(model: onnx.ModelProto) -> dict[str, Tensor]:
    """The state that onnx_from_state made this graph of, as float32. Raises ValueError if another program made it."""
    state = {}
    for initializer in model.graph.initializer:
        name = initializer.name.removesuffix(".half")
        if name.endswith((".weight", ".bias", ".gamma")):
            values = numpy_helper.to_array(initializer).astype(np.float32)
            state[name] = torch.from_numpy(values.T.copy() if ".mlp." in name and values.ndim == 2 else values.copy())
    arch_name, classes = arch_of(state)
    _require_complete(state, arch_name, classes)
    return state


def check_against_torch(
    state: Mapping[str, Tensor],
    model: onnx.ModelProto,
    image: NDArray[np.float32],
    tolerance: float = TOLERANCE,
    outputs: Mapping[str, int] | None = None,
) -> float:
    """The largest difference of a graph's outputs and the PyTorch network's, relative to the largest value.

    state: the weights of that network. outputs: as for onnx_from_state.
    Raises EngineError beyond `tolerance`, or if the graph's outputs are others.
    """
    arch_name, rows = arch_of(state)
    network = ConvNext(ARCHS[arch_name], classes=rows)
    network.load_state_dict(dict(state))
    outputs = {OUTPUT: rows} if outputs is None else outputs
    if (found := [port.name for port in model.graph.output]) != list(outputs):
        raise EngineError(f"the graph gives {found}, expected {list(outputs)}: do not use it, correct the pass")
    with torch.no_grad():
        expected = [values.numpy() for values in SplitOutputs(network, outputs).eval()(torch.from_numpy(image))]
    return check_outputs("all passes", model, {model.graph.input[0].name: image}, expected, tolerance)


def _block(graph: _Graph, x: str, name: str, width: int) -> str:
    """One residual block. The norm and the MLP work on channels-last, where LayerNormalization and MatMul want them."""
    branch = graph.conv(x, f"{name}.conv_dw", kernel=DEPTHWISE_KERNEL, pad=DEPTHWISE_KERNEL // 2, groups=width)
    branch = graph.add(f"{name}.channels_last", "Transpose", [branch], perm=TO_CHANNELS_LAST)
    branch = graph.layer_norm(branch, f"{name}.norm")
    branch = graph.linear(branch, f"{name}.mlp.fc1")
    branch = graph.add(f"{name}.mlp.act", "Gelu", [branch])
    branch = graph.linear(branch, f"{name}.mlp.fc2")
    branch = graph.add(f"{name}.scale", "Mul", [branch, graph.weight(f"{name}.gamma")])
    branch = graph.add(f"{name}.channels_first", "Transpose", [branch], perm=TO_CHANNELS_FIRST)
    return graph.add(f"{name}.residual", "Add", [x, branch])


class _Graph:
    """Nodes and initializers in the order they were added; every tensor is named after the node that makes it."""

    def __init__(self, state: Mapping[str, Tensor], storage: Storage) -> None:
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self._state = state
        self._storage = storage

    def add(self, name: str, op: str, inputs: Sequence[str], *, output: str | None = None, **attributes: Any) -> str:
        result = output or f"{name}.out"
        self.nodes.append(helper.make_node(op, list(inputs), [result], name=name, **attributes))
        return result

    def constant(self, name: str, values: NDArray[Any]) -> str:
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def weight(self, name: str, *, transposed: bool = False) -> str:
        values = self._state[name].detach().cpu().float().numpy()
        values = values.T if transposed else values
        if self._storage == "float32":
            return self.constant(name, values)
        stored = self.constant(f"{name}.half", _half(name, values))
        return self.add(f"{name}.cast", "Cast", [stored], to=TensorProto.FLOAT, output=name)

    def weights(self, name: str) -> tuple[str, str]:
        return self.weight(f"{name}.weight"), self.weight(f"{name}.bias")

    def conv(self, x: str, name: str, *, kernel: int, stride: int = 1, pad: int = 0, groups: int = 1) -> str:
        return self.add(
            name,
            "Conv",
            [x, *self.weights(name)],
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[pad] * 4,
            group=groups,
        )

    def linear(self, x: str, name: str) -> str:
        product = self.add(f"{name}.matmul", "MatMul", [x, self.weight(f"{name}.weight", transposed=True)])
        return self.add(name, "Add", [product, self.weight(f"{name}.bias")])

    def split(self, x: str, name: str, parts: Mapping[str, int]) -> None:
        """Columns of a (1, columns) tensor as outputs of the graph."""
        sizes = self.constant(f"{name}.sizes", np.array(list(parts.values()), np.int64))
        self.nodes.append(helper.make_node("Split", [x, sizes], list(parts), name=name, axis=1))

    def layer_norm(self, x: str, name: str) -> str:
        return self.add(name, "LayerNormalization", [x, *self.weights(name)], axis=-1, epsilon=LAYER_NORM_EPS)

    def channel_norm(self, x: str, name: str) -> str:
        """LayerNorm over C of a (1, C, H, W) tensor."""
        x = self.add(f"{name}.channels_last", "Transpose", [x], perm=TO_CHANNELS_LAST)
        return self.add(f"{name}.channels_first", "Transpose", [self.layer_norm(x, name)], perm=TO_CHANNELS_FIRST)


def _half(name: str, values: NDArray[np.float32]) -> NDArray[np.float16]:
    largest = float(np.abs(values).max())
    if not largest <= float(np.finfo(np.float16).max):
        raise ValueError(f"{name}: largest weight {largest:g} does not fit a half float: store float32")
    return values.astype(np.float16)


def _require_complete(state: Mapping[str, Tensor], arch_name: str, classes: int) -> None:
    with torch.device("meta"):  # names and shapes only: no second copy of the weights
        model = ConvNext(ARCHS[arch_name], classes=classes)
    expected = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in state.items()}
    wrong = [
        f"{key}: found {found.get(key, 'nothing')}, expected {expected.get(key, 'nothing')}"
        for key in sorted(expected.keys() | found.keys())
        if found.get(key) != expected.get(key)
    ]
    if wrong:
        raise ValueError(f"not the weights of {arch_name}: " + "; ".join(wrong))


def _serialised(graph: _Graph, name: str, image: tuple[int, ...], outputs: Mapping[str, int]) -> bytes:
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            name,
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, image)],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, (1, rows)) for output, rows in outputs.items()],
            graph.initializers,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="cathrt",
    )
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))
