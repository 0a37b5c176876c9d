"""An ONNX model on disk with its larger weights in a file beside it, as bundles keep them (docs/bundle.md).

Not for: graphs too large to be held in memory, which are written weight by weight (models/).
"""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, numpy_helper

from cathrt.runtime.bundle.onnx_external import ALIGNMENT

# Smaller weights stay in the ONNX file: padding to a page would be more than they are.
INSIDE_BYTES = 16_384
DATA = ".data"


def write_beside(model: onnx.ModelProto, path: Path) -> tuple[Path, ...]:
    """Write the model to `path` and its weights to the same name with DATA; both files, or one where none is large.

    The model is left as it is. The same model gives the same bytes.
    """
    graph = onnx.ModelProto()
    graph.CopyFrom(model)
    data = path.with_suffix(DATA)
    with data.open("wb") as file:
        for tensor in graph.graph.initializer:
            content = numpy_helper.to_array(tensor).tobytes()
            if len(content) < INSIDE_BYTES:
                continue
            file.write(b"\0" * (-file.tell() % ALIGNMENT))
            place = {"location": data.name, "offset": file.tell(), "length": len(content)}
            kept = TensorProto(name=tensor.name, dims=tensor.dims, data_type=tensor.data_type)
            kept.data_location = TensorProto.EXTERNAL
            for key, value in place.items():
                kept.external_data.add(key=key, value=str(value))
            tensor.CopyFrom(kept)
            file.write(content)
        empty = file.tell() == 0
    path.write_bytes(graph.SerializeToString(deterministic=True))
    if empty:
        data.unlink()
        return (path,)
    return path, data
