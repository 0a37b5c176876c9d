"""Every TensorRT name our code uses is in 10.16, 11.4 and RTX 1.7.1, or stands behind the one table of exceptions.

The same holds of the fake TensorRT that tests run the engine on: what it offers, TensorRT offers. Lists of names:
tests/export/tensorrt_api. No package is needed here, so this holds where none can be installed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from cathrt.export.targets import tensorrt_child, tensorrt_report
from cathrt.export.targets.tensorrt_child import RTX_ONLY
from cathrt.runtime.engines import tensorrt, tensorrt_plan
from tests.engines import fake_tensorrt

VERSIONS = ("10.16", "11.4", "rtx_1.7.1")
FOLDER = Path(__file__).parent.with_name("tensorrt_api")
# What our code calls TensorRT's objects -> their class: in files that build plans, and in files that open them.
BUILT_WITH = {
    "trt": "module",
    "builder": "Builder",
    "config": "IBuilderConfig",
    "network": "INetworkDefinition",
    "parser": "OnnxParser",
    "profile": "IOptimizationProfile",
    "error": "ParserError",
    "layer": "ILayer",
    "maker": "ILayer",
    "tensor": "ITensor",
    "levels": "ILogger",
    "engine": "ICudaEngine",
    "context": "IExecutionContext",
    "inspector": "EngineInspector",
    "runtime": "Runtime",
}
OPENED_WITH = {name: BUILT_WITH[name] for name in ("trt", "levels", "runtime", "engine", "context", "inspector")}
REMOVED = {
    "FP16", "BF16", "INT8", "FP8", "INT4", "FP4", "OBEY_PRECISION_CONSTRAINTS", "PREFER_PRECISION_CONSTRAINTS",
    "EXPLICIT_BATCH", "int8_calibrator", "set_calibration_profile", "set_quantization_flag", "algorithm_selector",
    "build_engine", "build_engine_with_config", "build_cuda_engine", "max_workspace_size", "max_batch_size",
    "platform_has_fast_fp16", "platform_has_fast_int8", "set_precision", "set_output_type", "set_dynamic_range",
    "dynamic_range", "get_binding_shape", "get_binding_name", "num_bindings", "execute_async_v2", "supports_model",
}  # fmt: skip
Objects = dict[str, str]


def text_of(*modules: ModuleType) -> list[str]:
    return [Path(str(module.__file__)).read_text(encoding="utf-8") for module in modules]


BUILDING, OPENING = text_of(tensorrt_child, tensorrt_report), text_of(tensorrt, tensorrt_plan)
SOURCES = [*((source, BUILT_WITH) for source in BUILDING), *((source, OPENED_WITH) for source in OPENING)]


def names(version: str) -> dict[str, set[str]]:
    text = (FOLDER / f"{version}.txt").read_text(encoding="utf-8")
    owners = (line.partition(": ") for line in text.splitlines())
    return {owner: set(offered.split()) for owner, _, offered in owners}


def uses(source: str, objects: Objects) -> Iterator[tuple[str, str]]:
    """(owner, name) of each attribute taken from one of `objects`, and of each from a class or enum of the module.

    Objects go by their last name, so `self._context.x` and `plan.trt.Runtime` count as well.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            value = node.value
            if last_name(value) in objects:
                yield objects[last_name(value)], node.attr
            elif isinstance(value, ast.Attribute) and last_name(value.value) == "trt":
                yield value.attr, node.attr


def last_name(node: ast.expr) -> str:
    """`_context` of self._context, `trt` of trt, without the underscore; nothing of a call."""
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name.lstrip("_")


