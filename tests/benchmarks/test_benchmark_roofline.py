"""The roofline's counts against the graphs themselves, and its floors against figures worked out by hand."""

from __future__ import annotations

import json
import subprocess
import sys

import onnx
import pytest

from benchmarks.compute_limit import network_flops
from benchmarks.roofline import BUDGET_MS, LIVE, floor_ms, rows
from benchmarks.roofline_devices import DEVICES, Device
from benchmarks.roofline_work import Work, convnext, kernels, networks
from cathrt.export.models.keyframe.checkpoint import random_checkpoint
from cathrt.export.models.keyframe.convnext import ARCHS
from cathrt.export.models.keyframe.to_onnx import onnx_from_state


def test_a_convnexts_operations_are_those_of_its_graph() -> None:
    state = random_checkpoint("convnext_atto", 6, 0).state
    graph = onnx.load_from_string(onnx_from_state(state, height=224, width=224))
    assert convnext(ARCHS["convnext_atto"], "float16").operations == pytest.approx(network_flops(graph), rel=0.01)
    products = sum(value.numel() for value in state.values() if value.ndim >= 2)
    assert convnext(ARCHS["convnext_atto"], "float16").weight_bytes == 2 * products


def test_convnext_base_has_the_published_multiply_adds_and_parameters() -> None:
    work = convnext(ARCHS["convnext_base"], "int8")
    assert work.operations / 2e9 == pytest.approx(15.35, rel=0.005)
    assert work.weight_bytes / 1e6 == pytest.approx(87.57, rel=0.005)


def test_a_floor_is_the_larger_of_moving_and_computing() -> None:
    device = Device(89, 50.0, memory_gb_s=100.0, fp32=10.0, fp16=1.0, int8=2.0, source="")
    assert floor_ms(Work(10**9, 10**6, ""), device, device.fp32) == (pytest.approx(10.0), "memory")
    assert floor_ms(Work(10**3, 10**12, ""), device, device.fp16) == (pytest.approx(1000.0), "compute")


def test_weights_that_fit_the_cache_cost_no_bandwidth() -> None:
    device = Device(89, 50.0, memory_gb_s=100.0, fp32=10.0, fp16=1.0, int8=2.0, source="")
    assert floor_ms(Work(0, 10**9, "", weight_bytes=40 * 10**6), device, device.fp16) == (pytest.approx(1.0), "compute")
    assert floor_ms(Work(0, 10**9, "", weight_bytes=60 * 10**6), device, 100.0) == (pytest.approx(0.6), "memory")


def test_ingest_reads_the_frame_once_after_the_histograms_pass() -> None:
    found = kernels(1024, 2, "float16")
    assert found["histogram"].dram_bytes == 2 * 1024 * 1024
    assert found["ingest"].dram_bytes == 2 * 1024 * 1024 + 2 * 3 * 224 * 224
    assert set(LIVE) <= found.keys()


def test_int8_never_raises_a_networks_floor_and_halves_one_that_reads_its_weights() -> None:
    for device in DEVICES.values():
        half, whole = networks("int8"), networks("float16")
        for name in whole:
            assert floor_ms(half[name], device, device.int8)[0] <= floor_ms(whole[name], device, device.fp16)[0]
    orin = DEVICES["Jetson AGX Orin 64 GB"]
    decode = "Gemma3-4B decode, one token"
    ratio = (
        floor_ms(networks("float16")[decode], orin, orin.fp16)[0]
        / floor_ms(networks("int8")[decode], orin, orin.int8)[0]
    )
    assert ratio == pytest.approx(2.0)


def test_every_device_has_a_source_and_every_row_its_formula() -> None:
    found = list(rows())
    assert all(device.source for device in DEVICES.values())
    assert all(row["formula"] for row in found if "formula" in row)
    shares = [row["share_of_budget"] * BUDGET_MS / row["floor_ms"] for row in found if "share_of_budget" in row]
    assert shares == pytest.approx([1.0] * len(shares), rel=0.02)


def test_the_command_prints_rows_and_a_headline_for_every_device() -> None:
    command = [sys.executable, "-m", "benchmarks.roofline", "--json"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.splitlines()
    last = json.loads(lines[-1])
    assert len(last["headline"]) == len(DEVICES)
    assert all(0.0 < share < 1.0 for share in last["headline"].values())
