"""What is said of a file that holds no whole ConvNeXt, or several: how much matched, what is missing, what to do.

Not for: finding that out (weight_sets.py, set_fit.py).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

from cathrt.export.checkpoint.set_choice import shortest_wish
from cathrt.export.models.keyframe.convnext import ARCHS
from cathrt.export.models.keyframe.convnext_names import LAYOUTS, name_in, shape_in
from cathrt.export.models.keyframe.set_fit import (
    CLASSIFIER,
    NO_TELLING,
    STEM,
    STEM_CHANNELS,
    SetFit,
    Shape,
)
from cathrt.runtime.sources.syntax import printable

_LISTED = 20
_SECOND_VERSION = "grn"  # the layer that ConvNeXt V2 adds to every block, in the names of all libraries


def no_network(file: str, tensors: Mapping[str, Tensor]) -> str:
    """Of a file in which no tensor at all has a name of ConvNeXt's."""
    some = ", ".join(printable(name, 80) for name in sorted(tensors)[:3])
    return (
        f"{file}: found {len(tensors)} tensors ({some} ...), none of them named as {', '.join(LAYOUTS)} name "
        "ConvNeXt's weights: check that this is the network meant"
    )


def several_sets(file: str, fits: Sequence[SetFit]) -> str:
    """Of a file from which it is not clear what to take."""
    names = ", ".join(printable(fit.weights.name, 80) for fit in fits[:_LISTED])
    return (
        f"{file}: holds several sets of weights ({names}), which give different answers: choose the one that was "
        f"evaluated, with --state:{_choices(fits)}"
    )


def not_chosen(file: str, fits: Sequence[SetFit], state: str, found: Sequence[str]) -> str:
    """Of a wish that fits none of the sets, or several; a bundle's own wish is the set that it was made of."""
    how = f"fits {len(found)} sets of weights" if found else "fits no set of weights"
    return f"{file}: --state {printable(state, 80)} (given, or of the bundle) {how}. The file holds:{_choices(fits)}"


def not_whole(file: str, fit: SetFit, arch: str | None, tensors: Mapping[str, Tensor]) -> str:
    """Of a set that is not a whole network. arch: the size asked for."""
    spare = fit.weights.spare
    if second := [name for name in spare if _SECOND_VERSION in name.split(".")]:
        return (
            f"{file}: these are weights of ConvNeXt V2, near {fit.arch}: {len(second)} tensors are of its layer GRN, "
            f"such as {printable(second[0], 120)}. cathrt exports ConvNeXt, the first version, and leaving GRN out "
            "would change every answer: train a network of the first version and give its weights"
        )
    lines = list(_differences(fit, tensors))
    more = f"\n  and {len(lines) - _LISTED} more" if len(lines) > _LISTED else ""
    strange = len(spare) + len(fit.found.keys() - fit.expected.keys())
    other_shape = len(fit.unlike) - fit.missing - len(fit.found.keys() - fit.expected.keys())
    nearest = f"; the nearest size is {fit.arch}" if arch not in (None, fit.arch) else ""
    where = f" ({printable(fit.weights.prefix, 80)})" if fit.weights.prefix else ""
    return (
        f"{file}{where}: not the weights of {arch or fit.arch} in the names of {fit.weights.layout}, {len(lines)} "
        f"differences{nearest}. Of its {len(fit.expected)} tensors {fit.matching} match, {fit.missing} are missing, "
        f"{other_shape} have another shape; {strange} are left over:\n  "
        + "\n  ".join(lines[:_LISTED])
        + more
        + "".join(f"\n{hint}" for hint in _hints(fit, tensors))
        + "\nCheck that this is the network meant, and that all of it was saved"
    )


def _choices(fits: Sequence[SetFit]) -> str:
    names = [fit.weights.name for fit in fits]
    lines = []
    for fit in fits[:_LISTED]:
        wish = shlex.quote(printable(shortest_wish(names, fit.weights.name), 200))
        place = "" if wish == fit.weights.name else f"{printable(fit.weights.name, 200)}, "
        lines.append(
            f"\n  --state {wish}: {place}{fit.arch} in the names of {fit.weights.layout}, {fit.matching} of "
            f"{len(fit.expected)} tensors" + ("" if fit.whole else ", not whole")
        )
    return "".join(lines) + (f"\n  and {len(fits) - _LISTED} more" if len(fits) > _LISTED else "")


def _differences(fit: SetFit, tensors: Mapping[str, Tensor]) -> Iterator[str]:
    """One line for each weight that is not as expected, in the names and shapes of the file."""
    layout, names = fit.weights.layout, fit.weights.names
    for name in fit.unlike:
        theirs = names.get(name) or fit.weights.shown(str(name_in(layout, name)))
        here = _text(tuple(tensors[theirs].shape)) if name in names else "nothing"
        there = _text(shape_in(layout, name, fit.expected[name])) if name in fit.expected else "nothing"
        yield f"{printable(theirs, 120)}: found {here}, expected {there}"
    for theirs in fit.weights.spare:
        yield f"{printable(theirs, 120)}: found {_text(tuple(tensors[theirs].shape))}, expected nothing"
    for name in fit.untyped:
        value = fit.state[name]
        yield (
            f"{printable(names[name], 120)}: found {value.dtype} ({value.layout}), expected plain float32, float16 or "
            "bfloat16"
        )


def _hints(fit: SetFit, tensors: Mapping[str, Tensor]) -> Iterator[str]:
    """What may lie behind the differences, and what to do then."""
    stem = fit.state.get(STEM)
    if stem is not None and stem.ndim == 4 and stem.shape[1] not in (1, STEM_CHANNELS):
        yield (
            f"The stem reads {stem.shape[1]} channels; cathrt gives a network one grey value, which three channels may "
            "repeat. If all of them were fed the same grey value, add up the stem's weights over its channels, "
            "weight.sum(1, keepdim=True), and give that network of one channel"
        )
    if CLASSIFIER[0] not in fit.found:
        width = ARCHS[fit.arch].widths[-1]
        own = set(fit.weights.names.values())
        for theirs, value in tensors.items():
            if theirs not in own and value.ndim == 2 and value.shape[1] == width and theirs.endswith(".weight"):
                name = fit.weights.shown(str(name_in(fit.weights.layout, CLASSIFIER[0])))
                yield (
                    f"{printable(theirs, 120)} {_text(tuple(value.shape))} may be the last layer. The names do not say "
                    f"what the network computes before it: if it is nothing, or Dropout alone, save it as {name}, and "
                    "its bias likewise"
                )
                return


def _text(shape: Shape) -> str:
    return f"({', '.join('classes' if size == NO_TELLING else str(size) for size in shape)})"
