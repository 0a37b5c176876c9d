"""I/O tensors of an engine: page-aligned buffers, the check of what is fed, the comparison with the manifest.

Not for: what the numbers mean (models/). Every engine uses these three functions, so all refuse the same feeds.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.errors import EngineError
from cathrt.runtime.tensor import MAX_TENSOR_BYTES, TensorSpec


def page_aligned(spec: TensorSpec) -> NDArray[Any]:
    """A zeroed C-contiguous array of this spec that starts on a page and is private to the process.

    Vendors take memory of any alignment but copy it, or run slower, below theirs (64 bytes for AVX-512); a page is
    enough for all of them and for pinning by a GPU driver. Raises EngineError above MAX_TENSOR_BYTES: a network may
    declare what no machine has, and this runs before its tensors are compared with the manifest's.
    """
    dtype = np.dtype(spec.dtype)
    if spec.size_bytes > MAX_TENSOR_BYTES:
        raise EngineError(
            f"tensor {spec.name} of shape {str(spec.shape)[:80]} takes {spec.size_bytes} bytes, expected at most "
            f"{MAX_TENSOR_BYTES}: export the network again"
        )
    size = max(1, spec.size_bytes)
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    array = np.frombuffer(memory, dtype=dtype, count=math.prod(spec.shape)).reshape(spec.shape)
    array.fill(0)  # touches every page now rather than in the first frame
    return array


def feed(engine: str, buffers: Mapping[str, NDArray[Any]], feeds: Mapping[str, NDArray[Any]]) -> None:
    """Bring feeds into the engine's input buffers; an array that already is the buffer costs nothing.

    Raises EngineError where a name is missing or unknown, or shape or dtype differ: nothing is cast or broadcast.
    """
    if feeds.keys() != buffers.keys():
        raise EngineError(f"{engine}: fed {sorted(feeds)}, expected exactly {sorted(buffers)}")
    for name, buffer in buffers.items():
        given = feeds[name]
        if given is buffer:
            continue
        if given.shape != buffer.shape or given.dtype != buffer.dtype:
            raise EngineError(
                f"{engine}: input {name} fed {given.shape} {given.dtype}, expected {buffer.shape} {buffer.dtype}: "
                "preprocess as the manifest says"
            )
        np.copyto(buffer, given)


def check_specs(engine: str, side: str, found: tuple[TensorSpec, ...], expected: tuple[TensorSpec, ...]) -> None:
    """Raise EngineError naming every difference between a loaded network's tensors and the manifest's.

    side: "input" or "output", for the message. The order does not matter: tensors go by name.
    """
    loaded, listed = {spec.name: spec for spec in found}, {spec.name: spec for spec in expected}
    faults = [f"{side} {name} is in the network only" for name in loaded.keys() - listed.keys()]
    faults += [f"{side} {name} is in the manifest only" for name in listed.keys() - loaded.keys()]
    faults += [
        f"{side} {name} is {loaded[name].shape} {loaded[name].dtype} in the network, "
        f"{listed[name].shape} {listed[name].dtype} in the manifest"
        for name in loaded.keys() & listed.keys()
        if loaded[name] != listed[name]
    ]
    if faults:
        raise EngineError(f"{engine}: " + "; ".join(sorted(faults)) + ": export the bundle again")
