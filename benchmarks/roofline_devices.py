"""Published peaks of the GPUs that a cath lab's workstation may hold: bandwidth and dense arithmetic.

For: benchmarks/roofline.py. Not for: what a card sustains; nobody has measured cathrt on any of these.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Device:
    """memory_gb_s: of its DRAM, 1e9 bytes. fp32, fp16, int8: 1e12 operations a second, a multiply-add counting two.

    fp32: of the ordinary cores, which our kernels compute with. fp16, int8: of the tensor cores without sparsity, which
    a network's matrix products may reach; a float16 network is meant, accumulated as the data sheet's figure is.
    l2_mb: of its second-level cache, 1e6 bytes: weights that fit need not come from DRAM in every call.
    """

    sm: int
    l2_mb: float
    memory_gb_s: float
    fp32: float
    fp16: float
    int8: float
    source: str


# Data sheets print tensor figures with sparsity, twice what a dense product can reach, and for the smallest type: they
# are divided here, by 2 for int8 on Ampere, by 4 for float16 out of a sparse FP8 figure, by 8 out of a sparse FP4 one.
DEVICES: dict[str, Device] = {
    "Jetson AGX Orin 64 GB": Device(
        87,
        4.2,
        204.8,
        5.3,
        42.5,
        85.0,
        "NVIDIA Jetson AGX Orin Series technical brief: GPU alone, 170 sparse INT8 TOPS / 2",
    ),
    "Jetson AGX Thor (T5000)": Device(
        110,
        33.6,
        273.0,
        8.06,
        258.8,
        517.5,
        "NVIDIA Jetson Thor data sheet: 2070 sparse FP4 TFLOPS / 8 and / 4; 2560 cores",
    ),
    "IGX Orin 700, integrated GPU": Device(
        87, 4.2, 204.8, 5.3, 42.5, 85.0, "NVIDIA IGX Orin data sheet: the same GPU and memory as Jetson AGX Orin 64 GB"
    ),
    "RTX 4000 Ada": Device(
        89,
        50.3,
        360.0,
        26.7,
        81.9,
        163.8,
        "NVIDIA RTX 4000 Ada Generation data sheet: 327.6 sparse FP8 TFLOPS / 4 and / 2",
    ),
    "RTX 6000 Ada": Device(
        89,
        100.7,
        960.0,
        91.1,
        364.3,
        728.5,
        "NVIDIA RTX 6000 Ada Generation data sheet: 1457.0 sparse FP8 TFLOPS / 4 and / 2",
    ),
    "RTX PRO 6000 Blackwell": Device(
        120,
        134.2,
        1792.0,
        125.0,
        500.0,
        1000.0,
        "NVIDIA RTX PRO 6000 Blackwell data sheet: 4000 sparse FP4 TOPS / 8 and / 4",
    ),
    "L4": Device(
        89, 50.3, 300.0, 30.3, 121.0, 242.5, "NVIDIA L4 data sheet: 242 sparse FP16 TFLOPS, 485 sparse INT8 TOPS, / 2"
    ),
    "H100 SXM": Device(
        90,
        52.4,
        3350.0,
        66.9,
        989.4,
        1978.9,
        "NVIDIA H100 data sheet: 1978.9 sparse FP16 TFLOPS, 3957.8 INT8 TOPS, / 2",
    ),
}
