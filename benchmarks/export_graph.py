"""The exported ConvNeXt graph on one thread: plain, NCHW and NHWC, in OpenVINO fp32 and bf16 and in ONNX Runtime.

`python -m benchmarks.export_graph [--json] [--quick]`. Every graph is compared with the plain one in ONNX Runtime
before it is timed. export/graph/fold.py takes each target's layout from here. Not for: accuracy, int8 or several
threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from onnx import ModelProto

from benchmarks import measure
from cathrt.export.graph.edit import graph_size
from cathrt.export.graph.fold import canonical, check_pass
from cathrt.export.models.keyframe.convnext import ARCHS, ConvNext
from cathrt.export.models.keyframe.to_onnx import INPUT, onnx_from_state
from cathrt.runtime.engines.cpu import cpu_flags
from cathrt.runtime.engines.silent_openvino import ov

BENCH = "export_graph"
SIDE = 224
CLASSES = 6
CASES = ("convnext_atto", "convnext_tiny")
GRAPHS = ("plain", "nchw", "nhwc")
PACKAGES = ("openvino", "onnxruntime", "onnx", "numpy")

Image = NDArray[np.float32]
Run = Callable[[int], object]


def graphs(arch: str, image: Image) -> dict[str, ModelProto]:
    """The three graphs of one network, whose norms, biases and layer scales are all moved off their first values."""
    torch.manual_seed(0)
    network = ConvNext(ARCHS[arch], classes=CLASSES, layer_scale=0.5)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.02)
    plain = onnx.load_from_string(onnx_from_state(network.state_dict(), height=SIDE, width=SIDE))
    made = {"plain": plain, "nchw": canonical(plain, "nchw"), "nhwc": canonical(plain, "nhwc")}
    for name in GRAPHS[1:]:
        check_pass(f"all of {name}", plain, made[name], {INPUT: image})
    return made


def openvino_run(model: ModelProto, hint: ov.Type, image: Image) -> Run:
    """One synchronous inference with the properties of runtime/engines/openvino.py, on one thread."""
    core = ov.Core()
    properties = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": 1,
        "INFERENCE_PRECISION_HINT": hint,
        "ENABLE_CPU_PINNING": False,
    }
    compiled = core.compile_model(core.read_model(model.SerializeToString()), "CPU", properties)
    if compiled.get_property("INFERENCE_PRECISION_HINT") != hint:
        raise SystemExit(f"openvino does not compute in {hint.to_string()} here: measure on a CPU that does")
    request = compiled.create_infer_request()
    request.set_tensor(INPUT, ov.Tensor(image, shared_memory=True))
    return lambda _: request.infer()


def onnxruntime_run(model: ModelProto, image: Image) -> Run:
    """One inference with the options of runtime/engines/onnxruntime.py, on one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda _: session.run(None, {INPUT: image})


def variants(made: dict[str, ModelProto], image: Image) -> dict[str, Run]:
    """Every graph in every engine, by `<graph>_<engine>_<precision>`; bf16 only where the CPU multiplies it."""
    runs: dict[str, Run] = {}
    for graph, model in made.items():
        runs[f"{graph}_openvino_fp32"] = openvino_run(model, ov.Type.f32, image)
        if cpu_flags() & {"avx512_bf16", "amx_bf16", "bf16"}:
            runs[f"{graph}_openvino_bf16"] = openvino_run(model, ov.Type.bf16, image)
        runs[f"{graph}_onnxruntime_fp32"] = onnxruntime_run(model, image)
    return runs


def paired_ratio(samples: measure.Samples, base: measure.Samples) -> float:
    """Median over the rounds of one variant's time to another's: a slow spell of the machine meets both alike."""
    return float(np.median(np.array(samples.took_ns) / np.array(base.took_ns)))


def rows(rounds: int) -> Iterator[dict[str, Any]]:
    image = np.random.default_rng(0).normal(size=(1, 3, SIDE, SIDE)).astype(np.float32)
    figures: dict[str, float] = {}
    with measure.Heartbeat() as heartbeat:
        measured = {}
        for arch in CASES:
            made = graphs(arch, image)
            samples = measure.interleave(variants(made, image), rounds=rounds, warm_up=2)
            measured[arch] = (samples, {name: graph_size(model) for name, model in made.items()})
        heartbeat.finish()
    for arch, (samples, sizes) in measured.items():
        for impl, taken in samples.items():
            graph, _, engine = impl.partition("_")
            size = sizes[graph]
            ratio = paired_ratio(taken, samples[f"plain_{engine}"])
            more = {"vs_plain": round(ratio, 4), "nodes": size.nodes, "operators": size.operators}
            yield measure.row(BENCH, arch, impl, taken, heartbeat, **more)
            if graph != "plain":
                figures[f"{graph}_vs_plain_{engine}_{arch.removeprefix('convnext_')}"] = ratio
    yield measure.headline(BENCH, figures, heartbeat, PACKAGES)


if __name__ == "__main__":
    measure.command(__doc__, rows, quick=3, full=40)
