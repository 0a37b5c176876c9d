"""Networks that have the last word: a float32 ONNX graph in ONNX Runtime, or a module of PyTorch, on the CPU.

Not for: engines, which the runtime opens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.bundle.onnx_file import check_self_contained
from cathrt.runtime.errors import EngineError, ManifestError

# The tensors of one frame by input name, to what the network gives by output name.
Network = Callable[[Mapping[str, NDArray[np.float32]]], Mapping[str, NDArray[Any]]]


def reference_from_onnx(model: bytes, threads: int) -> Network:
    """A float32 ONNX graph in ONNX Runtime on the CPU. Raises EngineError for another.

    A graph with weights in another file is another: ONNX Runtime would look for it in the current folder.
    """
    import onnxruntime as ort
    from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

    try:
        check_self_contained("the graph", model)
    except ManifestError as exc:
        raise EngineError(f"reference: the graph cannot be loaded: {exc}") from exc
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads would slow the engine
    options.log_severity_level = 4  # what matters is raised
    try:
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except (ort_errors.InvalidProtobuf, ort_errors.InvalidGraph, ort_errors.Fail, ort_errors.NotImplemented) as exc:
        raise EngineError(f"reference: the graph cannot be loaded: {str(exc)[:300]}: export it again") from exc
    inputs, outputs = ([port.name for port in ports] for ports in (session.get_inputs(), session.get_outputs()))

    def answer(tensors: Mapping[str, NDArray[np.float32]]) -> Mapping[str, NDArray[Any]]:
        found = session.run(outputs, {name: tensors[name] for name in inputs})
        return dict(zip(outputs, found, strict=True))

    return answer


def reference_from_module(module: Any, inputs: Sequence[str], outputs: Sequence[str]) -> Network:
    """A torch module on the CPU, in evaluation mode. The tensors are lent to it and not copied.

    From here on torch computes each call in the thread that calls: its own threads wait for each other by spinning, and
    where another process or thread needs a core, a call then takes 5 to 20 times as long (measured on two cores).

    inputs: the tensors that it takes, in its own order. outputs: names of what it gives, a tensor or a tuple of them.
    """
    import torch

    module.eval()
    torch.set_num_threads(1)

    def answer(tensors: Mapping[str, NDArray[np.float32]]) -> Mapping[str, NDArray[Any]]:
        with torch.inference_mode():
            found = module(*(torch.from_numpy(tensors[name]) for name in inputs))
        several = found if isinstance(found, tuple) else (found,)
        return {name: value.numpy() for name, value in zip(outputs, several, strict=True)}

    return answer