def missing(source: str, version: str, objects: Objects = BUILT_WITH) -> set[str]:
    offered = names(version)
    return {
        f"{owner}.{name}"
        for owner, name in uses(source, objects)
        if name not in RTX_ONLY and name not in offered.get(owner, set()) and not name.startswith("__")
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_every_name_used_exists_in_every_version(version: str) -> None:
    assert set().union(*(missing(source, version, objects) for source, objects in SOURCES)) == set()


def test_the_check_reads_more_than_a_handful_of_names() -> None:
    found = {f"{owner}.{name}" for source, objects in SOURCES for owner, name in uses(source, objects)}
    assert {"Builder.build_serialized_network", "BuilderFlag.TF32", "ParserError.node_name", "ILayer.type"} <= found
    assert {"Runtime.deserialize_cuda_engine", "IExecutionContext.execute_async_v3", "TensorIOMode.INPUT"} <= found
    assert {"ICudaEngine.create_execution_context", "EngineInspector.get_engine_information"} <= found
    assert len(found) > 45


@pytest.mark.parametrize("version", VERSIONS)
def test_the_fake_of_tests_offers_nothing_that_a_version_lacks(version: str) -> None:
    module = fake_tensorrt.fake_tensorrt((), (), lambda inputs, outputs: None)
    offered = names(version)
    classes = {name: made for name, made in vars(module).items() if isinstance(made, type)}
    assert {"Runtime", "ICudaEngine", "IExecutionContext", "ILogger", "TensorIOMode"} <= classes.keys()
    for name, made in classes.items():
        assert name in offered["module"]
        own = {attribute for attribute in dir(made) if not attribute.startswith("_")}
        assert own <= offered[name], name


def test_the_fake_of_tests_has_what_the_engine_uses() -> None:
    module = fake_tensorrt.fake_tensorrt((), (), lambda inputs, outputs: None)
    for source in OPENING:
        for owner, name in uses(source, OPENED_WITH):
            assert hasattr(module if owner == "module" else getattr(module, owner), name), f"{owner}.{name}"


@pytest.mark.parametrize(
    ("line", "version", "expected"),
    [
        ("config.set_flag(trt.BuilderFlag.FP16)", "11.4", {"BuilderFlag.FP16"}),
        ("trt.OnnxParserFlag.IMPORT_UINT8_QUANTIZATION", "rtx_1.7.1", {"OnnxParserFlag.IMPORT_UINT8_QUANTIZATION"}),
        ("config.int8_calibrator = None", "11.4", {"IBuilderConfig.int8_calibrator"}),
        ("trt.EngineValidity", "10.16", {"module.EngineValidity"}),
        ("self._context.is_stream_capturable(0)", "11.4", {"IExecutionContext.is_stream_capturable"}),
        ("plan.trt.CudaGraphStrategy.DISABLED", "11.4", {"module.CudaGraphStrategy", "CudaGraphStrategy.DISABLED"}),
        ("config.max_workspace_size = 1", "10.16", {"IBuilderConfig.max_workspace_size"}),
    ],
)  # fmt: skip
def test_a_name_that_a_version_lacks_is_found(line: str, version: str, expected: set[str]) -> None:
    assert missing(line, version) == expected


def test_no_name_that_tensorrt_removed_is_used_in_any_way() -> None:
    for source in (*BUILDING, *OPENING):
        used = {node.attr for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)}
        assert not used & REMOVED


def test_the_exceptions_are_names_of_rtx_alone() -> None:
    def all_names(version: str) -> set[str]:
        return set().union(*names(version).values())

    assert all_names("rtx_1.7.1") >= RTX_ONLY
    assert not (all_names("10.16") | all_names("11.4")) & RTX_ONLY


def test_names_of_rtx_alone_stand_only_where_the_target_chooses_its_device() -> None:
    tree = ast.parse(BUILDING[0])
    guards = [node for node in ast.walk(tree) if isinstance(node, ast.If)]
    guarded = {
        id(node)
        for guard in guards
        if ast.unparse(guard.test) == "request['chooses_device']"
        for statement in guard.body
        for node in ast.walk(statement)
    }
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in RTX_ONLY]
    assert {node.attr for node in found} == RTX_ONLY
    assert all(id(node) in guarded for node in found)
