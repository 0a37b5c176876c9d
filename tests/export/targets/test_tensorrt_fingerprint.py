"""What a device is asked, against a small driver compiled here; and which plans are refused on which device."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from cathrt.runtime.bundle.fingerprint import BuildOptions, Device, EngineFingerprint, ShapeProfile, refuse_misfit
from cathrt.runtime.engines.device_probe import probe_devices
from cathrt.runtime.errors import EngineError

# The calls the probe makes, with the driver's own signatures; a call named by FAILING ends with error 100.
DRIVER = """
#include <cstring>
#ifndef FAILING
#define FAILING ""
#endif
#ifndef DEVICES
#define DEVICES 2
#endif
static int status(const char* name) { return std::strcmp(name, FAILING) == 0 ? 100 : 0; }
static bool started = false;
extern "C" {
int cuInit(unsigned flags) { started = flags == 0; return status("cuInit"); }
int cuDeviceGetCount(int* count) { *count = DEVICES; return started ? status("cuDeviceGetCount") : 3; }
int cuDriverGetVersion(int* version) { *version = 13010; return status("cuDriverGetVersion"); }
int cuDeviceGet(int* device, int ordinal) { *device = 40 + ordinal; return status("cuDeviceGet"); }
int cuDeviceGetName(char* name, int length, int device) {
  std::strncpy(name, device == 41 ? "NVIDIA RTX 4000" : "NVIDIA RTX 5000", length);
  return status("cuDeviceGetName");
}
int cuDeviceGetAttribute(int* value, int attribute, int device) {
  if (attribute == 75) *value = device == 41 ? 8 : 12;
  if (attribute == 76) *value = device == 41 ? 9 : 0;
  return status("cuDeviceGetAttribute");
}
}
"""
PLAN = EngineFingerprint(
    target="tensorrt-rtx",
    tensorrt_version="1.7.1.116",
    sm=(86, 89),
    cuda_version="13",
    driver_version=None,
    options=BuildOptions(),
    profiles=(ShapeProfile("image", (1, 3, 224, 224), (2, 3, 224, 224), (4, 3, 224, 224)),),
    onnx_sha256="0" * 64,
)
ADA = Device("NVIDIA RTX 4000", 89, "13.1")


def driver(folder: Path, *defines: str) -> str:
    compiler = os.environ.get("CXX") or shutil.which("c++") or "g++"
    source, library = folder / "driver.cpp", folder / "libcuda.so"
    source.write_text(DRIVER, encoding="utf-8")
    subprocess.run([compiler, "-shared", "-fPIC", *defines, str(source), "-o", str(library)], check=True)
    return str(library)


def test_the_probe_reads_name_compute_capability_and_cuda_version_of_each_device(tmp_path: Path) -> None:
    library = driver(tmp_path)
    assert probe_devices(library) == (Device("NVIDIA RTX 5000", 120, "13.1"), Device("NVIDIA RTX 4000", 89, "13.1"))


def test_without_a_driver_the_probe_says_so_and_what_to_do() -> None:
    with pytest.raises(EngineError, match=r"no NVIDIA driver: libcuda-of-nobody\.so.*choose an engine for the CPU"):
        probe_devices("libcuda-of-nobody.so")


@pytest.mark.parametrize("name", ["cuInit", "cuDeviceGetCount", "cuDeviceGetName", "cuDeviceGetAttribute"])
def test_a_driver_call_that_fails_is_named_with_its_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(EngineError, match=f"{name} ended with CUDA error 100"):
        probe_devices(driver(tmp_path, f'-DFAILING="{name}"'))


def test_a_driver_without_a_device_knows_none(tmp_path: Path) -> None:
    assert probe_devices(driver(tmp_path, "-DDEVICES=0")) == ()


def test_a_plan_that_fits_is_not_refused() -> None:
    refuse_misfit(PLAN, ADA, "1.7.1.116")
    refuse_misfit(dataclasses.replace(PLAN, cuda_version=None), ADA, "1.7.1.116")


def test_a_plan_for_other_devices_is_refused_with_the_command_that_rebuilds_it() -> None:
    with pytest.raises(EngineError) as caught:
        refuse_misfit(PLAN, Device("NVIDIA RTX 5000", 120, "13.1"), "1.7.1.116")
    assert str(caught.value) == (
        "plan built for SM 8.6, 8.9, this device (NVIDIA RTX 5000) is SM 12.0: "
        "rebuild with cathrt export keyframe ... --target tensorrt-rtx --sm 120"
    )


@pytest.mark.parametrize("version", ["1.7.2.1", "1.7.1.117", ""])
def test_a_plan_of_another_tensorrt_is_refused(version: str) -> None:
    with pytest.raises(EngineError, match=r"built by tensorrt-rtx 1\.7\.1\.116, this machine has .*--sm 89$"):
        refuse_misfit(PLAN, ADA, version)


def test_a_driver_too_old_for_the_plan_is_refused() -> None:
    with pytest.raises(EngineError, match=r"needs a driver for CUDA 13 or newer, this one ends at CUDA 12\.9"):
        refuse_misfit(PLAN, Device("NVIDIA RTX 4000", 89, "12.9"), "1.7.1.116")


def test_every_misfit_is_told_at_once() -> None:
    with pytest.raises(EngineError, match=r"1\.7\.2.*SM 7\.5.*CUDA 11\.8"):
        refuse_misfit(PLAN, Device("NVIDIA T4", 75, "11.8"), "1.7.2.1")


def test_the_fingerprint_survives_the_manifest() -> None:
    text = json.dumps(dataclasses.asdict(PLAN))
    assert TypeAdapter(EngineFingerprint).validate_json(text, strict=True) == PLAN
