"""Writes the names that a TensorRT package offers, for test_tensorrt_api.py: one class a line, its names after it.

    python tests/export/tensorrt_api/list_names.py tensorrt_rtx > tests/export/tensorrt_api/rtx_1.7.1.txt

The bindings of TensorRT proper are on PyPI without their libraries; they import once libnvinfer, libnvonnxparser and
libnvinfer_plugin are found, and listing names calls nothing in those.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

CLASSES = (
    "Builder",
    "BuilderFlag",
    "DataType",
    "EngineInspector",
    "ErrorCode",
    "ExecutionContextAllocationStrategy",
    "HardwareCompatibilityLevel",
    "IBuilderConfig",
    "ICudaEngine",
    "IExecutionContext",
    "IHostMemory",
    "ILayer",
    "ILogger",
    "INetworkDefinition",
    "IOptimizationProfile",
    "ITensor",
    "LayerInformationFormat",
    "LayerType",
    "NetworkDefinitionCreationFlag",
    "OnnxParser",
    "OnnxParserFlag",
    "ParserError",
    "ProfilingVerbosity",
    "Runtime",
    "TensorFormat",
    "TensorIOMode",
    "TensorLocation",
)


def lines(module: ModuleType) -> list[str]:
    """First the module's own names, then those of each class that building or running a plan touches."""
    owners = {"module": list(vars(module)), **{name: dir(getattr(module, name)) for name in CLASSES}}
    return [
        f"{owner}: {' '.join(name for name in sorted(names) if not name.startswith('_'))}"
        for owner, names in owners.items()
    ]


if __name__ == "__main__":
    print("\n".join(lines(import_module(sys.argv[1]))))
