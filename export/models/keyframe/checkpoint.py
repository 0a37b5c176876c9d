"""A checkpoint: the whole, finite weights of one ConvNeXt in timm's names, whoever published them, and their identity.

Not for: files (checkpoint/file.py), names (models/convnext_names.py) and graphs (to_onnx.py).
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from cathrt.export.checkpoint.file import CheckpointError, read_weights
from cathrt.export.models.keyframe.convnext import ARCHS, ConvNext
from cathrt.export.models.keyframe.convnext_names import LAYOUTS, Layout, name_in, shape_in, timm_names, timm_tensor
from cathrt.runtime.sources.discover import shown_name
from cathrt.runtime.sources.syntax import printable

_LISTED = 20
_RANDOM_LAYER_SCALE = 0.1  # blocks that do something: with the paper's 1e-6 they would be the identity
_WIDENED = (torch.float16, torch.bfloat16)
_CLASSIFIER = ("head.fc.weight", "head.fc.bias")
_NO_TELLING = -1  # for the number of classes where the classifier is missing

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """Weights that make a ConvNext(ARCHS[arch], classes=classes), and where they come from.

    state: timm's names, MLPs as linear layers, float32, contiguous, in memory that no file's change reaches; every
    value finite. layout: in whose names they were found, "random" where they were drawn.
    sha256: of the file's bytes, of the drawn weights' bytes where layout is "random"; hex.
    """

    state: Mapping[str, Tensor]
    arch: str
    classes: int
    layout: Layout | Literal["random"]
    sha256: str


def load_checkpoint(path: Path, arch: str | None = None) -> Checkpoint:
    """Read published or self-trained weights: timm's, torchvision's, transformers' or the authors' own names.

    arch: the size expected, a key of ARCHS; None takes the one the weights are of. Half floats are widened.
    At its peak takes less than twice the memory of the float32 weights. Raises CheckpointError with every difference
    where the file is not exactly such weights, ValueError for an arch that there is not.
    """
    if arch is not None:
        _require_known(arch)
    weights = read_weights(path)
    layout = _layout_of(weights.tensors, path)
    ours = timm_names(layout)
    state = {ours[name]: timm_tensor(ours[name], value) for name, value in weights.tensors.items() if name in ours}
    found = {name: tuple(value.shape) for name, value in state.items()}
    closest = max(ARCHS, key=lambda candidate: _likeness(found, candidate))
    if arch not in (None, closest) and not _mismatches(found, closest):
        raise CheckpointError(f"{shown_name(path)}: holds {closest}, expected {arch}: give --arch {closest}")
    arch = arch or closest
    wrong = _differences(weights.tensors, state, arch, layout)
    if wrong:
        more = f"\n  and {len(wrong) - _LISTED} more" if len(wrong) > _LISTED else ""
        raise CheckpointError(
            f"{shown_name(path)}: not the weights of {arch} in the names of {layout}, {len(wrong)} differences:\n  "
            + "\n  ".join(wrong[:_LISTED])
            + f"{more}\nCheck that this is the network meant, and that all of it was saved"
        )
    return Checkpoint(
        {name: _usable(name, state[name], layout, path) for name in _shapes(arch)},
        arch,
        found["head.fc.weight"][0],
        layout,
        weights.sha256,
    )


def random_checkpoint(arch: str, classes: int, seed: int) -> Checkpoint:
    """Weights that know nothing, for measuring speed: drawn as before a training, with blocks that take part.

    The same arguments give the same weights on machines of one kind (the draw's logarithms round as the CPU does).
    Raises ValueError for an arch that there is not, or less than one class.
    """
    _require_known(arch)
    if classes < 1:
        raise ValueError(f"{classes} classes: expected at least 1")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = ConvNext(ARCHS[arch], classes=classes, layer_scale=_RANDOM_LAYER_SCALE)
    state = {name: value.detach() for name, value in model.state_dict().items()}
    digest = hashlib.sha256()
    for value in state.values():
        digest.update(value.numpy())
    return Checkpoint(state, arch, classes, "random", digest.hexdigest())


def _require_known(arch: str) -> None:
    if arch not in ARCHS:
        raise ValueError(f"arch {arch}: expected one of {', '.join(ARCHS)}")


@functools.cache
def _shapes(arch: str) -> Mapping[str, Shape]:
    """timm's names and the plain module's shapes, in the module's order; the classifier as for one class."""
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in ConvNext(ARCHS[arch], classes=1).state_dict().items()}


