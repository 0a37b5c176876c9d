"""Lower bounds on paper: the least time of each kernel and network on each GPU, and where int8 is faster.

`python -m benchmarks.roofline [--json]`. A floor is the larger of bytes / bandwidth and operations / peak: published
peaks (roofline_devices.py), counted work (roofline_work.py). Nothing here ran on a GPU, and no GPU reaches its peaks:
a frame that does not fit its budget here fits nowhere; one that does has yet to be measured (`make gpu-check`).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from benchmarks import measure
from benchmarks.roofline_devices import DEVICES, Device
from benchmarks.roofline_work import BYTES, Element, Work, kernels, networks

BENCH = "roofline"
BUDGET_MS = 1000.0 / 30.0  # one frame at 30 a second
FRAMES = {"512_u8": (512, 1), "1024_u16": (1024, 2)}
# What a live frame goes through on its way to a finding; the others run on demand or at a run's end.
LIVE = ("histogram", "ingest", "temporal", "repeats")
PAYS = 1.1  # INT8 is said to pay where it lowers a floor by more than a tenth
LIVE_NETWORK = "convnext_base"


def floor_ms(work: Work, device: Device, peak: float) -> tuple[float, str]:
    """The floor and what bounds it. peak: 1e12 operations a second of the units that do the work."""
    weights = work.weight_bytes if work.weight_bytes > device.l2_mb * 1e6 else 0
    moved = (work.dram_bytes + weights) / (device.memory_gb_s * 1e9)
    computed = work.operations / (peak * 1e12)
    return max(moved, computed) * 1e3, "memory" if moved >= computed else "compute"


def rows() -> Iterator[dict[str, Any]]:
    """One row a device and piece of work, then a live frame's sum on each device, then the headline."""
    figures: dict[str, float] = {}
    for name, device in DEVICES.items():
        for case, (side, stored_bytes) in FRAMES.items():
            yield from (
                _row(name, f"{kernel} {case}", work, device, device.fp32)
                for kernel, work in kernels(side, stored_bytes, "float16").items()
            )
        floors = {element: _network_floors(device, element) for element in BYTES}
        for network, work in networks("float16").items():
            gain = floors["float16"][network] / floors["int8"][network]
            row = _row(name, network, work, device, device.fp16)
            yield row | {
                "int8_floor_ms": _significant(floors["int8"][network]),
                "int8_gain": _significant(gain),
                "int8_pays": gain > PAYS,
            }
        for case, (side, stored_bytes) in FRAMES.items():
            whole = {element: _live_frame_ms(device, side, stored_bytes, element) for element in BYTES}
            yield {
                "bench": BENCH,
                "device": name,
                "case": f"live frame {case}, {LIVE_NETWORK}",
                "floor_ms": _significant(whole["float16"]),
                "int8_floor_ms": _significant(whole["int8"]),
                "share_of_budget": _significant(whole["float16"] / BUDGET_MS),
                "source": device.source,
            }
            if case == "1024_u16":
                key = name.split(",")[0].split(" (")[0].lower().replace(" ", "_")
                figures[f"live_1024_share_of_budget_{key}"] = whole["float16"] / BUDGET_MS
    yield {"bench": BENCH, "headline": {k: _significant(v) for k, v in figures.items()}, "machine": "none: on paper",
           "commit": measure.commit()}  # fmt: skip


def _row(name: str, case: str, work: Work, device: Device, peak: float) -> dict[str, Any]:
    floor, bound = floor_ms(work, device, peak)
    return {
        "bench": BENCH,
        "device": name,
        "case": case,
        "dram_bytes": work.dram_bytes + work.weight_bytes,
        "operations": work.operations,
        "floor_ms": _significant(floor),
        "bound_by": bound,
        "share_of_budget": _significant(floor / BUDGET_MS),
        "formula": work.formula,
        "source": device.source,
    }


def _network_floors(device: Device, element: Element) -> dict[str, float]:
    peak = device.fp16 if element == "float16" else device.int8
    return {network: floor_ms(work, device, peak)[0] for network, work in networks(element).items()}


def _live_frame_ms(device: Device, side: int, stored_bytes: int, element: Element) -> float:
    """Every kernel of a live frame and its network, one after the other."""
    works = kernels(side, stored_bytes, element)
    return (
        sum(floor_ms(works[name], device, device.fp32)[0] for name in LIVE)
        + _network_floors(device, element)[LIVE_NETWORK]
    )


def _significant(value: float) -> float:
    return float(f"{value:.3g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--quick", action="store_true", help="as ever: nothing here takes long")
    options = parser.parse_args()
    if options.json:
        measure.report(rows(), as_json=True)
        return
    for row in rows():
        if "headline" in row:
            for key, value in row["headline"].items():
                print(f"{key}: {value}")
        else:
            int8 = f"  int8 {row['int8_floor_ms']:g} ms" if "int8_floor_ms" in row else ""
            bound = row.get("bound_by", "")
            print(f"{row['device']:<30} {row['case']:<48} {row['floor_ms']:>9g} ms  {bound:<8}"
                  f"{row['share_of_budget']:>8.2%} of {BUDGET_MS:.1f} ms{int8}")  # fmt: skip


if __name__ == "__main__":
    main()
