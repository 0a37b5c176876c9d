"""What is said where a plan cannot be built: refused by TensorRT or by us, crashed, hung, out of memory."""

from __future__ import annotations

from importlib import metadata

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from cathrt.export.targets import tensorrt
from cathrt.export.targets.tensorrt import PlanRequest, build_plan
from cathrt.runtime.errors import EngineError
from tests.export.tensorrt_requests import ADA, relu, request, rtx, small  # noqa: F401

pytestmark = pytest.mark.usefixtures("rtx")
ABORTS = "import os, sys; sys.stderr.write('last words'); sys.stderr.flush(); os.abort()"


def test_each_error_of_the_parser_comes_with_node_operator_and_message() -> None:
    weights = {name: np.int64(8) for name in "abc"} | {name: np.float32(100) for name in "de"}
    node = helper.make_node("MelWeightMatrix", list("abcde"), ["y"], name="mel")
    keep = helper.make_node("Relu", ["x"], ["kept"], name="act")
    with pytest.raises(EngineError, match=r"node 'mel' \(MelWeightMatrix\): .*\[UNSUPPORTED_NODE\]"):
        build_plan(small(keep, node, **weights), request(ADA))


def test_what_only_the_builder_refuses_comes_in_its_own_words() -> None:
    weights = {"m": np.array([9]), "i": np.array([0.5], np.float32), "c": np.array([0.1], np.float32)}
    scores = np.ones((1, 2, 10), np.float32)
    node = helper.make_node("NonMaxSuppression", ["x", "scores", "m", "i", "c"], ["y"], name="nms")
    graph = onnx.load_from_string(small(node, shape=(1, 10, 4), scores=scores, **weights))
    graph.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    with pytest.raises(EngineError, match=r"nms.*no runners"):
        build_plan(graph.SerializeToString(), request(ADA))


@pytest.mark.parametrize(
    ("sm", "expected"),
    [
        ((87,), r"no target SM 8\.7, it knows 7\.5, 8\.0, 8\.6, 8\.9, 12\.0"),
        ((), "found none"),
        ((89, 89), "each once"),
        ((75, 89), r"SM 7\.5 shares no plan"),
    ],
)
def test_devices_that_cannot_be_built_for_are_refused(sm: tuple[int, ...], expected: str) -> None:
    with pytest.raises(EngineError, match=expected):
        build_plan(relu(), request(*sm))


def test_a_build_over_its_budget_is_killed() -> None:
    with pytest.raises(EngineError, match=r"not built after 0\.01 s with 8192 MiB, the process was killed"):
        build_plan(relu(), request(ADA, budget_s=0.01))


def test_a_build_over_its_memory_ends_in_an_error_that_names_the_limit() -> None:
    plain = small(helper.make_node("MatMul", ["x", "w"], ["y"], name="large"), w=np.ones((4, 5_000_000), np.float32))
    with pytest.raises(EngineError, match=r"160 MiB"):
        build_plan(plain, request(ADA, memory_limit_mib=160, budget_s=60))


def test_a_crash_of_the_building_process_is_an_error_that_names_the_signal() -> None:
    with pytest.raises(EngineError, match=r"ended with SIGABRT .*last words"):
        build_plan(relu(), request(ADA), program=("-c", ABORTS))


def test_a_building_process_that_leaves_no_answer_is_an_error() -> None:
    with pytest.raises(EngineError, match="left no answer"):
        build_plan(relu(), request(ADA), program=("-c", "pass"))


def test_a_target_that_is_not_installed_is_refused_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(EngineError, match="tensorrt-rtx is not installed: pip install tensorrt-rtx"):
        build_plan(relu(), request(ADA))


def test_tensorrt_proper_asks_for_the_device_before_its_own_code_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorrt, "installed_version", lambda target: "11.4.0.106")
    with pytest.raises(EngineError, match=r"no NVIDIA driver|driver refuses|no device|builds for the device"):
        build_plan(relu(), PlanRequest("tensorrt", (87,)))  # no data-centre or desktop device has this one


@pytest.mark.parametrize(("version", "limit"), [("10.3.0", 20), ("10.16.1.11", 24)])
def test_the_opset_limit_is_that_of_the_installed_version(
    monkeypatch: pytest.MonkeyPatch, version: str, limit: int
) -> None:
    monkeypatch.setattr(tensorrt, "installed_version", lambda target: version)
    model = onnx.load_from_string(relu())
    model.opset_import[0].version = limit + 1
    with pytest.raises(EngineError, match=f"opset {limit + 1}, its parser knows up to {limit}"):
        build_plan(model.SerializeToString(), PlanRequest("tensorrt", (87,)))
