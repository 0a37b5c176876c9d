"""One safetensors file, its tensors read one at a time: mapped, widened to float32, unmapped again.

No code in a file is ever run. A file that changes while it is in use is refused. Not for: which file holds which
weight (stored.py), or other formats (folder.py says what to do with them).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch
from numpy.typing import NDArray
from torch import Tensor

from cathrt.runtime.errors import ConfigError
from cathrt.runtime.sources.input_names import shown_name
from cathrt.runtime.sources.syntax import printable

FLOATS = ("F32", "F16", "BF16")


class TensorFile:
    """Reads the header at once and tensors when they are asked for. Raises ConfigError for what is no such file."""

    def __init__(self, path: Path) -> None:
        self.name = shown_name(path)
        self._path = path
        self._stamp = self._stamp_now()
        self._stored: dict[str, tuple[str, tuple[int, ...]]] = {}
        with self._open() as file:
            for name in file.keys():  # noqa: SIM118 (it is no mapping)
                part = file.get_slice(name)
                self._stored[name] = (part.get_dtype(), tuple(part.get_shape()))

    @property
    def stored(self) -> Mapping[str, tuple[str, tuple[int, ...]]]:
        """By name: data type in safetensors' words, such as BF16, and shape."""
        return self._stored

    def tensor(self, name: str) -> NDArray[np.float32]:
        """float32, C-contiguous, new memory. Raises ConfigError where a value is NaN or infinite."""
        mapped = self._mapped(name)
        # The smallest and largest value tell of NaN too, and unlike isfinite() need no memory.
        if not bool(torch.isfinite(torch.stack(torch.aminmax(mapped))).all()):
            raise ConfigError(
                f"{self.name}: {printable(name, 200)}: holds values that are NaN or infinite: the training that made "
                "these weights has failed, take an earlier checkpoint"
            )
        array: NDArray[np.float32] = mapped.to(torch.float32, copy=True).contiguous().numpy()
        return array

    def same(self, name: str, other: TensorFile, other_name: str) -> bool:
        """Whether two tensors hold the same values."""
        one, two = self._mapped(name), other._mapped(other_name)
        return one.shape == two.shape and bool(torch.equal(one, two.to(one.dtype)))

    def sha256(self) -> str:
        """Of the whole file, hex."""
        try:
            with self._path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as exc:
            raise ConfigError(f"{self.name}: cannot be read ({exc.strerror}): check the file") from exc
        self._require_unchanged()
        return digest

    def _mapped(self, name: str) -> Tensor:
        """As stored. Its memory is the file's, until the last reference is gone."""
        self._require_unchanged()
        with self._open() as file:
            mapped = file.get_tensor(name)
        self._require_unchanged()
        return mapped

    def _open(self) -> Any:
        try:
            return safetensors.safe_open(os.fspath(self._path), framework="pt")
        except (safetensors.SafetensorError, OSError) as exc:
            raise ConfigError(
                f"{self.name}: not a safetensors file ({printable(str(exc), 200)}): fetch it again"
            ) from exc

    def _stamp_now(self) -> tuple[int, ...]:
        try:
            state = self._path.stat()
        except FileNotFoundError as exc:
            raise ConfigError(f"{self.name}: no such file: give the whole folder") from exc
        except OSError as exc:
            raise ConfigError(f"{self.name}: cannot be read ({exc.strerror}): check the file") from exc
        return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns

    def _require_unchanged(self) -> None:
        if self._stamp_now() != self._stamp:
            raise ConfigError(f"{self.name}: the file changed while it was in use: start again when nothing writes it")
