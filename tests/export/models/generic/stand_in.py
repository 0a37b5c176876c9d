"""A stand-in for the environment of optimum-onnx: it answers the same protocol, with a small network of its own.

It makes the graph with onnx, computes with NumPy what the real one's PyTorch would, and resizes with Pillow as image
processors do. config.json of the model's folder may ask it for a mistake. It imports little, because many tests start
it. Not for: what the real one does (optimum_child.py), which the slow tests run.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESIZED, SIDE, LABELS = 36, 32, ("tench", "crane", "shark")
PROCESSOR: dict[str, Any] = {
    "image_processor_type": "StandInImageProcessor",
    "do_resize": True,
    "size": {"shortest_edge": RESIZED},
    "resample": 2,
    "do_center_crop": True,
    "crop_size": {"height": SIDE, "width": SIDE},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.25, 0.5, 0.2],
}

Tensor = NDArray[np.float32]


def weights(seed: int = 3) -> dict[str, Tensor]:
    draw = np.random.default_rng(seed)
    shapes = {"stem": (4, 3, 3, 3), "second": (8, 4, 3, 3), "head": (8, len(LABELS))}
    return {name: draw.normal(scale=0.4, size=shape).astype(np.float32) for name, shape in shapes.items()}


def answer(pixels: Tensor, numbers: dict[str, Tensor]) -> Tensor:
    """The network in float64: two convolutions of stride 2 padded by 1, means of channels, a product."""
    found = pixels.astype(np.float64)
    for layer in ("stem", "second"):
        padded = np.pad(found, ((0, 0), (0, 0), (1, 1), (1, 1)))
        seen = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))[:, :, ::2, ::2]
        found = np.maximum(np.einsum("nchwij,ocij->nohw", seen, numbers[layer]), 0.0)
    return (found.mean(axis=(2, 3)) @ numbers["head"]).astype(np.float32)


def graph(numbers: dict[str, Tensor]) -> bytes:
    """The same as ONNX, in a legacy exporter's manner: a constant node, an Identity of a weight, unnamed nodes."""
    from onnx import TensorProto, helper, numpy_helper

    two = numpy_helper.from_array(np.array([2, 3], np.int64))
    nodes = [
        helper.make_node("Identity", ["stem"], ["stem.same"]),
        helper.make_node("Conv", ["pixel_values", "stem.same"], ["a"], pads=[1] * 4, strides=[2, 2]),
        helper.make_node("Relu", ["a"], ["b"], name="relu"),
        helper.make_node("Conv", ["b", "second"], ["c"], name="second", pads=[1] * 4, strides=[2, 2]),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("Constant", [], ["axes"], value=two),
        helper.make_node("ReduceMean", ["d", "axes"], ["mean"], keepdims=0),
        helper.make_node("MatMul", ["mean", "head"], ["logits"], name="head"),
    ]
    ports = [
        helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, (1, 3, SIDE, SIDE)),
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, (1, len(LABELS))),
    ]
    stored = [numpy_helper.from_array(values, name) for name, values in numbers.items()]
    made = helper.make_graph(nodes, "stand-in", ports[:1], ports[1:], stored)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return bytes(model.SerializeToString())


def pixels_of(picture: NDArray[np.uint8], resample: int) -> Tensor:
    """As an image processor makes them."""
    from PIL import Image

    rows, columns = picture.shape
    short = min(rows, columns)
    size = (round(columns * RESIZED / short), round(rows * RESIZED / short))
    resized = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling(resample)), np.float64)
    top, left = (resized.shape[0] - SIDE) // 2, (resized.shape[1] - SIDE) // 2
    grey = resized[top : top + SIDE, left : left + SIDE] / 255
    planes = [(grey - m) / s for m, s in zip(PROCESSOR["image_mean"], PROCESSOR["image_std"], strict=True)]
    return np.stack(planes)[None].astype(np.float32)


def stand_in_python(folder: Path) -> Path:
    """An executable that takes an interpreter's arguments, and answers as one in optimum's environment would."""
    path = folder / "python"
    root = Path(__file__).resolve().parents[4]
    code = f"import sys; sys.path.insert(0, {str(root)!r}); from tests.export.models.generic.stand_in import main; main"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{code}(sys.argv[1])" "$3"\n', encoding="utf-8")
    path.chmod(0o755)
    return path


def model_folder(folder: Path, **config: Any) -> Path:
    """A model as save_pretrained leaves it, as far as the parent looks. config: what the stand-in shall do wrong."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR), encoding="utf-8")
    return folder


def main(name: str) -> None:
    folder = Path(name)
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    asked = json.loads(Path(request["model"], "config.json").read_text(encoding="utf-8"))
    if "crash" in asked:
        raise SystemExit(asked["crash"])
    if "signal" in asked:
        os.kill(os.getpid(), signal.Signals[asked["signal"]])
    if asked.get("hang"):
        time.sleep(600)
    if not asked.get("silent"):
        (folder / "answer.json").write_text(json.dumps(told(asked)), encoding="utf-8")
    if asked.get("answer_alone"):
        return
    numbers = weights()
    pictures = [np.load(folder / f"picture-{number}.npy") for number in range(request["pictures"])]
    pixels = [pixels_of(picture, asked.get("really", 2)) for picture in pictures]
    for number, tensor in enumerate(pixels):
        np.save(folder / f"pixels-{number}.npy", tensor)
    np.save(folder / "logits.npy", np.concatenate([answer(one, numbers) for one in pixels]))
    (folder / "graph").mkdir()
    (folder / "graph" / "model.onnx").write_bytes(graph(weights(asked.get("graph_seed", 3))))


def told(asked: dict[str, Any]) -> dict[str, Any]:
    """answer.json."""
    return {
        "versions": {"optimum-onnx": "0.1.0", "torch": "stand-in", "offline": os.environ.get("HF_HUB_OFFLINE", "")},
        "missing": asked.get("missing", []),
        "architecture": "StandInForImageClassification",
        "problem_type": asked.get("problem_type"),
        "labels": asked.get("labels", list(LABELS)),
        "missing_weights": asked.get("missing_weights", []),
        "other_shapes": [],
        "left_out": asked.get("left_out", []),
        "processor": PROCESSOR | asked.get("processor", {}),
    }
