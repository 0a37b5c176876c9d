"""Tensors out of a file: safetensors, or a torch file of plain data. No code in a file is ever run.

The file is copied once into memory that nobody else can change; the hash and the tensors are of that copy, and the
tensors are views of it. Not for: which of the tensors are the network's weights (models/<kind>/), or which of several
sets of them is meant (set_choice.py).
"""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor

from cathrt.runtime.errors import CathrtError
from cathrt.runtime.sources.input_names import shown_name
from cathrt.runtime.sources.syntax import printable

_PIECE = 1 << 20
_TORCH_SUFFIXES = (".pth", ".pt", ".ckpt", ".bin")
_DEEPEST = 12  # tables within tables; optimizers need five
# What torch.load raises. Taken from there, since cathrt imports pickle nowhere.
_UnpicklingError = torch.serialization.pickle.UnpicklingError


class CheckpointError(CathrtError):
    """A file of weights is refused: unreadable, more than plain data, or not the weights of the network."""

    exit_code = 4


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """tensors: all of the file, as stored and in its order. Each is named by the keys that lead to it, joined by dots,
    such as state_dict.model.stem.0.weight. sha256: of the whole file, hex."""

    tensors: Mapping[str, Tensor]
    sha256: str


def read_weights(path: Path) -> Weights:
    """Read .safetensors, .pth, .pt, .ckpt or .bin; numbers, texts and settings are passed over.

    Raises CheckpointError for other files, for files with code, and where there is no tensor.
    """
    if path.suffix.lower() not in (".safetensors", *_TORCH_SUFFIXES):
        raise CheckpointError(
            f"{shown_name(path)}: expected a name that ends in .safetensors, {', '.join(_TORCH_SUFFIXES)}: "
            "give one file of weights"
        )
    with _private_copy(path) as (copy, sha256):
        document = _safetensors(copy, path) if path.suffix.lower() == ".safetensors" else _torch_file(copy, path)
    return Weights(_tensors(document, path), sha256)


@contextmanager
def _private_copy(path: Path) -> Iterator[tuple[str, str]]:
    """(name to open the copy by, sha256). What is mapped from the copy stays valid afterwards."""
    digest = hashlib.sha256()
    descriptor = os.memfd_create("weights", os.MFD_CLOEXEC)
    try:
        try:
            mode = path.stat().st_mode
            if stat.S_ISDIR(mode):
                raise CheckpointError(
                    f"{shown_name(path)}: a folder: give one file of weights. DeepSpeed and FSDP come with a tool that "
                    "makes one file of a checkpoint in parts"
                )
            if not stat.S_ISREG(mode):
                raise CheckpointError(f"{shown_name(path)}: not a regular file: give one file of weights")
            with path.open("rb", buffering=0) as file, os.fdopen(descriptor, "wb", closefd=False) as copy:
                while piece := file.read(_PIECE):
                    digest.update(piece)
                    copy.write(piece)
        except FileNotFoundError as exc:
            raise CheckpointError(f"{shown_name(path)}: no such file: check the path") from exc
        except OSError as exc:
            raise CheckpointError(f"{shown_name(path)}: cannot be read ({exc.strerror}): check the file") from exc
        yield f"/proc/self/fd/{descriptor}", digest.hexdigest()
    finally:
        os.close(descriptor)


def _safetensors(copy: str, path: Path) -> dict[str, Tensor]:
    try:
        with safetensors.safe_open(copy, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
    except (safetensors.SafetensorError, OSError) as exc:
        raise CheckpointError(
            f"{shown_name(path)}: not a safetensors file ({printable(str(exc), 200)}): fetch it again"
        ) from exc


def _torch_file(copy: str, path: Path) -> Any:
    try:
        if not zipfile.is_zipfile(copy):
            raise CheckpointError(_refusal(path, "not an archive as torch.save has written since 1.6, a bare pickle?"))
        if foreign := torch.serialization.get_unsafe_globals_in_checkpoint(copy):
            raise CheckpointError(_refusal(path, f"holds more than weights: {', '.join(sorted(foreign))}"))
        return torch.load(copy, map_location="cpu", weights_only=True, mmap=True)
    except _UnpicklingError as exc:
        raise CheckpointError(_refusal(path, f"holds more than weights: {_reason(exc)}")) from exc
    except (
        RuntimeError,
        EOFError,
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        zipfile.BadZipFile,
    ) as exc:
        raise CheckpointError(
            f"{shown_name(path)}: not a file of torch.save ({_reason(exc)}): save the model's state_dict() with it"
        ) from exc


def _refusal(path: Path, found: str) -> str:
    return (
        f"{shown_name(path)}: {printable(found, 300)}. Reading it could run code from the file, and nothing was read. "
        "Where you trust who made it, convert it once and give the result:\n"
        "  python -c \"import torch, safetensors.torch as s; d = torch.load('FILE', map_location='cpu', "
        "weights_only=False); s.save_file({k: v.clone().contiguous() for k, v in d['state_dict'].items()}, "
        "'weights.safetensors')\"\n"
        "  where 'state_dict' is the name of the weights in it, often 'model', or 'state_dict_ema' for their average. "
        "If the file is the whole model, give d.state_dict() in place of d['state_dict']"
    )


def _reason(exc: BaseException) -> str:
    """The vendor's own words, without its advice on how to run the code all the same."""
    return printable(str(exc).rpartition("WeightsUnpickler error: ")[2].partition("\n")[0], 200)


def _tensors(document: Any, path: Path) -> dict[str, Tensor]:
    """Every tensor in a document's tables and lists, at whatever depth; a table that occurs twice counts once."""
    found: dict[str, Tensor] = {}
    others: list[str] = []
    seen: set[int] = set()
    waiting: list[tuple[str, Any, int]] = [("", document, 0)] if isinstance(document, Mapping) else []
    while waiting:
        name, value, depth = waiting.pop()
        if isinstance(value, Tensor) and not value.is_nested:
            if name in found:
                raise CheckpointError(
                    f"{shown_name(path)}: holds two tensors that are both called {printable(name, 120)}: save the "
                    "model's state_dict() alone"
                )
            found[name] = value.detach()
        elif not isinstance(value, Mapping | list | tuple):
            others.append(name)
        elif id(value) not in seen and depth < _DEEPEST:
            seen.add(id(value))
            pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
            inner = [(str(key), item) for key, item in pairs if isinstance(key, str | int)]
            waiting += [(f"{name}.{key}" if name else key, item, depth + 1) for key, item in reversed(inner)]
    if found:
        return found
    if others:
        what = f"no tensors, only {', '.join(printable(name, 60) for name in others[:5])}"
    else:
        what = "an empty mapping" if isinstance(document, Mapping) else type(document).__name__
    raise CheckpointError(
        f"{shown_name(path)}: found {what}; expected names and tensors, alone or in a training program's tables: save "
        "the model's state_dict()"
    )
