"""A kind of model of the tests' own: two pictures of a frame in, a vector out. All that export must be told of it.

Its weights are noise. Not for: its part in the runtime (runtime_vector/).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import onnx
import torch
import typer
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from cathrt.export.graph.fold import Feeds, Layout, check_outputs
from cathrt.export.model_kind import ExportKind, ExportPort, NetworkSource, SourceModel
from cathrt.export.qualify.criteria import Criteria, Layers, Outputs, RunAnswers, Shown
from cathrt.export.qualify.gate import Failure, worst
from cathrt.export.qualify.html import lines, section
from cathrt.export.qualify.reference import Network as Reference
from cathrt.export.qualify.runs import Truths
from cathrt.runtime.bundle.manifest import (
    SCHEMA_VERSION,
    DeclaredTensor,
    Manifest,
    Network,
    Precision,
    Preprocessing,
)
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import Config
from tests.second_model.runtime_vector import READER, VectorSection

ROLE, LENGTH, CHANNELS = READER, 5, 4
SIZES = {"wide": (48, 64), "small": (32, 32)}  # inputs, rows and columns


@dataclass(frozen=True, slots=True)
class VectorComparison:
    """largest: absolute difference of any component, None where one of the vectors is not finite."""

    runs: int
    frames: int
    largest: float | None


@dataclass(frozen=True, slots=True)
class VectorGate:
    """error: largest difference of any component."""

    error: float
    AT_LEAST: ClassVar[frozenset[str]] = frozenset()


def compare(runs: Sequence[RunAnswers], manifest: Manifest, config: Config) -> VectorComparison:
    assert isinstance(manifest.model, VectorSection)
    output = manifest.model.output
    pairs = [(run.reference[output], run.engine[output]) for run in runs if len(run.frames)]
    errors = [float(np.abs(engine - reference).max()) for reference, engine in pairs]
    largest = max(errors) if np.isfinite(errors).all() else None
    return VectorComparison(len(pairs), sum(len(reference) for reference, _ in pairs), largest)


def failures(compared: VectorComparison, gate: VectorGate, layers: Layers) -> tuple[Failure, ...]:
    if compared.largest is not None and compared.largest <= gate.error:
        return ()
    return (Failure("vector error", str(compared.largest), f"at most {gate.error:g}", worst(layers)),)


def int8_holds(manifest: Manifest, expected: Sequence[Outputs], found: Sequence[Outputs], gate: VectorGate) -> bool:
    assert isinstance(manifest.model, VectorSection)
    output = manifest.model.output
    return all(
        float(np.abs(one[output] - other[output]).max()) <= gate.error
        for one, other in zip(expected, found, strict=True)
    )


def picture(manifest: Manifest, reference: Outputs, engine: Outputs) -> float | None:
    assert isinstance(manifest.model, VectorSection)
    return float(np.abs(reference[manifest.model.output] - engine[manifest.model.output]).max())


CRITERIA = Criteria(
    comparison=VectorComparison,
    settings=lambda config: {},
    compare=compare,
    gates={"float32": VectorGate(1e-4), "int8": VectorGate(0.2)},
    failures=failures,
    int8_holds=int8_holds,
    shown=Shown(
        picture=picture,
        figures=lambda compared: {"vector_error": compared.largest},
        of_set=lambda compared: {},
        details=lambda compared: {},
        rows=lambda compared, gate: [("vector error", str(compared.largest), f"at most {gate.error:g}")],
        sections=lambda compared, pictures: [section("Vectors", lines([f"{len(pictures)} pictures kept"]))],
    ),
)


def weights_of(seed: int) -> dict[str, NDArray[np.float32]]:
    draw = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {}
    for name in SIZES:
        shapes |= {f"{name}.stem": (CHANNELS, 3, 3, 3), f"{name}.half": (CHANNELS, CHANNELS, 3, 3)}
    shapes["head"] = (len(SIZES) * CHANNELS, LENGTH)
    return {name: draw.normal(scale=0.4, size=shape).astype(np.float32) for name, shape in shapes.items()}


def graph_of(weights: Mapping[str, NDArray[np.float32]]) -> onnx.ModelProto:
    """Two convolutions on each picture, the means of their channels, and a matrix product over both."""
    nodes = []
    for name in SIZES:
        for layer, read in ((f"{name}.stem", name), (f"{name}.half", f"{name}.stem.relu")):
            made = f"{layer}.out"
            nodes.append(helper.make_node("Conv", [read, f"{layer}.w"], [made], layer, pads=[1] * 4, strides=[2, 2]))
            nodes.append(helper.make_node("Relu", [made], [f"{layer}.relu"], f"{layer}.act"))
        nodes.append(helper.make_node("GlobalAveragePool", [f"{name}.half.relu"], [f"{name}.mean"], f"{name}.pool"))
        nodes.append(helper.make_node("Flatten", [f"{name}.mean"], [f"{name}.flat"], f"{name}.flatten"))
    nodes.append(helper.make_node("Concat", [f"{name}.flat" for name in SIZES], ["both"], "both.concat", axis=1))
    nodes.append(helper.make_node("MatMul", ["both", "head.w"], ["vector"], "head"))
    graph = helper.make_graph(
        nodes,
        "vector",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 3, *size)) for name, size in SIZES.items()],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, (1, LENGTH))],
        [numpy_helper.from_array(values, f"{name}.w") for name, values in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def reference_of(weights: Mapping[str, NDArray[np.float32]]) -> Reference:
    """The same in PyTorch."""

    def answer(tensors: Mapping[str, NDArray[np.float32]]) -> Mapping[str, NDArray[Any]]:
        means = []
        for name in SIZES:
            x = torch.from_numpy(tensors[name])
            for layer in ("stem", "half"):
                kernel = torch.from_numpy(weights[f"{name}.{layer}"])
                x = torch.nn.functional.conv2d(x, kernel, stride=2, padding=1).relu()
            means.append(x.mean(dim=(2, 3)))
        return {"vector": (torch.cat(means, dim=1) @ torch.from_numpy(weights["head"])).numpy()}

    return answer


def network_source(seed: int) -> NetworkSource:
    weights = weights_of(seed)

    def plain(feeds: Feeds | None) -> bytes:
        model = graph_of(weights)
        if feeds is not None:
            check_outputs("plain", model, feeds, [reference_of(weights)(feeds)["vector"]])
        return bytes(model.SerializeToString(deterministic=True))

    def canonical(model: onnx.ModelProto, layout: Layout, feeds: Feeds | None) -> onnx.ModelProto:
        return model  # it is as engines like it already

    return NetworkSource({"seed": seed}, plain, canonical, lambda: reference_of(weights))


def preprocessing(name: str) -> Preprocessing:
    height, width = SIZES[name]
    window: Literal["percentile", "voi_else_percentile"] = "percentile" if name == "small" else "voi_else_percentile"
    return Preprocessing(name, "NCHW", height, width, window, (1.0, 99.0), (0.5,) * 3, (0.25,) * 3, 0.0)


def vector_source(
    settings: Config,
    seed: Annotated[int, typer.Option(help="Seed of random weights.")] = 0,
) -> SourceModel:
    """The options of `cathrt export vector`."""
    return vector_model(seed)


def vector_model(seed: int, roles: Sequence[str] = (ROLE,)) -> SourceModel:
    """roles: one network each, of weights of its own."""
    network = Network(
        artifacts={},
        inputs=tuple(DeclaredTensor(name, (1, 3, *size), "float32") for name, size in SIZES.items()),
        outputs=(DeclaredTensor("vector", (1, LENGTH), "float32"),),
        preprocessing=tuple(preprocessing(name) for name in SIZES),
    )
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        name="vector",
        files={},
        networks=dict.fromkeys(roles, network),
        model=VectorSection("vector"),
        demonstration=True,
        provenance={},
        evidence={},
    )
    sources = {role: network_source(seed + number) for number, role in enumerate(roles)}
    return SourceModel(manifest, f"{seed:064x}", {"seed": seed}, sources)


def of_bundle(bundle: Bundle, weights: Path | None, state: str | None = None) -> SourceModel | None:
    """Knows no weights: the bundle's own float32 graph is its reference."""
    return None


def port(roles: Sequence[str] = (ROLE,)) -> ExportPort:
    return ExportPort(criteria=dict.fromkeys(roles, CRITERIA), truths=Truths(), of_bundle=of_bundle)


VECTOR = ExportKind(help="A network of the tests: two pictures to a vector.", source=vector_source, port=port)
PRECISIONS: tuple[Precision, ...] = ("float32", "int8")
