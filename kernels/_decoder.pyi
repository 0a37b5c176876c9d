"""A Gemma3 decoder on the CPU. How weights are stored: kernels/decoder/linear.hpp."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Variant = Literal["plain", "vnni", "amx"]

def widest_variant() -> Variant:
    """amx, vnni or plain: the best this CPU has."""

class Linear:
    """A linear layer of stored weights; the arrays are read where they are."""

    def __init__(
        self,
        weights: NDArray[np.uint8],
        scales: NDArray[np.uint16],
        outputs: int,
        inputs: int,
        group: int,
        bits: int,
    ) -> None:
        """outputs: in whole panels of 16. Raises ValueError where sizes and arrays do not fit."""

    def __call__(
        self, activations: NDArray[np.float32], results: NDArray[np.float32], variant: str, threads: int
    ) -> None:
        """results (rows, outputs) := activations (rows, inputs) x weights^T. Raises ValueError."""

class Decoder:
    """The network; the arrays are read where they are. Not thread-safe."""

    def __init__(
        self,
        sizes: Sequence[int],
        norm_eps: float,
        query_scale: float,
        sliding: Sequence[bool],
        linears: Sequence[Linear],
        norms: Sequence[NDArray[np.float32]],
        angles: Sequence[NDArray[np.float32]],
        variant: str,
        threads: int,
    ) -> None:
        """sizes: hidden, intermediate, heads, kv_heads, head_dim, vocabulary (in whole panels).

        linears: of each layer query, key, value, out, gate, up, down; the head last. norms: of each layer before and
        after attention, before and after the gated layers, of queries and of keys; the last one last. angles: cosines
        and sines (positions, head_dim / 2), then those of sliding layers. Raises ValueError where they do not fit.
        """

    def run(
        self,
        embeddings: NDArray[np.float32],
        positions: NDArray[np.int64],
        mask: NDArray[np.bool_],
        sliding_mask: NDArray[np.bool_],
        last: int,
        keys: Sequence[NDArray[np.float32]],
        values: Sequence[NDArray[np.float32]],
        logits: NDArray[np.float32],
        new_keys: Sequence[NDArray[np.float32]],
        new_values: Sequence[NDArray[np.float32]],
    ) -> None:
        """embeddings (rows, hidden); masks (rows, capacity + rows); keys and values (kv_heads, capacity, head_dim), one
        array a layer; written: logits (vocabulary,) of row `last`, new keys and values (kv_heads, rows, head_dim).

        Gives the interpreter lock free meanwhile. Raises ValueError for arrays that do not fit.
        """
