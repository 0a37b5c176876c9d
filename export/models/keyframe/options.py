"""The options of `cathrt export keyframe` that are its own: the weights, and what their classes mean.

Imports nothing heavy before it is called. Not for: what every kind of model is asked (commands/cli.py).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cathrt.export.model_kind import SourceModel
from cathrt.runtime.config import Config
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.outside.plain_text import shown

if TYPE_CHECKING:
    from cathrt.export.models.keyframe.semantics import Semantics

RANDOM_NAME = "keyframe-random"
_LONGEST_NAME = 100  # as semantics.Semantics takes it

# Written out, since the table itself imports torch; a test holds them equal.
ArchName = Literal[
    "convnext_atto",
    "convnext_femto",
    "convnext_pico",
    "convnext_nano",
    "convnext_tiny",
    "convnext_small",
    "convnext_base",
    "convnext_large",
]


def keyframe_source(
    settings: Config,
    arch: Annotated[ArchName, typer.Option(help="Size of the network.")],
    weights: Annotated[
        Path | None, typer.Option(readable=False, help="Checkpoint: .safetensors, .pth, .pt, .ckpt or .bin.")
    ] = None,
    state: Annotated[
        str | None,
        typer.Option(help="Set of weights in a checkpoint that holds several: ema, model, or its name."),
    ] = None,
    random_init: Annotated[bool, typer.Option("--random-init", help="Use random weights, to measure speed.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of random weights.")] = 0,
    like: Annotated[
        Path | None,
        typer.Option(
            readable=False,
            help="Bundle whose labels, thresholds and preprocessing are taken. Its name and what it is are not.",
        ),
    ] = None,
    semantics: Annotated[
        Path | None,
        typer.Option(readable=False, help="TOML file with labels, thresholds and preprocessing; see docs/export.md."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Name of the bundle. Default: the name in --semantics, or that of the weights' file."),
    ] = None,
) -> SourceModel:
    """Weights with their meaning. Raises ConfigError where one of them is missing or they do not fit each other."""
    if (weights is None) == (not random_init):
        raise ConfigError("found both or neither of --weights FILE and --random-init, expected one of them")
    if state is not None and random_init:
        raise ConfigError(f"--state {state}: names a set of weights in a checkpoint: give --weights FILE")
    from cathrt.export.models.keyframe.checkpoint import load_checkpoint, random_checkpoint
    from cathrt.export.models.keyframe.outputs import outputs_of
    from cathrt.export.models.keyframe.source import source_of

    own_name = RANDOM_NAME if weights is None else shown(weights.stem)[:_LONGEST_NAME]
    meaning = _semantics_from(settings, like, semantics, own_name, random_init=random_init)
    if name is not None:
        meaning = replace(meaning, name=name)
    rows = sum(outputs_of(meaning.keyframe).values())
    checkpoint = load_checkpoint(weights, arch, state) if weights is not None else random_checkpoint(arch, rows, seed)
    return source_of(checkpoint, meaning, seed=seed if random_init else None)


def _semantics_from(
    settings: Config, like: Path | None, file: Path | None, own_name: str, *, random_init: bool
) -> Semantics:
    """Of --like or --semantics; of the demonstration where the weights are random. Raises ConfigError otherwise.

    own_name: what to call weights whose semantics give them no name.
    """
    from cathrt.export.models.keyframe.semantics import (
        demonstration_semantics,
        semantics_from_toml,
        semantics_of_bundle,
    )
    from cathrt.runtime.bundle.shipped import shipped_keys
    from cathrt.runtime.models import open_bundle

    if like is not None and file is not None:
        raise ConfigError("found both --like and --semantics, expected one of them")
    if like is not None:
        opened = open_bundle(like, (*shipped_keys(), *settings.trust.keys))
        return semantics_of_bundle(opened, own_name, demonstration=random_init)
    if file is not None:
        return semantics_from_toml(file)
    if random_init:
        return demonstration_semantics(own_name)
    raise ConfigError(
        "the weights do not say what their classes mean: give --like BUNDLE, of the same classes in the same "
        "order, or --semantics FILE.toml (docs/export.md)"
    )
