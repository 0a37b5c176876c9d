"""What `cathrt doctor` says of GPUs and plans: with a device and without, needed and not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cathrt.export.bundle.sign import public_key, write_bundle
from cathrt.runtime.bundle.fingerprint import Device
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.commands import doctor_gpu, layer_report
from cathrt.runtime.commands.doctor_check import Check
from cathrt.runtime.commands.layer_report import counted, kept_layers, layers_on_device
from cathrt.runtime.config import Config, EngineConfig
from cathrt.runtime.errors import EngineError
from cathrt.runtime.models import open_bundle
from tests.engines import gpu
from tests.engines.fake_tensorrt import PLAN
from tests.golden import golden_manifest

KEYS = (public_key(gpu.KEY),)
GPU = replace(Config(), engine=EngineConfig("tensorrt"))
STANDBY = replace(Config(), engine=EngineConfig("openvino", fallback="tensorrt"))
PROVIDER = Config(engine=EngineConfig("onnxruntime", provider="cuda"))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """With a plan for each target, and the report of layers that export keeps beside one of them."""
    report = {"counts": {"layers": {"float16": 40, "float32": 2}}}
    payload = {"model.onnx": gpu.MODEL, "plan.tensorrt": PLAN, "plan.tensorrt-rtx": PLAN}
    payload["plan.tensorrt.layers.json"] = json.dumps(report).encode()
    folder = tmp_path_factory.mktemp("plans") / "bundle"
    return open_bundle(write_bundle(folder, golden_manifest(**gpu.artifacts()), payload, gpu.KEY), KEYS)


def device(monkeypatch: pytest.MonkeyPatch, found: Device | None) -> None:
    def probe() -> tuple[Device, ...]:
        if found is None:
            raise EngineError("no NVIDIA driver")
        return (found,)

    gpu.machine(monkeypatch)
    monkeypatch.setattr(doctor_gpu, "devices_in_child", probe)
    monkeypatch.setattr(doctor_gpu, "layers_on_device", lambda bundle, target, keys: {"float16": 12})


def checks(config: Config, bundle: Bundle | None) -> dict[str, Check]:
    return {check.name: check for check in doctor_gpu.gpu_checks(config, bundle, KEYS)}


def test_a_plan_that_fits_is_opened_and_its_layers_told_as_built_and_on_the_device(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    device(monkeypatch, gpu.ADA)
    found = checks(GPU, bundle)
    assert found["gpu"].figures.keys() == {"gpus", "sm", "cuda", "driver"}
    assert found["gpu"].detail.startswith("NVIDIA RTX 4000, SM 8.9; CUDA 13.1, driver ")
    plan = found["plan plan.tensorrt"]
    assert (plan.state, plan.figures["runs"]) == ("ok", 1)
    for part in ("for SM 8.9", "layers as built: 40 float16, 2 float32", "fits and opens; on the device: 12 float16"):
        assert part in plan.detail
    assert "layers as built" not in found["plan plan.tensorrt-rtx"].detail


@pytest.mark.parametrize(("config", "state"), [(GPU, "missing"), (STANDBY, "missing"), (Config(), "ok")])
@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (None, "does not run here: no NVIDIA driver"),
        (Device("NVIDIA T4", 75, "13.1"), "does not run here: plan built for SM 8.9"),
    ],
)
def test_a_plan_that_cannot_run_is_missing_only_where_the_configuration_wants_it(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, config: Config, state: str, found: Device | None, reason: str
) -> None:
    device(monkeypatch, found)
    said = checks(config, bundle)
    assert (said["plan plan.tensorrt"].state, said["plan plan.tensorrt-rtx"].state) == (state, "ok")
    assert reason in said["plan plan.tensorrt"].detail
    assert "layers as built: 40 float16" in said["plan plan.tensorrt"].detail
    assert said["gpu"].state == ("ok" if found is not None else state)
    assert ("no NVIDIA driver" in said["gpu"].detail) is (found is None)


def test_a_plan_that_fits_but_does_not_open_says_why(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(bundle: Path, target: str, keys: object) -> dict[str, int]:
        raise EngineError("tensorrt: no execution context")

    device(monkeypatch, gpu.ADA)
    monkeypatch.setattr(doctor_gpu, "layers_on_device", refusing)
    plan = checks(GPU, bundle)["plan plan.tensorrt"]
    assert (plan.state, plan.figures["runs"]) == ("missing", 0)
    assert "does not run here: tensorrt: no execution context" in plan.detail


def test_a_bundle_without_plans_is_missing_them_where_they_are_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device(monkeypatch, gpu.ADA)
    plain = gpu.bundle_with_plans(tmp_path / "bundle", golden_manifest())
    assert checks(GPU, plain)["plans for tensorrt"].state == "missing"
    assert checks(Config(), plain).keys() == {"gpu"}
    assert checks(GPU, None).keys() == {"gpu"}


def test_every_device_is_named_and_a_driver_without_one_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_gpu, "devices_in_child", lambda: (gpu.ADA, Device("NVIDIA T4", 75, "13.1")))
    assert checks(GPU, None)["gpu"].figures["gpus"] == ["NVIDIA RTX 4000", "NVIDIA T4"]
    monkeypatch.setattr(doctor_gpu, "devices_in_child", lambda: ())
    assert [checks(config, None)["gpu"].state for config in (GPU, PROVIDER, Config())] == ["missing", "missing", "ok"]
    assert "the NVIDIA driver knows no device: check nvidia-smi" in checks(Config(), None)["gpu"].detail


@pytest.mark.parametrize(
    ("layer", "precision"),
    [
        (
            {"Outputs": [{"Name": "a", "Format/Datatype": "Channel major FP16 format where channel % 8 == 0"}]},
            "float16",
        ),
        ({"Outputs": [{"Name": "int8", "Format": "Row major linear", "DataType": "BF16"}]}, "bfloat16"),
        ({"Outputs": [{"Format/Datatype": "Thirty-two wide channel vectorized row major Int8 format"}]}, "int8"),
        ({"Outputs": [{"Datatype": "Half"}]}, "float16"),
        ({"Outputs": [{"Datatype": "FP32"}]}, "float32"),
        ({"Outputs": [{"Datatype": "INT64"}]}, "unknown"),
        ({"Outputs": []}, "unknown"),
        ("a name alone", "unknown"),
    ],
)
def test_a_layer_s_precision_is_read_from_either_form_of_the_inspector(layer: Any, precision: str) -> None:
    assert counted([layer]) == {precision: 1}


def test_layers_come_from_a_child_process(bundle: Bundle, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    gpu.machine(monkeypatch)
    assert layer_report.main(bundle.path, "tensorrt", KEYS) == 0
    line = capsys.readouterr().out.strip()
    assert layers_on_device(bundle.path, "tensorrt", KEYS, program=("-c", f"print({line!r})")) == {"float16": 1}


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import os; os.abort()", r"opening the plan ended with SIGABRT"),
        ("raise SystemExit(3)", r"opening the plan ended with exit status 3 \(no word\)"),
        ('print(\'{"error": "no plan"}\'); raise SystemExit(6)', "no plan"),
    ],
)
def test_a_child_that_fails_or_crashes_is_an_engine_error(bundle: Bundle, program: str, message: str) -> None:
    with pytest.raises(EngineError, match=message):
        layers_on_device(bundle.path, "tensorrt", KEYS, program=("-c", program))


def test_the_child_itself_answers_with_an_error_where_it_cannot_open(bundle: Bundle) -> None:
    with pytest.raises(EngineError, match=r"NVIDIA driver|tensorrt"):
        layers_on_device(bundle.path, "tensorrt", KEYS)


def test_layers_of_a_plan_without_a_report_are_not_made_up(bundle: Bundle) -> None:
    assert kept_layers(bundle, gpu.plan("tensorrt-rtx")) is None


def test_the_driver_s_version_is_the_kernel_module_s(tmp_path: Path) -> None:
    path = tmp_path / "version"
    path.write_text(
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\nGCC version: 12\n"
    )
    assert doctor_gpu.driver_version(path) == "580.65.06"
    assert doctor_gpu.driver_version(tmp_path / "none") == "unknown"
