"""What the export commands are given, as the recipe takes it; and the bar that shows how far they are.

Imports torch and onnx; the command line imports it only when one of these commands runs (cli.py). Not for: options of
the runtime's commands (cathrt.runtime.commands.options).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from cathrt.export.graph.fold import Target
from cathrt.export.models.keyframe.checkpoint import load_checkpoint, random_checkpoint
from cathrt.export.models.keyframe.comparison import Precision
from cathrt.export.models.keyframe.convnext import ARCHS
from cathrt.export.models.keyframe.gate import GATES, Gate, tightened
from cathrt.export.models.keyframe.semantics import (
    Semantics,
    demonstration_semantics,
    semantics_from_toml,
    semantics_of_bundle,
)
from cathrt.export.qualify.measure import reference_from_onnx
from cathrt.export.recipe.judging import Reference, reference_of
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.commands.options import bundle_at, say
from cathrt.runtime.commands.standard_streams import styled
from cathrt.runtime.config import Config
from cathrt.runtime.engines.cpu import cpu_quota
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.models.keyframe.section import CLASSIFIER, section_of

RANDOM_NAME = "keyframe-random"

Say = Callable[[str], None]
Advance = Callable[[str, int, int], None]


def semantics_from(
    like: Path | None, file: Path | None, name: str | None, settings: Config, *, random_init: bool
) -> Semantics:
    """Of --like or --semantics; of the demonstration where the weights are random. Raises ConfigError otherwise."""
    if like is not None and file is not None:
        raise ConfigError("found both --like and --semantics, expected one of them")
    if like is not None:
        found = semantics_of_bundle(bundle_at(like, settings))
    elif file is not None:
        found = semantics_from_toml(file)
    elif random_init:
        found = demonstration_semantics(RANDOM_NAME)
    else:
        raise ConfigError(
            "the weights do not say what their classes mean: give --like BUNDLE, of the same classes in the same "
            "order, or --semantics FILE.toml (docs/export.md)"
        )
    return found if name is None else replace(found, name=name)


def gate_from(precision: Precision, limits: Sequence[str]) -> Gate:
    """The precision's gate with limits such as "agreement=0.995" made stricter. Raises ConfigError."""
    found: dict[str, float] = {}
    for limit in limits:
        name, equals, value = limit.partition("=")
        try:
            number = float(value)
        except ValueError as exc:
            raise ConfigError(f"--gate {limit}: expected NAME=NUMBER, such as agreement=0.995") from exc
        if not equals or name in found:
            raise ConfigError(f"--gate {limit}: expected NAME=NUMBER, each name once")
        found[name] = number
    return tightened(GATES[precision], **found)


def sm_from(text: str | None, targets: Sequence[Target]) -> tuple[int, ...]:
    """Compute capabilities out of "86,89,120". Raises ConfigError for other text, or where no target needs them."""
    if text is None:
        return ()
    if not any(target.startswith("tensorrt") for target in targets):
        raise ConfigError(f"--sm {text}: only TensorRT plans are built for a device, found none among the targets")
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise ConfigError(f"--sm {text}: expected compute capabilities without a dot, such as 86,89,120")
    return tuple(int(part) for part in parts)


def reference_for(bundle: Bundle, weights: Path | None) -> Reference:
    """The float32 network that a bundle is held against: the checkpoint it was made of, or what it holds itself.

    Raises ConfigError where the checkpoint is another one, or there is none and the bundle holds no float32 graph.
    """
    manifest, classes = bundle.manifest, len(section_of(bundle.manifest).labels)
    chain = manifest.provenance.get("chain")
    made_of = chain.get("weights") if isinstance(chain, dict) else None
    if weights is None and manifest.random_init and manifest.provenance.get("arch") in ARCHS:
        checkpoint = random_checkpoint(manifest.provenance["arch"], classes, int(manifest.provenance["seed"]))
    elif weights is not None:
        checkpoint = load_checkpoint(weights)
    else:
        return _own_graph(bundle)
    if checkpoint.classes != classes or made_of not in (None, checkpoint.sha256):
        raise ConfigError(
            f"reference: weights {checkpoint.sha256[:16]} of {checkpoint.classes} classes, bundle {manifest.name} was "
            f"made of {str(made_of)[:16]} and has {classes}: give --weights with the file it was exported from"
        )
    return reference_of(checkpoint)


def _own_graph(bundle: Bundle) -> Reference:
    manifest = bundle.manifest
    for engine, artifact in sorted(manifest.network(CLASSIFIER).artifacts.items()):
        # OpenVINO gets its bfloat16 by a hint: its graph is the float32 one.
        float32 = artifact.precision == "float32" or (engine, artifact.precision) == ("openvino", "bfloat16")
        if float32 and artifact.file.endswith(".onnx"):
            network = reference_from_onnx(bundle.read(artifact.file), cpu_quota())
            name = f"{artifact.file} itself, in float32 in ONNX Runtime"
            return Reference(network, name, manifest.files[artifact.file])
    raise ConfigError(
        f"bundle {manifest.name} holds no float32 graph to be compared with: give --weights with the file it was "
        "exported from"
    )


@contextmanager
def stage_bar(*, shown: bool) -> Iterator[tuple[Say, Advance]]:
    """Two functions: one says a line above the bar, the other moves it (what, done, total).

    Without a terminal on stderr there is no bar, and the lines are all; with --json not even these.
    """
    if not shown:
        yield (lambda text: None), (lambda what, done, total: None)
        return
    if not sys.stderr.isatty():
        yield say, (lambda what, done, total: None)
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(file=styled(sys.stderr)), transient=True) as bar:
        task = bar.add_task("building", total=None)
        yield say, (lambda what, done, total: bar.update(task, description=what, completed=done, total=total))
