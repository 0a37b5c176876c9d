"""DLPack tensors read from their capsules, by the published C layout: what a frame needs, and the way to give it back.

Not for: offering tensors to others, other devices than CUDA's, or what the numbers mean (frames.py).
Source: dlpack.h of DLPack 1.0 (DLManagedTensor and DLManagedTensorVersioned).
"""

from __future__ import annotations

import ctypes
import weakref
from typing import Any

import numpy as np

_CUDA = 2  # kDLCUDA
_CUDA_MANAGED = 13  # kDLCUDAManaged
_MAJOR = 1
_UINT = 1  # kDLUInt
_READ_ONLY, _IS_COPIED = 1, 2  # DLPACK_FLAG_BITMASK_*

# The capsule keeps the pointer to its name: these bytes live as long as the module.
_PLAIN, _VERSIONED = b"dltensor", b"dltensor_versioned"
_USED = {_PLAIN: b"used_dltensor", _VERSIONED: b"used_dltensor_versioned"}


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


_Deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class _Managed(ctypes.Structure):
    _fields_ = (("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", _Deleter))


class _ManagedVersioned(ctypes.Structure):
    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", _Deleter),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    )


def is_on_device(device_type: int) -> bool:
    """Whether kernels can read memory of this DLDeviceType."""
    return device_type in (_CUDA, _CUDA_MANAGED)


class DeviceTensor:
    """A tensor lent by another library; its deleter is called once, when this goes.

    address: of the first element.   strides: in elements; None where the tensor is C-contiguous.
    writeable: False for a read-only tensor, and for a copy, which its producer would never see. The unversioned layout
    has no such mark; its producers must not lend read-only tensors.
    """

    def __init__(self, managed: _Managed | _ManagedVersioned) -> None:
        if managed.deleter:
            # Not at the end of the process: its memory goes with it, and the lender may be gone already.
            weakref.finalize(self, managed.deleter, ctypes.addressof(managed)).atexit = False
        flags = managed.flags if isinstance(managed, _ManagedVersioned) else 0
        self.writeable = not flags & (_READ_ONLY | _IS_COPIED)
        tensor = managed.tensor
        self.address = (tensor.data or 0) + tensor.byte_offset
        self.shape = tuple(tensor.shape[i] for i in range(tensor.ndim))
        self.strides = tuple(tensor.strides[i] for i in range(tensor.ndim)) if tensor.strides else None
        self.dtype = _dtype(tensor)


def tensor_of(array: Any, stream: int) -> DeviceTensor:
    """Take over what array.__dlpack__ gives; its producer makes `stream` (a CUDA handle) wait for its own work.

    Raises ValueError for other elements than uint8 and uint16, a capsule of a newer major version, or one used before.
    """
    try:
        capsule = array.__dlpack__(stream=stream, max_version=(_MAJOR, 0))
    except TypeError:  # producers older than DLPack 1.0 know no max_version
        capsule = array.__dlpack__(stream=stream)
    api = ctypes.pythonapi
    name = next((n for n in _USED if api.PyCapsule_IsValid(ctypes.py_object(capsule), n)), None)
    if name is None:
        raise ValueError(f"__dlpack__ gave {capsule!r}: expected an unused capsule 'dltensor' or 'dltensor_versioned'")
    get = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_GetPointer", api))
    kind = _ManagedVersioned if name == _VERSIONED else _Managed
    managed = kind.from_address(get(capsule, name))
    if isinstance(managed, _ManagedVersioned) and managed.major > _MAJOR:
        # Its layout is unknown, and it stays the producer's: the unused capsule frees it.
        raise ValueError(f"__dlpack__ gave version {managed.major}.{managed.minor}: expected {_MAJOR}; update cathrt")
    # From here on the tensor is ours, and the capsule must not free it too.
    api.PyCapsule_SetName(ctypes.py_object(capsule), _USED[name])
    return DeviceTensor(managed)


def _dtype(tensor: _Tensor) -> np.dtype[Any]:
    if tensor.code != _UINT or tensor.bits not in (8, 16) or tensor.lanes != 1:
        raise ValueError(
            f"elements are DLPack type {tensor.code} of {tensor.bits} bits, {tensor.lanes} lanes: "
            "expected uint8 or uint16 stored values"
        )
    return np.dtype(f"uint{tensor.bits}")
