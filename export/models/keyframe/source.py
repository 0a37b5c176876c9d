"""A ConvNeXt's weights and their meaning as export takes them: graphs, float32 network, manifest.

Not for: reading the weights (checkpoint.py) or their meaning (semantics.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx

from cathrt.export.graph.fold import Feeds, Layout, canonical
from cathrt.export.model_kind import NetworkSource, SourceModel
from cathrt.export.models.keyframe.checkpoint import Checkpoint, load_checkpoint, random_checkpoint
from cathrt.export.models.keyframe.convnext import ARCHS, ConvNext
from cathrt.export.models.keyframe.outputs import SplitOutputs, outputs_of
from cathrt.export.models.keyframe.semantics import Semantics, manifest_of
from cathrt.export.models.keyframe.to_onnx import INPUT, check_against_torch, onnx_from_state
from cathrt.export.qualify.reference import Network, reference_from_module
from cathrt.export.targets.turing_head import head_as_convolution
from cathrt.runtime.bundle.manifest import Manifest
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.models.keyframe.section import CLASSIFIER, section_of


def source_of(checkpoint: Checkpoint, semantics: Semantics, *, seed: int | None) -> SourceModel:
    """seed: what random weights were drawn with, None for trained ones. Raises ConfigError where the weights have more
    or fewer rows than the semantics give a meaning to."""
    rows, outputs = checkpoint.classes, outputs_of(semantics.keyframe)
    if rows != sum(outputs.values()):
        raise ConfigError(_other_rows(rows, outputs))
    made = semantics.preprocessing
    if checkpoint.reading.stem_channels == 1 and (len(set(made.mean)) > 1 or len(set(made.std)) > 1):
        raise ConfigError(
            f"the network reads one channel, the semantics give three unlike ones: mean {list(made.mean)}, std "
            f"{list(made.std)}: give the one number of each that it was trained with, such as mean = [0.5]"
        )
    return _source(checkpoint, manifest_of(semantics, {}, {}, {}), seed)


def source_of_bundle(bundle: Bundle, weights: Path | None, state: str | None = None) -> SourceModel | None:
    """What a bundle was made of: the checkpoint, or random weights drawn anew; None where there is no telling.

    state: which set of weights, where the file holds several; None takes the one that the bundle was made of.
    Raises ConfigError where the checkpoint or the set is another one.
    """
    manifest, rows = bundle.manifest, sum(outputs_of(section_of(bundle.manifest)).values())
    chain = manifest.provenance.get("chain")
    made_of = chain.get("weights") if isinstance(chain, dict) else None
    if weights is None and manifest.random_init and manifest.provenance.get("arch") in ARCHS:
        checkpoint = random_checkpoint(manifest.provenance["arch"], rows, int(manifest.provenance["seed"]))
    elif weights is not None:
        made_of_set = _set_of(manifest)
        checkpoint = load_checkpoint(weights, state=state or made_of_set)
        if made_of_set not in (None, checkpoint.reading.chosen):
            raise ConfigError(
                f"reference: --state {state} is {checkpoint.reading.chosen}, bundle {manifest.name} was made of "
                f"{made_of_set}: leave --state out"
            )
    else:
        return None
    if checkpoint.classes != rows or made_of not in (None, checkpoint.sha256):
        raise ConfigError(
            f"reference: weights {checkpoint.sha256[:16]} of {checkpoint.classes} rows, bundle {manifest.name} was "
            f"made of {str(made_of)[:16]} and has {rows}: give --weights with the file it was exported from"
        )
    return _source(checkpoint, manifest, None)


def _source(checkpoint: Checkpoint, manifest: Manifest, seed: int | None) -> SourceModel:
    about: dict[str, Any] = {
        "arch": checkpoint.arch,
        "weights_named_as": checkpoint.layout,
        "random_init": checkpoint.layout == "random",
    }
    if seed is not None:
        about["seed"] = seed
    if read := checkpoint.reading.record():
        about["weights_read"] = read
    networks = {CLASSIFIER: _classifier(checkpoint, manifest)}
    return SourceModel(manifest, checkpoint.sha256, about, networks, checkpoint.reading.notes())


def _set_of(manifest: Manifest) -> str | None:
    """The set of weights that a bundle says it was made of, where its file held several."""
    read = manifest.provenance.get("weights_read")
    found = read.get("set") if isinstance(read, dict) else None
    return found if isinstance(found, str) else None


def _classifier(checkpoint: Checkpoint, manifest: Manifest) -> NetworkSource:
    (made,) = manifest.network(CLASSIFIER).preprocessing
    height, width, outputs = made.height, made.width, outputs_of(section_of(manifest))

    def plain(feeds: Feeds | None) -> bytes:
        data = onnx_from_state(checkpoint.state, height=height, width=width, outputs=outputs)
        if feeds is not None:
            check_against_torch(checkpoint.state, onnx.load_from_string(data), feeds[INPUT], outputs=outputs)
        return data

    def folded(model: onnx.ModelProto, layout: Layout, feeds: Feeds | None) -> onnx.ModelProto:
        found = canonical(model, layout, feeds=feeds)
        if feeds is not None:
            check_against_torch(checkpoint.state, found, feeds[INPUT], outputs=outputs)
        return found

    def reference() -> Network:
        module = ConvNext(ARCHS[checkpoint.arch], classes=checkpoint.classes)
        module.load_state_dict(dict(checkpoint.state))
        return reference_from_module(SplitOutputs(module, outputs), [made.input], list(outputs))

    identity = {
        "weights": checkpoint.sha256,
        "set": checkpoint.reading.chosen,
        "arch": checkpoint.arch,
        "height": height,
        "width": width,
        "outputs": [[name, rows] for name, rows in outputs.items()],
    }
    return NetworkSource(identity, plain, folded, reference, for_turing=head_as_convolution)


def _other_rows(rows: int, outputs: Mapping[str, int]) -> str:
    """What to do about weights of so many rows where the semantics speak of others."""
    classes, *further = outputs.values()
    if not further:
        return (
            f"the weights give {rows} classes, the semantics have {classes} labels: give --semantics FILE.toml with "
            "a label for each class, in the network's own order, and with the tables for further outputs where the "
            "network has any (docs/export.md)"
        )
    taken = ", ".join(f"{name} {count}" for name, count in outputs.items())
    return (
        f"the weights give {rows} rows, the semantics' outputs take {sum(outputs.values())} ({taken}): give a label "
        "for each class, and the tables for further outputs only where the network has them (docs/export.md)"
    )