def _layout_of(tensors: Mapping[str, Tensor], path: Path) -> Layout:
    known = {layout: sum(name in timm_names(layout) for name in tensors) for layout in LAYOUTS}
    layout = max(known, key=lambda candidate: known[candidate])
    if not known[layout]:
        some = ", ".join(printable(name, 80) for name in sorted(tensors)[:3]) or "nothing"
        raise CheckpointError(
            f"{shown_name(path)}: found {len(tensors)} tensors ({some} ...), none of them named as "
            f"{', '.join(LAYOUTS)} name ConvNeXt's weights: check that this is the network meant"
        )
    return layout


def _likeness(found: Mapping[str, Shape], arch: str) -> float:
    """1 where names and shapes are those of this size, 0 where none is."""
    return 1.0 - len(_mismatches(found, arch)) / len(found.keys() | _shapes(arch).keys())


def _mismatches(found: Mapping[str, Shape], arch: str) -> list[str]:
    """timm's names of which the shapes differ or one side has nothing."""
    expected = _expected(found, arch)
    names = [*expected, *(name for name in found if name not in expected)]
    return [name for name in names if found.get(name) != expected.get(name)]


def _expected(found: Mapping[str, Shape], arch: str) -> Mapping[str, Shape]:
    """The shapes of this size with as many classes as the classifier found has; with none where there is no telling."""
    weight, bias = (found.get(name, ()) for name in _CLASSIFIER)
    classes = weight[0] if len(weight) == 2 else bias[0] if len(bias) == 1 else 0
    return {
        name: (classes or _NO_TELLING, *shape[1:]) if name in _CLASSIFIER else shape
        for name, shape in _shapes(arch).items()
    }


def _differences(tensors: Mapping[str, Tensor], state: Mapping[str, Tensor], arch: str, layout: Layout) -> list[str]:
    """One line for each weight that is not as expected, in the names and shapes of the file."""
    found = {name: tuple(value.shape) for name, value in state.items()}
    expected = _expected(found, arch)
    lines = []
    for name in _mismatches(found, arch):
        theirs = str(name_in(layout, name))
        here = _text(tuple(tensors[theirs].shape)) if theirs in tensors else "nothing"
        there = _text(shape_in(layout, name, expected[name])) if name in expected else "nothing"
        lines.append(f"{theirs}: found {here}, expected {there}")
    for name, value in tensors.items():
        if name not in timm_names(layout):
            lines.append(f"{printable(name, 120)}: found {_text(tuple(value.shape))}, expected nothing")
        elif value.dtype not in (torch.float32, *_WIDENED) or value.layout != torch.strided or not value.is_cpu:
            lines.append(f"{name}: found {value.dtype} ({value.layout}), expected plain float32, float16 or bfloat16")
    return lines


def _text(shape: Shape) -> str:
    return f"({', '.join('classes' if size == _NO_TELLING else str(size) for size in shape)})"


def _usable(name: str, value: Tensor, layout: Layout, path: Path) -> Tensor:
    """Contiguous float32, a view where it is that already. Raises CheckpointError where a value is not finite."""
    # the smallest and largest value tell of NaN too, and unlike isfinite() need no memory
    if not bool(torch.isfinite(torch.stack(torch.aminmax(value))).all()):
        bad = int((~torch.isfinite(value)).sum())
        raise CheckpointError(
            f"{shown_name(path)}: {name_in(layout, name)}: {bad} of {value.numel()} values are NaN or infinite: the "
            "training that made these weights has failed, take an earlier checkpoint"
        )
    return value.float().contiguous()
