"""What opening a bundle costs, and what memory engines take of their own (`python -m benchmarks.bundle`).

Time: the shipped bundle beside hashing the same bytes. Memory: a net of two matrix products with 128 MiB of float32
weights in another file, opened in a child process for each engine; a 1 GiB file of which a few KiB are used, opened
alone. Not for: inference (benchmarks/engines.py).
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from benchmarks import measure
from cathrt.runtime.bundle.files import opened_folder
from cathrt.runtime.bundle.manifest import Artifact, DeclaredTensor, Network
from cathrt.runtime.bundle.onnx_file import check_onnx
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.bundle.shipped import demonstration_bundle, shipped_keys
from cathrt.runtime.bundle.verified_file import verified_files
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.engines import open_engine
from cathrt.runtime.models import open_bundle
from cathrt.runtime.models.keyframe.section import CLASSIFIER

WIDTH, LAYERS = 4096, 2
WEIGHTS_BYTES = LAYERS * WIDTH * WIDTH * 4
LARGE_BYTES = 1 << 30
GRAPH, WEIGHTS = "model.onnx", "weights.bin"
MIB = 1 << 20


def write_large_net(folder: Path, file_bytes: int) -> None:
    """The net, its weights at the beginning of a file of that size."""
    tensors, nodes, last = [], [], "x"
    with (folder / WEIGHTS).open("wb") as stream:
        for layer in range(LAYERS):
            tensor = TensorProto(name=f"w{layer}", data_type=TensorProto.FLOAT, dims=[WIDTH, WIDTH])
            tensor.data_location = TensorProto.EXTERNAL
            entries = {"location": WEIGHTS, "offset": stream.tell(), "length": WIDTH * WIDTH * 4}
            for key, value in entries.items():
                tensor.external_data.add(key=key, value=str(value))
            stream.write(np.random.default_rng(layer).normal(size=(WIDTH, WIDTH)).astype(np.float32).tobytes())
            tensors.append(tensor)
            nodes.append(helper.make_node("MatMul", [last, tensor.name], [f"y{layer}"]))
            last = f"y{layer}"
        stream.truncate(max(file_bytes, stream.tell()))
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, WIDTH]) for name in ("x", last)]
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (folder / GRAPH).write_bytes(model.SerializeToString())


def bundle_of(folder: Path) -> Bundle:
    """A bundle that nobody signed, around the files of the folder, hashed and checked as a signed one's."""
    listed = {}
    for name in (GRAPH, WEIGHTS):
        with (folder / name).open("rb") as stream:
            listed[name] = hashlib.file_digest(stream, "sha256").hexdigest()
    with opened_folder(folder) as opened:
        files = verified_files(opened, listed, hard_links=False)
    external = {GRAPH: check_onnx(GRAPH, files[GRAPH].mapped().data).external}
    artifact = Artifact(GRAPH, "float32")
    shape: tuple[int | str, ...] = (1, WIDTH)
    network = Network(
        {"openvino": artifact, "onnxruntime": artifact},
        (DeclaredTensor("x", shape, "float32"),),
        (DeclaredTensor(f"y{LAYERS - 1}", shape, "float32"),),
    )
    shipped = open_bundle(demonstration_bundle(), shipped_keys())
    manifest = replace(shipped.manifest, files=listed, networks={CLASSIFIER: network})
    return Bundle(folder, manifest, "0" * 64, "0" * 64, files, external)


def memory() -> dict[str, float]:
    """MiB: resident memory that no file stands behind, and the most that was ever resident."""
    fields = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return {key: round(int(fields[key].split()[0]) / 1024, 1) for key in ("RssAnon", "VmHWM")}


def child(folder: Path, engine: str) -> None:
    """Print the memory before and after opening the bundle, and the engine."""
    if engine:  # the library's own memory is not the weights'
        shipped = open_bundle(demonstration_bundle(), shipped_keys())
        open_engine(engine, shipped, CLASSIFIER, EngineConfig(threads=1)).close()
    before = memory()
    bundle = bundle_of(folder)
    opened = memory()
    if engine:
        network = open_engine(engine, bundle, CLASSIFIER, EngineConfig(threads=1))
        network.infer(network.input_buffers)
    print(json.dumps({"before": before, "opened": opened, "engine": memory()}))


def memory_row(case: str, engine: str, file_bytes: int) -> dict[str, Any]:
    """A row of the child's figures."""
    with tempfile.TemporaryDirectory(prefix="cathrt-bundle-") as name:
        write_large_net(Path(name), file_bytes)
        program = [sys.executable, "-m", "benchmarks.bundle", "--child", name, engine]
        done = subprocess.run(program, cwd=measure.ROOT, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    return {"bench": "bundle", "case": case, "impl": engine or "open", "file_mib": file_bytes // MIB, **found}


def rows(rounds: int) -> Iterator[dict[str, Any]]:
    """Result rows and the headline: opening against hashing alone, and private memory against the weights' size."""
    folder, keys = demonstration_bundle(), shipped_keys()
    contents = [(folder / name).read_bytes() for name in open_bundle(folder, keys).manifest.files]
    with measure.Heartbeat() as heartbeat:
        samples = measure.interleave(
            {
                "open_bundle": lambda _: open_bundle(folder, keys).close(),
                "hash": lambda _: [hashlib.sha256(content).digest() for content in contents],
            },
            rounds=rounds,
        )
        heartbeat.finish()
    for impl, found in samples.items():
        yield measure.row("bundle", "shipped", impl, found, heartbeat)
    figures = {"open_vs_hash": samples["open_bundle"].median_ms / samples["hash"].median_ms}
    large = memory_row("1 GiB", "", LARGE_BYTES)
    figures["open_large_resident_mib"] = large["opened"]["VmHWM"]
    yield large
    for engine in ("openvino", "onnxruntime"):
        found_row = memory_row("128 MiB of weights", engine, WEIGHTS_BYTES)
        private = found_row["engine"]["RssAnon"] - found_row["before"]["RssAnon"]
        figures[f"{engine}_private_vs_weights"] = private * MIB / WEIGHTS_BYTES
        yield found_row
    yield measure.headline("bundle", figures, heartbeat, ["openvino", "onnxruntime", onnx.__name__])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(Path(sys.argv[2]), sys.argv[3])
    else:
        measure.command(__doc__, rows, quick=5, full=40)
