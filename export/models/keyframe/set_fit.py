"""How far a set of weights in a file is the whole of one ConvNeXt, and of which size it is the nearest.

Not for: finding sets (weight_sets.py), and the words of a refusal (checkpoint_faults.py).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from cathrt.export.models.keyframe.convnext import ARCHS, ConvNext
from cathrt.export.models.keyframe.convnext_names import timm_tensor
from cathrt.export.models.keyframe.weight_sets import WeightSet

Shape = tuple[int, ...]

STEM, STEM_CHANNELS = "stem.0.weight", 3
CLASSIFIER = ("head.fc.weight", "head.fc.bias")
NO_TELLING = -1  # for the number of classes where the classifier is missing
_GAMMA = ".gamma"
_WIDENED = (torch.float16, torch.bfloat16)


@dataclass(frozen=True, slots=True, eq=False)
class SetFit:
    """A set beside the size that it is nearest to.

    state: the set in timm's names, MLPs as linear layers. expected: shapes of that size, in the module's order, with as
    many classes as found; without layer scales where the set has none. found: the set's, a stem of one channel as of
    three. unlike: timm's names of which the two differ. untyped: of tensors that are no plain floats.
    """

    weights: WeightSet
    state: Mapping[str, Tensor]
    arch: str
    expected: Mapping[str, Shape]
    found: Mapping[str, Shape]
    unlike: tuple[str, ...]
    untyped: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether this is that network and nothing else of it is missing or new."""
        return not (self.unlike or self.untyped or self.weights.spare)

    @property
    def matching(self) -> int:
        """Tensors of the network that are there in their shape."""
        return sum(self.found.get(name) == shape for name, shape in self.expected.items())

    @property
    def missing(self) -> int:
        return len(self.expected.keys() - self.found.keys())

    @property
    def classes(self) -> int:
        return self.expected[CLASSIFIER[0]][0]

    @property
    def layer_scale(self) -> bool:
        return any(name.endswith(_GAMMA) for name in self.expected)

    @property
    def stem_channels(self) -> int:
        """Of the file, 0 where there is no stem."""
        stem = self.state.get(STEM)
        return stem.shape[1] if stem is not None and stem.ndim == 4 else 0

    def same_memory(self, other: SetFit) -> bool:
        """Whether both are the same tensors under two names, as of a module that stands in two places."""
        return self.state.keys() == other.state.keys() and all(
            _place(value) == _place(other.state[name]) for name, value in self.state.items()
        )


def fit_of(weights: WeightSet, tensors: Mapping[str, Tensor]) -> SetFit:
    """The set beside the published size that it differs from in the fewest tensors."""
    state = {name: timm_tensor(name, tensors[theirs]) for name, theirs in weights.names.items()}
    found = {name: _as_read(name, tuple(value.shape)) for name, value in state.items()}
    arch = max(ARCHS, key=lambda candidate: _likeness(found, candidate))
    untyped = tuple(name for name, value in state.items() if not _plain(value))
    return SetFit(weights, state, arch, _expected(found, arch), found, _unlike(found, arch), untyped)


@functools.cache
def shapes_of(arch: str) -> Mapping[str, Shape]:
    """timm's names and the plain module's shapes, in the module's order; the classifier as for one class."""
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in ConvNext(ARCHS[arch], classes=1).state_dict().items()}


def _as_read(name: str, shape: Shape) -> Shape:
    return (shape[0], STEM_CHANNELS, *shape[2:]) if name == STEM and len(shape) == 4 and shape[1] == 1 else shape


def _likeness(found: Mapping[str, Shape], arch: str) -> float:
    """1 where names and shapes are those of this size, 0 where none is."""
    return 1.0 - len(_unlike(found, arch)) / len(found.keys() | _expected(found, arch).keys())


def _unlike(found: Mapping[str, Shape], arch: str) -> tuple[str, ...]:
    """timm's names of which the shapes differ or one side has nothing."""
    expected = _expected(found, arch)
    names = [*expected, *(name for name in found if name not in expected)]
    return tuple(name for name in names if found.get(name) != expected.get(name))


def _expected(found: Mapping[str, Shape], arch: str) -> Mapping[str, Shape]:
    """The shapes of this size with as many classes as the classifier found has; with none where there is no telling."""
    weight, bias = (found.get(name, ()) for name in CLASSIFIER)
    classes = weight[0] if len(weight) == 2 else bias[0] if len(bias) == 1 else 0
    scaled = any(name.endswith(_GAMMA) for name in found)
    return {
        name: (classes or NO_TELLING, *shape[1:]) if name in CLASSIFIER else shape
        for name, shape in shapes_of(arch).items()
        if scaled or not name.endswith(_GAMMA)
    }


def _plain(value: Tensor) -> bool:
    return value.dtype in (torch.float32, *_WIDENED) and value.layout == torch.strided and bool(value.is_cpu)


def _place(value: Tensor) -> tuple[int, Shape]:
    return value.data_ptr() if _plain(value) else id(value), tuple(value.shape)
