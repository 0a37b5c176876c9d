"""The compute limit of a network: its multiplications and additions at the pace of the best matrix product found here.

For: benchmarks/engines.py, which times these products in turns with the engines. As a program it is the process that
one library's products live in: `python -m benchmarks.compute_limit torch|openvino SIDE TYPE...`. Not for: memory.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks.turns import Call, serve, take_stdout
from cathrt.export.quantize.layers import initializers, weighted_layers
from cathrt.runtime.engines.cpu import sums_int8_exactly

Element = Literal["fp32", "bf16", "int8"]
Library = Literal["torch", "openvino"]
ELEMENTS: tuple[Element, ...] = get_args(Element)
LIBRARIES: tuple[Library, ...] = get_args(Library)
THREADS = 2
# Of the largest sum. Operands of bf16 are rounded already, the result may be once; int8 sums are exact, but OpenVINO
# hands them out as float32.
TOLERANCE: Mapping[Element, float] = {"fp32": 1e-5, "bf16": 2.0**-8, "int8": 1e-6}
_CHECKED_ROWS = 4

Matrix = NDArray[Any]


def network_flops(model: onnx.ModelProto) -> int:
    """Multiplications and additions of one inference in the layers with weights; all else is left out."""
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    constants = initializers(model)
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*model.graph.value_info, *model.graph.output)
    }
    flops = 0
    for layer in weighted_layers(model):
        weights = constants[layer.weight].dims
        sums = int(np.prod(shapes[layer.output], dtype=np.int64))
        flops += 2 * sums * int(np.prod(weights, dtype=np.int64)) // weights[layer.output_axis]
    return flops


def product_flops(side: int) -> int:
    """Of one product of two square matrices."""
    return 2 * side**3


def operands(side: int, element: Element) -> tuple[Matrix, Matrix]:
    """Two matrices of whole numbers in int8, of normal ones otherwise; those of bf16 are rounded to it already.

    The right one has 7 bits where this CPU would clip the sums of 8.
    """
    draw = np.random.default_rng(0)
    if element == "int8":
        left, right = draw.integers(-127, 128, size=(2, side, side), dtype=np.int8)
        return left, right if sums_int8_exactly() else right // 2
    left, right = draw.normal(size=(2, side, side)).astype(np.float32)
    if element == "bf16":
        left, right = ((m.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32) for m in (left, right))
    return left, right


def check_product(name: str, found: Matrix, left: Matrix, right: Matrix, element: Element) -> None:
    """Hold the first rows against float64. Raises ValueError where they are further off than TOLERANCE."""
    expected = left[:_CHECKED_ROWS].astype(np.float64) @ right.astype(np.float64)
    error = float(np.abs(found[:_CHECKED_ROWS] - expected).max() / np.abs(expected).max())
    if not error <= TOLERANCE[element]:
        raise ValueError(
            f"{name}: product off by {error:.2g} of its largest sum, expected at most {TOLERANCE[element]:.2g}: it is "
            "not this product that would be timed"
        )


def torch_products(side: int, elements: tuple[Element, ...]) -> Iterator[tuple[str, Call]]:
    """torch.mm, and torch._int_mm for int8: both operands change from call to call, as far as torch knows."""
    import torch

    torch.set_num_threads(THREADS)
    for element in elements:
        left, right = (torch.from_numpy(m) for m in operands(side, element))
        if element == "bf16":
            left, right = left.bfloat16(), right.bfloat16()
        multiply = torch._int_mm if element == "int8" else torch.mm
        out = torch.empty(side, side, dtype=torch.int32 if element == "int8" else left.dtype)
        multiply(left, right, out=out)
        check_product(f"torch_{element}", out.double().numpy(), *operands(side, element), element)
        yield element, lambda f=multiply, a=left, b=right, out=out: f(a, b, out=out)


def openvino_products(side: int, elements: tuple[Element, ...]) -> Iterator[tuple[str, Call]]:
    """MatMul by a constant, packed when loaded, as a network's weights are, with the runtime adapter's properties."""
    from cathrt.runtime.engines.silent_openvino import ov

    for element in elements:
        left, right = operands(side, element)
        core = ov.Core()
        compiled = core.compile_model(
            core.read_model(product_graph(right).SerializeToString()),
            "CPU",
            {
                "PERFORMANCE_HINT": "LATENCY",
                "NUM_STREAMS": 1,
                "INFERENCE_NUM_THREADS": THREADS,
                "INFERENCE_PRECISION_HINT": ov.Type.bf16 if element == "bf16" else ov.Type.f32,
                "ENABLE_CPU_PINNING": False,
            },
        )
        request = compiled.create_infer_request()
        request.set_input_tensor(ov.Tensor(left.astype(np.float32)))
        request.infer()
        check_product(f"openvino_{element}", request.get_output_tensor().data, left, right, element)
        yield element, request.infer


def product_graph(right: Matrix) -> onnx.ModelProto:
    """left (side, side) float32 times the constant `right`; where that is int8, left becomes int8 by a Q/DQ pair."""
    side = len(right)
    constants, nodes, names = {"right": right}, [], ["left", "right"]
    if right.dtype == np.int8:
        constants |= {"one": np.ones((), np.float32), "zero": np.zeros((), np.int8)}
        constants |= {"ones": np.ones(side, np.float32), "zeros": np.zeros(side, np.int8)}
        names = ["left.dequantized", "right.dequantized"]
        nodes = [
            helper.make_node("QuantizeLinear", ["left", "one", "zero"], ["left.int8"]),
            helper.make_node("DequantizeLinear", ["left.int8", "one", "zero"], [names[0]]),
            helper.make_node("DequantizeLinear", ["right", "ones", "zeros"], [names[1]], axis=1),
        ]
    nodes.append(helper.make_node("MatMul", names, ["product"]))
    graph = helper.make_graph(
        nodes,
        "product",
        [helper.make_tensor_value_info("left", TensorProto.FLOAT, [side, side])],
        [helper.make_tensor_value_info("product", TensorProto.FLOAT, [side, side])],
        [numpy_helper.from_array(np.ascontiguousarray(values), name) for name, values in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def _serve(library: str, side: int, elements: tuple[Element, ...]) -> None:
    answers = take_stdout()
    make = torch_products if library == "torch" else openvino_products
    serve(answers, {}, dict(make(side, elements)), lambda _: None)


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]), tuple(element for element in ELEMENTS if element in sys.argv[3:]))
