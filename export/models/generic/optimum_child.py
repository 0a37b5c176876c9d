"""The program that runs optimum-onnx: `PYTHON -I optimum_child.py FOLDER`, in an environment without cathrt.

FOLDER holds request.json and pictures. What comes of them is put beside: answer.json, what the model's own image
processor makes of each picture (pixels-N.npy), PyTorch's logits of these (logits.npy), and optimum's graph
(graph/model.onnx). Nothing is fetched: connections are refused. Not for: what any of it means (source.py).
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

PACKAGES = ("optimum-onnx", "optimum", "transformers", "torch", "onnx", "numpy", "pillow")
NEEDED = ("optimum-onnx", "transformers", "torch", "onnx", "pillow")
_PR_SET_PDEATHSIG, _SIGKILL = 1, 9


def main(folder: Path) -> int:
    """What goes wrong is raised: the last line on stderr says it."""
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    _end_with_parent(request["parent_pid"])
    sys.addaudithook(_refuse_connections)
    versions = _versions()
    answer: dict[str, Any] = {"versions": versions, "missing": [name for name in NEEDED if name not in versions]}
    if not answer["missing"]:
        answer |= _answered(folder, request)
    (folder / "answer.json").write_text(json.dumps(answer), encoding="utf-8")
    return 0


def _end_with_parent(parent_pid: int) -> None:
    if ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0) != 0 or os.getppid() != parent_pid:
        os._exit(1)


def _refuse_connections(event: str, arguments: Any) -> None:  # noqa: ARG001 (as an audit hook is called)
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        raise PermissionError("the model is exported without a network, and something wanted to fetch a file")


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _answered(folder: Path, request: dict[str, Any]) -> dict[str, Any]:
    numpy, torch, transformers = (import_module(name) for name in ("numpy", "torch", "transformers"))
    torch.set_num_threads(request["threads"])
    model, here = request["model"], {"local_files_only": True, "trust_remote_code": False}
    processor = transformers.AutoImageProcessor.from_pretrained(model, use_fast=False, **here)
    network, loaded = transformers.AutoModelForImageClassification.from_pretrained(
        model, torch_dtype=torch.float32, output_loading_info=True, **here
    )
    network.eval()
    pictures = [
        numpy.load(folder / f"picture-{number}.npy", allow_pickle=False) for number in range(request["pictures"])
    ]
    pixels = [_pixels(numpy, processor, picture) for picture in pictures]
    for number, tensor in enumerate(pixels):
        numpy.save(folder / f"pixels-{number}.npy", tensor)
    shape = pixels[0].shape
    with torch.inference_mode():
        logits = [network(torch.from_numpy(tensor)).logits.numpy() for tensor in pixels if tensor.shape == shape]
    numpy.save(folder / "logits.npy", numpy.concatenate(logits))
    _, channels, height, width = shape
    import_module("optimum.exporters.onnx").main_export(
        model,
        output=folder / "graph",
        task="image-classification",
        library_name="transformers",
        framework="pt",
        dtype="fp32",
        device="cpu",
        opset=request["opset"],
        do_validation=False,  # our side compares the graph with PyTorch's logits
        no_dynamic_axes=True,
        batch_size=1,
        num_channels=channels,
        height=height,
        width=width,
        **here,
    )
    config = network.config
    return {
        "architecture": type(network).__name__,
        "problem_type": getattr(config, "problem_type", None),
        "labels": [str(config.id2label[column]) for column in range(logits[0].shape[-1])],
        "missing_weights": sorted(map(str, loaded["missing_keys"])),
        "other_shapes": sorted(str(key[0]) for key in loaded["mismatched_keys"]),
        "left_out": sorted(map(str, loaded["unexpected_keys"])),
        "processor": json.loads(processor.to_json_string()),
    }


def _pixels(numpy: Any, processor: Any, picture: Any) -> Any:
    """(1, channels, rows, columns) float32 of a grey picture (rows, columns) uint8, shown in three channels."""
    colour = numpy.repeat(picture[:, :, None], 3, axis=2)
    made = processor(images=colour, input_data_format="channels_last", return_tensors="np")["pixel_values"]
    return numpy.ascontiguousarray(made, dtype=numpy.float32)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
