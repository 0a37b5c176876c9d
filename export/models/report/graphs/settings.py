"""What graphs are asked for, and what was written. Not for: writing them (networks.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cathrt.runtime.bundle.manifest import DeclaredTensor
from cathrt.runtime.errors import ConfigError

Form = Literal["float32", "bfloat16", "float16", "int8", "int4"]  # what matrices are stored in
Element = Literal["float32", "bfloat16", "float16"]  # what a graph computes in

BLOCKS = (32, 64, 128)


@dataclass(frozen=True, slots=True)
class GraphSettings:
    """How to write the graphs.

    precision: of the decoder's matrices. head: of its last one; None: as precision. vision: of the vision tower's;
    None: as precision, but int8 for int4.
    block: so many weights of a row have one scale, in int4; in int8, None gives each output channel one scale.
    products: what activations are, and what matrices are multiplied in. "float32" for ONNX Runtime, and for OpenVINO,
    which lowers such a graph by its precision hint. A narrower one makes a graph that is typed throughout: for
    TensorRT, and for OpenVINO where weights are bfloat16, which it else holds as float32 too (tried: twice the memory).
    context: most positions of prompt and answer together. capacities: sizes of the cache (C) that the decoder is opened
    for, () for the context alone. prefill: sizes (T) of a piece of prompt; 1, for decoding, is always there.
    """

    precision: Form
    context: int
    prefill: tuple[int, ...]
    block: int | None = None
    head: Form | None = None
    vision: Form | None = None
    products: Element = "float32"
    capacities: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.block is not None and self.block not in BLOCKS:
            raise ConfigError(f"block: found {self.block}, expected one of {BLOCKS}")
        if "int4" in (self.precision, self.head, self.vision) and self.block is None:
            raise ConfigError(f"int4 weights without a block size: give one of {BLOCKS}")
        sizes = {"context": (self.context,), "prefill": self.prefill, "capacities": self.capacities}
        for name, found in sizes.items():
            if any(size < 1 for size in found) or len(set(found)) != len(found):
                raise ConfigError(f"{name}: found {found}, expected sizes of 1 and more, each once")
        if any(size > self.context for size in (*self.prefill, *self.capacities)):
            raise ConfigError(f"prefill {self.prefill} or capacities {self.capacities} exceed context {self.context}")

    @property
    def head_form(self) -> Form:
        return self.head or self.precision

    @property
    def vision_form(self) -> Form:
        return self.vision or ("int8" if self.precision == "int4" else self.precision)

    @property
    def table_form(self) -> Form:
        """Of the embedding table. TensorRT reads no integer table but through DequantizeLinear, which would make all
        of it floats for each token: a typed graph has it in floats (tried, RTX 1.7.1)."""
        if self.precision not in ("int8", "int4"):
            return self.precision
        return "int8" if self.products == "float32" else self.products

    @property
    def decoder_buckets(self) -> tuple[dict[str, int], ...]:
        """T new positions, C rows of cache, S = C + T; smallest first."""
        pieces = sorted({1, *self.prefill})
        return tuple(
            {"T": piece, "C": capacity, "S": capacity + piece}
            for capacity in sorted(self.capacities or (self.context,))
            for piece in pieces
        )

    @property
    def embedding_buckets(self) -> tuple[dict[str, int], ...]:
        return tuple({"T": piece} for piece in sorted({1, *self.prefill}))


@dataclass(frozen=True, slots=True)
class WrittenNetwork:
    """One network on disk. files: the ONNX file, then the file with its weights.

    bytes_of: of the weights by what they are for ("layers", "head", "table", ...).
    """

    files: tuple[Path, ...]
    inputs: tuple[DeclaredTensor, ...]
    outputs: tuple[DeclaredTensor, ...]
    buckets: tuple[dict[str, int], ...]
    bytes_of: Mapping[str, int]
