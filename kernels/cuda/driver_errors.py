"""What a refusal of the CUDA driver means: CudaError, or DeviceLostError after which nothing works, and what to do.

Not for: catching them. driver.py raises them, runtime/engines translates them.
"""

from __future__ import annotations

from cathrt.kernels.cuda.stream import CudaError, DeviceLostError

_NEW_PROCESS = "the device cannot be used by this process any more, start a new one"
_NVIDIA_SMI = "look at nvidia-smi and dmesg (lines with Xid)"
_KERNEL_FAULT = f"a kernel on the device went wrong, {_NEW_PROCESS} and report the frame"

# cuda.h: after these, every call to the context fails, with the same error. They are often told late, by a call that
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
    "CUDA_ERROR_MPS_CLIENT_TERMINATED": f"the MPS server ended this client: {_NEW_PROCESS}",
    "CUDA_ERROR_EXTERNAL_DEVICE": f"a device this one works with failed: {_NVIDIA_SMI}",
    "CUDA_ERROR_UNKNOWN": f"the device may have fallen off the bus: {_NVIDIA_SMI}",
}

_REFUSED = {
    "CUDA_ERROR_OUT_OF_MEMORY": "close other programs on the device (nvidia-smi lists them), or use a smaller model",
    "CUDA_ERROR_NOT_FOUND": "kernels and cathrt are of different versions: install cathrt anew",
    "CUDA_ERROR_INVALID_IMAGE": "kernels.fatbin is damaged: install cathrt anew",
    "CUDA_ERROR_NO_BINARY_FOR_GPU": "this build of cathrt has no kernels for this device: build it with its SM",
    "CUDA_ERROR_UNSUPPORTED_PTX_VERSION": "kernels.fatbin needs a newer NVIDIA driver: update it",
    "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES": "the block is too large for the kernel's registers on this device",
    "CUDA_ERROR_NOT_READY": "synchronise first",
    "CUDA_ERROR_INSUFFICIENT_DRIVER": "update the NVIDIA driver",
    "CUDA_ERROR_SYSTEM_NOT_READY": "start NVIDIA's services",
}


def refusal(call: str, name: str) -> CudaError:
    """The error to raise. call: what was asked of the driver; name: its answer, "CUDA_ERROR_OUT_OF_MEMORY"."""
    if name in LOST:
        return DeviceLostError(f"{call} ended with {name}: {LOST[name]}")
    return CudaError(f"{call} ended with {name}: {_REFUSED.get(name, 'a fault of cathrt, please report it')}")
