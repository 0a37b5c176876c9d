"""Weights out of a file: safetensors, or a torch file that holds nothing but weights. No code in a file is ever run.

The file is copied once into memory that nobody else can change; the hash and the tensors are of that copy, and the
tensors are views of it. Not for: what the weights belong to (checkpoint.py).
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
from cathrt.runtime.sources.discover import shown_name
from cathrt.runtime.sources.syntax import printable

_PIECE = 1 << 20
_TORCH_SUFFIXES = (".pth", ".pt", ".bin")
# Under which name a training program keeps the weights beside its own books.
_WRAPPERS = ("state_dict", "model", "model_state_dict", "state_dict_ema", "model_ema", "ema_state_dict")
_MOST_WRAPPERS = 3
# What data parallelism, torch.compile and training frameworks put before every name.
_PREFIXES = ("module.", "_orig_mod.", "model.")
_COUNTER = "n_averaged"  # what torch's AveragedModel keeps beside the weights
# What torch.load raises. Taken from there, since cathrt imports pickle nowhere.
_UnpicklingError = torch.serialization.pickle.UnpicklingError


class CheckpointError(CathrtError):
    """A file of weights is refused: unreadable, not weights alone, or not the weights of the network."""

    exit_code = 4


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """tensors: as stored, under their names without wrapper and prefix. sha256: of the whole file, hex."""

    tensors: Mapping[str, Tensor]
    sha256: str


def read_weights(path: Path) -> Weights:
    """Read .safetensors, .pth, .pt or .bin. Raises CheckpointError for anything but weights."""
    if path.suffix.lower() not in (".safetensors", *_TORCH_SUFFIXES):
        raise CheckpointError(
            f"{shown_name(path)}: expected a name that ends in .safetensors, {', '.join(_TORCH_SUFFIXES)}: "
            "give one file of weights"
        )
    with _private_copy(path) as (copy, sha256):
        document = _safetensors(copy, path) if path.suffix.lower() == ".safetensors" else _torch_file(copy, path)
    return Weights(_without_prefixes(_unwrapped(document, path)), sha256)


@contextmanager
def _private_copy(path: Path) -> Iterator[tuple[str, str]]:
    """(name to open the copy by, sha256). What is mapped from the copy stays valid afterwards."""
    digest = hashlib.sha256()
    descriptor = os.memfd_create("weights", os.MFD_CLOEXEC)
    try:
        try:
            if not stat.S_ISREG(path.stat().st_mode):
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
        "  where 'state_dict' is the name of the weights in it, often 'model'"
    )


def _reason(exc: BaseException) -> str:
    """The vendor's own words, without its advice on how to run the code all the same."""
    return printable(str(exc).rpartition("WeightsUnpickler error: ")[2].partition("\n")[0], 200)


def _unwrapped(document: Any, path: Path) -> dict[str, Tensor]:
    """The one mapping of names to tensors in a document."""
    for _ in range(_MOST_WRAPPERS):
        if not isinstance(document, Mapping):
            break
        inner = [name for name in _WRAPPERS if isinstance(document.get(name), Mapping)]
        if len(inner) > 1:
            raise CheckpointError(
                f"{shown_name(path)}: holds several sets of weights ({', '.join(inner)}), which give different "
                "answers: save the one you mean by itself"
            )
        if not inner:
            break
        document = document[inner[0]]
    if isinstance(document, Mapping) and document and all(isinstance(name, str) for name in document):
        strangers = [name for name, value in document.items() if not isinstance(value, Tensor)]
        if not strangers:
            return {name: value.detach() for name, value in document.items()}
        found = f"beside tensors {', '.join(printable(name, 60) for name in strangers[:5])}"
    else:
        found = "an empty mapping" if isinstance(document, Mapping) and not document else type(document).__name__
    raise CheckpointError(
        f"{shown_name(path)}: found {found}; expected names and tensors, or those under one of "
        f"{', '.join(_WRAPPERS)}: save the model's state_dict() alone"
    )


def _without_prefixes(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    kept = {name: value for name, value in tensors.items() if name != _COUNTER}
    while prefix := next((prefix for prefix in _PREFIXES if kept and all(n.startswith(prefix) for n in kept)), None):
        kept = {name.removeprefix(prefix): value for name, value in kept.items()}
    return kept
