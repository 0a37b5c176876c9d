"""A checkpoint: the whole, finite weights of one ConvNeXt in timm's names, whoever published them, and their identity.

Not for: files (checkpoint/file.py), finding weights among a training's other tensors (weight_sets.py), names
(convnext_names.py), what is said of a file that is refused (checkpoint_faults.py), and graphs (to_onnx.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from cathrt.export.checkpoint.file import CheckpointError, read_weights
from cathrt.export.checkpoint.set_choice import chosen
from cathrt.export.models.keyframe.checkpoint_faults import no_network, not_chosen, not_whole, several_sets
from cathrt.export.models.keyframe.convnext import ARCHS, ConvNext
from cathrt.export.models.keyframe.convnext_names import Layout
from cathrt.export.models.keyframe.set_fit import STEM, STEM_CHANNELS, SetFit, fit_of, shapes_of
from cathrt.export.models.keyframe.weight_sets import WeightSet, table_of, weight_sets
from cathrt.runtime.sources.input_names import shown_name
from cathrt.runtime.sources.syntax import printable

_SHOWN, _KEPT = 10, 100  # of the tensors that are left out: on the terminal, in the provenance
_RANDOM_LAYER_SCALE = 0.1  # blocks that do something: with the paper's 1e-6 they would be the identity


@dataclass(frozen=True, slots=True)
class Reading:
    """How weights were taken out of a file that holds more than they, or less.

    chosen: name of the set, where the file holds several. left_out: what else it holds. layer_scale: False where it
    has none, so that ones were written. stem_channels: of the file; the weights of a single one stand in the first of
    three.
    """

    chosen: str | None = None
    left_out: tuple[str, ...] = ()
    layer_scale: bool = True
    stem_channels: int = STEM_CHANNELS

    def record(self) -> dict[str, Any]:
        """For the provenance: JSON, empty where the file is the network and nothing else."""
        found: dict[str, Any] = {}
        if self.chosen is not None:
            found["set"] = self.chosen
        if self.left_out:
            more = len(self.left_out) - _KEPT
            found["left_out"] = [*self.left_out[:_KEPT], *([f"{more} more"] if more > 0 else [])]
        if not self.layer_scale:
            found["layer_scale"] = "none in the file: written as ones"
        if self.stem_channels != STEM_CHANNELS:
            found["stem"] = "one channel in the file: written as the first of three, the others zero"
        return found

    def notes(self) -> tuple[str, ...]:
        """The same for the terminal, a line each."""
        lines = []
        if self.chosen is not None:
            lines.append(f"weights: the file holds several sets, taken is {self.chosen}")
        if self.left_out:
            more = f" and {len(self.left_out) - _SHOWN} more" if len(self.left_out) > _SHOWN else ""
            lines.append(
                f"weights: left out: {', '.join(self.left_out[:_SHOWN])}{more}. If the network computes its answer "
                "with one of them, do not use this export"
            )
        if not self.layer_scale:
            lines.append("weights: the file has no layer scale; ones are written, which changes no answer")
        if self.stem_channels != STEM_CHANNELS:
            lines.append(
                "weights: the stem reads one channel; it is written for three, with the file's weights in the first "
                "and zeros in the others, which changes no answer"
            )
        return tuple(lines)


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
    reading: Reading = field(default_factory=Reading)


def load_checkpoint(path: Path, arch: str | None = None, state: str | None = None) -> Checkpoint:
    """Read published or self-trained weights: timm's, torchvision's, transformers' or the authors' own names.

    arch: the size expected, a key of ARCHS; None takes the one the weights are of. state: which set of weights, where
    the file holds several: "ema", "model", or its name. Half floats are widened; what is no ConvNeXt's is left out.
    At its peak takes less than twice the memory of the float32 weights. Raises CheckpointError with every difference
    where the file holds no whole network or several, ValueError for an arch that there is not.
    """
    if arch is not None:
        _require_known(arch)
    weights = read_weights(path)
    sets = weight_sets(weights.tensors)
    if not sets:
        raise CheckpointError(no_network(shown_name(path), weights.tensors))
    fits = [fit_of(one, weights.tensors) for one in sets]
    fit = _chosen(fits, arch, state, path)
    if fit.whole and arch not in (None, fit.arch):
        raise CheckpointError(f"{shown_name(path)}: holds {fit.arch}, expected {arch}: give --arch {fit.arch}")
    if not fit.whole:
        raise CheckpointError(not_whole(shown_name(path), fit, arch, weights.tensors))
    reading = Reading(
        printable(fit.weights.name, 200) if len(fits) > 1 else None,
        tuple(_left_out(weights.tensors, fit.weights, sets)),
        fit.layer_scale,
        fit.stem_channels,
    )
    usable = {name: _usable(name, fit, path) for name in shapes_of(fit.arch)}
    return Checkpoint(usable, fit.arch, fit.classes, fit.weights.layout, weights.sha256, reading)


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


def _chosen(fits: Sequence[SetFit], arch: str | None, state: str | None, path: Path) -> SetFit:
    """The set that is meant. Raises CheckpointError where that is not clear."""
    by_name = {fit.weights.name: fit for fit in fits}
    if state is not None:
        found = chosen(list(by_name), state)
        if len(found) != 1:
            raise CheckpointError(not_chosen(shown_name(path), fits, state, found))
        return by_name[found[0]]
    distinct = [fit for place, fit in enumerate(fits) if not any(fit.same_memory(other) for other in fits[:place])]
    if len(distinct) == 1:
        return fits[0]
    of_arch = [fit for fit in distinct if fit.arch == arch]
    if len(of_arch) == 1 and of_arch[0].whole:
        return of_arch[0]
    raise CheckpointError(several_sets(shown_name(path), fits))


def _left_out(tensors: Mapping[str, Tensor], taken: WeightSet, sets: Sequence[WeightSet]) -> Iterator[str]:
    """What of a file is not taken: other sets and optimizers' tables with their number of tensors, the rest by name."""
    own = set(taken.names.values())
    of_set = {name: one.name for one in sets if one is not taken for name in (*one.names.values(), *one.spare)}
    counts: dict[str, int] = {}
    for name, value in tensors.items():
        if name in own:
            continue
        if (table := of_set.get(name) or table_of(name)) is not None:
            counts[table] = counts.get(table, 0) + 1
        else:
            counts[f"{name} ({', '.join(map(str, value.shape))})"] = 0
    for name, count in counts.items():
        yield printable(name, 120) + (f" ({count} tensors)" if count else "")


def _usable(name: str, fit: SetFit, path: Path) -> Tensor:
    """Contiguous float32, a view where it is that already. Raises CheckpointError where a value is not finite."""
    if name not in fit.state:  # a layer scale where there is none
        return torch.ones(shapes_of(fit.arch)[name])
    value = fit.state[name]
    # the smallest and largest value tell of NaN too, and unlike isfinite() need no memory
    if not bool(torch.isfinite(torch.stack(torch.aminmax(value))).all()):
        bad = int((~torch.isfinite(value)).sum())
        raise CheckpointError(
            f"{shown_name(path)}: {printable(fit.weights.names[name], 200)}: {bad} of {value.numel()} values are NaN "
            "or infinite: the training that made these weights has failed, take an earlier checkpoint"
        )
    value = value.float().contiguous()
    # Zeros for the channels that the network does not read: a third of the weights in each would be rounded.
    return F.pad(value, (0, 0, 0, 0, 0, STEM_CHANNELS - 1)) if name == STEM and fit.stem_channels == 1 else value
