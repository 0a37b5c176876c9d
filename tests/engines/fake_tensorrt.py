"""A TensorRT for tests: the names of its Python API that runtime/engines uses, around a network that is a function.

It finds streams by their handle (fake_device.py) and queues its work there, so data really flows, in the order given.
Every name here is one that TensorRT 10, 11 and RTX all have (test_tensorrt_api.py). Each call can be made to fail.
"""

# ruff: noqa: ARG002  (arguments are TensorRT's)
from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from types import ModuleType
from typing import Any

from numpy.typing import NDArray

from cathrt.kernels.cuda.stream import DeviceMemory
from cathrt.runtime.tensor import TensorSpec
from tests.engines.fake_device import FakeStream

Tensors = Mapping[str, NDArray[Any]]
PLAN = b"a plan of the fake TensorRT"


class DataType(Enum):
    FLOAT = 0
    HALF = 1
    UINT8 = 5
    BF16 = 7


class TensorIOMode(Enum):
    INPUT = 1
    OUTPUT = 2


class TensorLocation(Enum):
    DEVICE = 0
    HOST = 1


class TensorFormat(Enum):
    LINEAR = 0
    CHW32 = 5


class ExecutionContextAllocationStrategy(Enum):
    STATIC = 0


class LayerInformationFormat(Enum):
    JSON = 1


class ILogger:
    class Severity(Enum):
        INTERNAL_ERROR = 0
        ERROR = 1
        WARNING = 2

    INTERNAL_ERROR, ERROR, WARNING = Severity

    def __init__(self) -> None: ...
    def log(self, severity: Any, message: str) -> None: ...


_DTYPES = {"float32": DataType.FLOAT, "float16": DataType.HALF, "uint8": DataType.UINT8, "bfloat16": DataType.BF16}


def fake_tensorrt(
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[TensorSpec, ...],
    compute: Callable[[Tensors, Tensors], None],
    version: str = "11.4.0.106",
    profiles: Sequence[tuple[int, int, int]] = (),
) -> Any:
    """A module with `faults` and `contexts`, those that were made.

    profiles: of the first size of every tensor, which the plan leaves open then: smallest, fastest, largest.

    faults: what fails of "Runtime" (None), "Runtime null" (the bindings' TypeError), "engine", "context", "address",
    "execute", "shape", each with a message in the log; and what is odd: "location", "format".
    """
    faults: set[str] = set()
    contexts: list[Any] = []
    loggers: list[Any] = []
    specs = {spec.name: spec for spec in (*inputs, *outputs)}

    def fails(what: str, message: str) -> bool:
        if what in faults:
            # Only the first logger of a process is ever told anything.
            loggers[0].log(ILogger.WARNING, "a warning that is no reason")
            loggers[0].log(ILogger.ERROR, message)
        return what in faults

    class Runtime:
        def __new__(cls, logger: Any) -> Any:
            loggers.append(logger)
            if fails("Runtime null", "CUDA initialization failure with error: 35"):
                raise TypeError("pybind11::init(): factory function returned nullptr")
            return None if fails("Runtime", "no memory for a runtime") else super().__new__(cls)

        def deserialize_cuda_engine(self, serialized: bytes) -> Any:
            return None if serialized != PLAN or fails("engine", "the plan is of another version") else ICudaEngine()

    class ICudaEngine:
        num_io_tensors = len(specs)
        num_optimization_profiles = max(1, len(profiles))

        def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
            sizes = profiles[profile_index]
            return [(size, *specs[name].shape[1:]) for size in sizes]

        def get_tensor_name(self, index: int) -> str:
            return list(specs)[index]

        def get_tensor_shape(self, name: str) -> tuple[int, ...]:
            return (-1, *specs[name].shape[1:]) if profiles else specs[name].shape

        def get_tensor_dtype(self, name: str) -> DataType:
            return _DTYPES[specs[name].dtype]

        def get_tensor_mode(self, name: str) -> TensorIOMode:
            return TensorIOMode.INPUT if specs[name] in inputs else TensorIOMode.OUTPUT

        def get_tensor_location(self, name: str) -> TensorLocation:
            return TensorLocation.HOST if "location" in faults else TensorLocation.DEVICE

        def get_tensor_format(self, name: str, profile_index: int) -> TensorFormat:
            return TensorFormat.CHW32 if "format" in faults else TensorFormat.LINEAR

        def get_tensor_format_desc(self, name: str, profile_index: int) -> str:
            return "Thirty-two wide channel vectorized row major"

        def create_execution_context(self, strategy: ExecutionContextAllocationStrategy) -> Any:
            assert strategy is ExecutionContextAllocationStrategy.STATIC
            if fails("context", "out of memory: 12 GiB wanted"):
                return None
            contexts.append(IExecutionContext())
            return contexts[-1]

        def create_engine_inspector(self) -> Any:
            return EngineInspector()

    class EngineInspector:
        def get_engine_information(self, form: LayerInformationFormat) -> str:
            assert form is LayerInformationFormat.JSON
            layer = {"Name": "conv", "LayerType": "CaskConvolution", "Outputs": [{"Datatype": "FP16"}]}
            return json.dumps({"Layers": [layer]})

    class IExecutionContext:
        def __init__(self) -> None:
            self.memory: dict[str, int] = {}
            self.executions = 0
            self.profile = 0
            self.size = -1  # of every tensor's first axis, where the plan leaves it open

        def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
            assert stream_handle in FakeStream.by_handle
            self.profile = profile_index
            return True

        def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
            low, _, high = profiles[self.profile]
            self.size = shape[0]
            assert shape[1:] == specs[name].shape[1:]
            return not fails("shape", "the shape is not in the profile") and low <= shape[0] <= high

        def get_tensor_shape(self, name: str) -> tuple[int, ...]:
            return (self.size, *specs[name].shape[1:]) if profiles else specs[name].shape

        def set_tensor_address(self, name: str, memory: int) -> bool:
            if fails("address", "the address is not aligned"):
                return False
            self.memory[name] = memory
            return True

        def execute_async_v3(self, stream_handle: int) -> bool:
            self.executions += 1
            if fails("execute", "enqueueV3: cask convolution failed") or self.memory.keys() != specs.keys():
                return False
            stream = FakeStream.by_handle[stream_handle]
            below = stream.device.below

            def run() -> None:
                shaped = {name: replace(spec, shape=self.get_tensor_shape(name)) for name, spec in specs.items()}
                fed = {spec.name: shaped[spec.name].empty() for spec in inputs}
                made = {spec.name: shaped[spec.name].empty() for spec in outputs}
                for spec in inputs:
                    below.download(DeviceMemory(self.memory[spec.name], fed[spec.name].nbytes), fed[spec.name])
                below.synchronise()
                compute(fed, made)
                for spec in outputs:
                    below.upload(made[spec.name], DeviceMemory(self.memory[spec.name], made[spec.name].nbytes))
                below.synchronise()

            stream.enqueue(run)
            return True

    module: Any = ModuleType("tensorrt")
    enums = (DataType, TensorIOMode, TensorLocation, TensorFormat)
    enums += (ExecutionContextAllocationStrategy, LayerInformationFormat)
    for made in (*enums, ILogger, Runtime, ICudaEngine, EngineInspector, IExecutionContext):
        setattr(module, made.__name__, made)
    module.__version__ = version
    module.faults, module.contexts = faults, contexts
    return module
