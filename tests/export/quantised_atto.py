"""An Atto to quantise, whose every weight matters, and frames for it; and phantom frames as the line would see them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from cathrt.export.graph.fold import Layout, canonical
from cathrt.export.models.keyframe.convnext import ARCHS, ConvNext
from cathrt.export.models.keyframe.demo.dataset import PREPROCESSING
from cathrt.export.models.keyframe.to_onnx import onnx_from_state
from cathrt.runtime.phantom import PhantomSource, sample_scene
from cathrt.runtime.preprocess import Preprocessor

HEIGHT, WIDTH = 96, 64  # not square, so that rows and columns cannot be mistaken for each other
Frames = list[NDArray[np.float32]]


def float_atto(layout: Layout) -> onnx.ModelProto:
    """Norms, biases and layer scales far from their first values and different in each channel."""
    torch.manual_seed(23)
    network = ConvNext(ARCHS["convnext_atto"], classes=6, layer_scale=0.5)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            spread = 0.3 if "norm" in name or "gamma" in name or parameter.ndim == 1 else 0.05
            parameter.add_(torch.randn_like(parameter) * spread)
    state = {key: value.detach() for key, value in network.state_dict().items()}
    return canonical(onnx.load_from_string(onnx_from_state(state, height=HEIGHT, width=WIDTH)), layout)


def noise_frames(count: int) -> Frames:
    draw = np.random.default_rng(29)
    return [draw.normal(size=(1, 3, HEIGHT, WIDTH)).astype(np.float32) for _ in range(count)]


def phantom_frames(seeds: Iterable[int], frames_per_run: int) -> Frames:
    """Frames spread evenly over each run, through the runtime's Preprocessor, which sees every frame before them."""
    frames = []
    for seed in seeds:
        source = PhantomSource(sample_scene(seed, kind=None, matrix=512))
        preprocess = Preprocessor(source.run, PREPROCESSING)
        places = [place * len(source.labels) // (frames_per_run + 1) for place in range(1, frames_per_run + 1)]
        tensor = np.empty((1, 3, PREPROCESSING.height, PREPROCESSING.width), np.float32)
        for index in range(places[-1] + 1):
            preprocess(source.render(index), tensor)
            frames += [tensor.copy()] * places.count(index)
        source.close()
    return frames


def with_initializer(model: onnx.ModelProto, name: str, factor: float) -> onnx.ModelProto:
    """A copy with one initializer multiplied by `factor`."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    (tensor,) = [tensor for tensor in changed.graph.initializer if tensor.name == name]
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(factor), name))
    return changed
