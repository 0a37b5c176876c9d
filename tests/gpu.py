"""Whether kernels can be run on a real device here: asked by tests/conftest.py and by benchmarks/gpu_check.py.

Not for: whether this build has kernels for it. Where a device answers, missing kernels are a failure.
"""

from __future__ import annotations

from cathrt.runtime.engines.device_probe import probe_in_child
from cathrt.runtime.errors import EngineError

STUB_NAME = "STUB"  # how tests/stub_driver/device.c begins its device's name


def why_no_gpu() -> str | None:
    """None where a device computes; else why not, up to the first colon in a few words."""
    try:
        device = probe_in_child()
    except EngineError as exc:
        return str(exc)
    if device.name.startswith(STUB_NAME):
        return "the driver is the tests' stub: it computes nothing, unset LD_LIBRARY_PATH"
    return None
