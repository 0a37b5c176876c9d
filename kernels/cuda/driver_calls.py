"""Calls the CUDA driver and translates its refusals: CudaError, or DeviceLostError after which nothing works.

Not for: what is asked for (driver.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from cathrt.kernels.cuda.stream import CudaError, DeviceHungError, DeviceLostError

_NEW_PROCESS = "the device cannot be used by this process any more, start a new one"
_NVIDIA_SMI = "look at nvidia-smi and dmesg (lines with Xid)"
_KERNEL_FAULT = f"a kernel on the device went wrong, {_NEW_PROCESS} and report the frame"

# cuda.h: after these, every call to the context fails, with the same error. Often a later call reports them, one that
# has nothing to do with the cause.
LOST = {
    "CUDA_ERROR_DEINITIALIZED": "the driver is shutting down with the process: open streams earlier",
    "CUDA_ERROR_DEVICE_UNAVAILABLE": f"another process may hold the device: {_NVIDIA_SMI}",
    "CUDA_ERROR_NO_DEVICE": f"the device is gone: {_NVIDIA_SMI}",
    "CUDA_ERROR_INVALID_CONTEXT": f"something in this process has reset the device: {_NEW_PROCESS}",
    "CUDA_ERROR_ECC_UNCORRECTABLE": f"the device's memory is damaged: {_NEW_PROCESS}, and {_NVIDIA_SMI}",
    "CUDA_ERROR_NVLINK_UNCORRECTABLE": _NVIDIA_SMI,
    "CUDA_ERROR_CONTAINED": f"the device's memory is damaged: {_NEW_PROCESS}, and {_NVIDIA_SMI}",
    "CUDA_ERROR_ILLEGAL_ADDRESS": _KERNEL_FAULT,
    "CUDA_ERROR_LAUNCH_TIMEOUT": "a kernel ran longer than the display allows: use a device that drives no display",
    "CUDA_ERROR_CONTEXT_IS_DESTROYED": f"something in this process has reset the device: {_NEW_PROCESS}",
    "CUDA_ERROR_ASSERT": _KERNEL_FAULT,
    "CUDA_ERROR_HARDWARE_STACK_ERROR": _KERNEL_FAULT,
    "CUDA_ERROR_ILLEGAL_INSTRUCTION": _KERNEL_FAULT,
    "CUDA_ERROR_MISALIGNED_ADDRESS": _KERNEL_FAULT,
    "CUDA_ERROR_INVALID_ADDRESS_SPACE": _KERNEL_FAULT,
    "CUDA_ERROR_INVALID_PC": _KERNEL_FAULT,
    "CUDA_ERROR_LAUNCH_FAILED": _KERNEL_FAULT,
    "CUDA_ERROR_TENSOR_MEMORY_LEAK": _KERNEL_FAULT,
    "CUDA_ERROR_NOT_PERMITTED": f"the driver forbids it: {_NVIDIA_SMI}, and the container's device permissions",
    "CUDA_ERROR_SYSTEM_NOT_READY": "start NVIDIA's services (nvidia-fabricmanager, nvidia-persistenced)",
    "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH": "the kernel module and libcuda differ in version: reboot after an update",
    "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE": "remove the CUDA compatibility package or update the driver",
    "CUDA_ERROR_MPS_CONNECTION_FAILED": "start nvidia-cuda-mps-control, or unset CUDA_MPS_PIPE_DIRECTORY",
    "CUDA_ERROR_MPS_RPC_FAILURE": "restart nvidia-cuda-mps-control",
    "CUDA_ERROR_MPS_SERVER_NOT_READY": "nvidia-cuda-mps-control is starting or recovering: try again in a second",
    "CUDA_ERROR_MPS_CLIENT_TERMINATED": f"the MPS server ended this client: {_NEW_PROCESS}",
    "CUDA_ERROR_EXTERNAL_DEVICE": f"a device this one works with failed: {_NVIDIA_SMI}",
    "CUDA_ERROR_UNKNOWN": f"the device may have fallen off the bus: {_NVIDIA_SMI}",
}

_REFUSED = {
    "CUDA_ERROR_OUT_OF_MEMORY": "close other programs on the device (nvidia-smi lists them), or use a smaller model",
    "CUDA_ERROR_NOT_FOUND": "kernels and cathrt are of different versions: install cathrt again",
    "CUDA_ERROR_INVALID_IMAGE": "kernels.fatbin is damaged: install cathrt again",
    "CUDA_ERROR_NO_BINARY_FOR_GPU": "this build of cathrt has no kernels for this device: build it with its SM",
    "CUDA_ERROR_UNSUPPORTED_PTX_VERSION": "kernels.fatbin needs a newer NVIDIA driver: update it",
    "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES": "the block is too large for the kernel's registers on this device",
    "CUDA_ERROR_NOT_READY": "synchronise first",
}


class DriverCalls:
    """cuda-core and the driver bindings under it, asked so that every refusal is raised as one of our errors.

    lost: the message of the first DeviceLostError, empty until there is one. hung: it was a DeviceHungError.
    Raises CudaError without cuda-core.
    """

    def __init__(self) -> None:
        try:
            from cuda import core
            from cuda.bindings import driver
        except ImportError as exc:
            raise CudaError(
                f"cuda-core is missing ({exc}): pip install '.[gpu]' in a clone of cathrt, or pip install "
                "'FILE.whl[gpu]' of its wheel"
            ) from exc
        self.core: Any = core
        self.driver: Any = driver
        self.lost = ""
        self.hung = False

    def ask(self, call: str, *arguments: Any, unless: str = "") -> Any:
        """Call the driver: its result, a tuple of several, True for none, or None where it answers `unless`."""
        try:
            status, *results = getattr(self.driver, call)(*arguments)
        except RuntimeError as exc:
            # cuda-pathfinder finds no libcuda, or the bindings no such function in an old one.
            raise _no_driver(call, exc) from exc
        if status != self.driver.CUresult.CUDA_SUCCESS:
            if unless and status.name == unless:
                return None
            self.refuse(call, status.name)
        return results[0] if len(results) == 1 else tuple(results) or True

    @contextmanager
    def refusals(self, doing: str) -> Iterator[None]:
        """What cuda-core raises within, translated."""
        try:
            yield
        except Exception as exc:
            self.translate(doing, exc)

    def translate(self, doing: str, exc: Exception) -> NoReturn:
        """Raise cuda-core's exception as ours. It exports no class for it, but the text begins with the answer."""
        answer = re.match(r"CUDA_ERROR_\w+", str(exc))
        if answer is not None:
            self.refuse(doing, answer.group(), exc)
        if isinstance(exc, RuntimeError):
            raise _no_driver(doing, exc) from exc
        raise exc

    def require_answering(self) -> None:
        """Raise the error of the loss again, once there was one."""
        if self.lost:
            raise (DeviceHungError if self.hung else DeviceLostError)(self.lost)

    def hang(self, waited_for: str, within_ms: float) -> NoReturn:
        """Give the device up: it has not done what was waited for."""
        self.hung = True
        what = f"it has not finished {waited_for} within {within_ms:g} ms"
        self.lost = f"the device does not answer: {what}: {_NVIDIA_SMI}"
        raise DeviceHungError(self.lost)

    def refuse(self, call: str, name: str, cause: Exception | None = None) -> NoReturn:
        """Raise what the driver's answer means, and remember a loss. name: as cuda.h has it."""
        if name in LOST:
            self.lost = f"{call} ended with {name}: {LOST[name]}"
            raise DeviceLostError(self.lost) from cause
        advice = _REFUSED.get(name, "a fault of cathrt, please report it")
        raise CudaError(f"{call} ended with {name}: {advice}") from cause


def _no_driver(call: str, exc: Exception) -> CudaError:
    return CudaError(
        f"no NVIDIA driver that knows {call} ({exc}): install or update the driver, or choose an engine for the CPU"
    )
