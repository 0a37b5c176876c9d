"""Written networks in ONNX Runtime and OpenVINO, and the plainest way to use a decoder: masks and cache in NumPy.

The masks are written here once more, apart from the runtime's own, so that tests of graphs and of the runtime do not
share a mistake. T new positions, C rows of the cache.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from cathrt.export.models.report.graphs.decoder import cache_names
from cathrt.export.models.report.shape import GemmaShape, Weights
from cathrt.runtime.engines.silent_openvino import ov

Engine = Literal["onnxruntime", "openvino"]
ENGINES: tuple[Engine, ...] = ("onnxruntime", "openvino")
Run = Callable[[Mapping[str, NDArray[Any]]], dict[str, NDArray[Any]]]
Mask = Callable[[NDArray[np.int64], NDArray[np.int64], int], tuple[NDArray[np.bool_], NDArray[np.bool_]]]


def opened(file: Path, engine: Engine, **options: Any) -> Run:
    """A network on one thread. options: further ones of OpenVINO's compile_model."""
    if engine == "onnxruntime":
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = 1
        settings.log_severity_level = 3
        session = onnxruntime.InferenceSession(file, settings, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return lambda feeds: dict(zip(names, session.run(names, dict(feeds)), strict=True))
    # As the runtime has it: left alone, OpenVINO rounds activations in front of int8 and int4 weights to int8.
    exact = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0}
    settings = exact | {"INFERENCE_NUM_THREADS": 1, "ENABLE_CPU_PINNING": False} | options
    compiled = ov.Core().compile_model(file, "CPU", settings)

    def run(feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        results = compiled(dict(feeds))
        return {name: results[port].copy() for port in compiled.outputs for name in port.get_names()}

    return run


def as_written(file: Path) -> Run:
    """A network in onnx.reference, which rounds to float16 and bfloat16 wherever the graph says so.

    ONNX Runtime's CPU provider takes out casts to float16 that it thinks nobody needs, and the overflow with them.
    """
    model = onnx.load(file)
    reference = ReferenceEvaluator(model)
    names = [output.name for output in model.graph.output]

    def run(feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of numbers that are too large, which some tests are about
            return dict(zip(names, reference.run(None, dict(feeds)), strict=True))

    return run


def masks(
    images: NDArray[np.int64], positions: NDArray[np.int64], window: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Who of `positions` sees whom of all positions so far: in global layers, in sliding layers; (T, all).

    images: of every position, the number of the picture it belongs to, -1 for text.
    """
    query, key = positions[:, None], np.arange(len(images))[None]
    same_image = (images[positions][:, None] == images[None]) & (images[None] >= 0)
    seen = (key <= query) | same_image
    return seen, seen & (query - key < window)


def causal_masks(
    images: NDArray[np.int64], positions: NDArray[np.int64], window: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The mistake of other exporters: pictures are read like text."""
    return masks(np.full_like(images, -1), positions, window)


class Decoding:
    """A decoder and its cache. fill: what rows of the cache hold before they are written."""

    def __init__(self, run: Run, shape: GemmaShape, capacity: int, fill: float = 0.0, mask: Mask = masks) -> None:
        self.run, self.shape, self.mask = run, shape, mask
        text = shape.text
        row = (text.kv_heads, capacity, text.head_dim)
        self.names = [name for pair in cache_names(text.layers) for name in pair]
        self.cache = {name: np.full(row, fill, np.float32) for name in self.names}
        self.capacity = capacity
        self.images = np.empty(0, np.int64)

    @property
    def length(self) -> int:
        return len(self.images)

    def append(
        self, embeddings: NDArray[np.float32], images: NDArray[np.int64] | None = None, padded: int = 0
    ) -> NDArray[np.float32]:
        """Logits (vocabulary,) after the new positions. embeddings: (T, hidden). padded: to at least so many."""
        new = len(embeddings)
        size = max(new, padded)
        old = self.length
        self.images = np.concatenate([self.images, np.full(new, -1) if images is None else images])
        positions = np.arange(old, old + new)
        feeds: dict[str, NDArray[Any]] = dict(self.cache)
        for name, seen in zip(
            ("global_mask", "sliding_mask"), self.mask(self.images, positions, self.shape.text.window), strict=True
        ):
            whole = np.zeros((size, self.capacity + size), bool)
            whole[:new, :old] = seen[:, :old]
            whole[:new, self.capacity : self.capacity + new] = seen[:, old:]
            whole[new:] = whole[new - 1]
            feeds[name] = whole
        feeds["embeddings"] = np.zeros((1, size, self.shape.text.hidden), np.float32)
        feeds["embeddings"][0, :new] = embeddings
        feeds["positions"] = old + np.arange(size, dtype=np.int64)
        feeds["last"] = np.asarray([new - 1], np.int64)
        results = self.run(feeds)
        for name in self.names:
            self.cache[name][:, old : old + new] = results[f"new_{name}"][:, :new]
        logits: NDArray[np.float32] = results["logits"][0]
        return logits

    def truncate(self, length: int) -> None:
        self.images = self.images[:length]


def image_numbers(token_ids: NDArray[np.int64], shape: GemmaShape) -> NDArray[np.int64]:
    """Of each position of token_ids (T,), the picture it belongs to, -1 for text."""
    inside = token_ids == shape.image_token
    starts = inside & ~np.concatenate([[False], inside[:-1]])
    return np.where(inside, np.cumsum(starts) - 1, -1)


@dataclass(frozen=True, slots=True, eq=False)
class Networks:
    """The networks of one model in a folder, opened in one engine. vision: None for a text-only model."""

    weights: Weights
    vision: Run | None
    embedding: Run
    decoder: Run

    @classmethod
    def opened(cls, weights: Weights, folder: Path, engine: Engine) -> Networks:
        vision = opened(folder / "vision.onnx", engine) if weights.shape.vision else None
        return cls(weights, vision, opened(folder / "embedding.onnx", engine), opened(folder / "decoder.onnx", engine))

    def decoding(self, capacity: int, fill: float = 0.0, mask: Mask = masks) -> Decoding:
        return Decoding(self.decoder, self.weights.shape, capacity, fill, mask)

    def pictures(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """(pictures, tokens, hidden) of pixels (pictures, 3, side, side)."""
        assert self.vision is not None
        return np.concatenate([self.vision({"pixels": one[None]})["image_embeddings"] for one in pixels])

    def rows(
        self, token_ids: NDArray[np.int64], pixels: NDArray[np.float32] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Embeddings of a prompt, (T, hidden), and the number of each position's picture. token_ids: (T,)."""
        embeddings = self.embedding({"token_ids": token_ids[None]})["embeddings"][0].copy()
        images = image_numbers(token_ids, self.weights.shape)
        if pixels is not None:
            embeddings[images >= 0] = self.pictures(pixels).reshape(-1, embeddings.shape[1])
        return embeddings, images

    def next_logits(self, decoding: Decoding) -> Callable[[int], NDArray[np.float32]]:
        """One more token of text into a decoder that has read its prompt."""
        return lambda token: decoding.append(self.rows(np.asarray([token], np.int64))[0])
