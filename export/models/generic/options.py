"""The options of `cathrt export generic` that are its own: the model, and what runs optimum-onnx.

Imports nothing heavy before it is called. Not for: what every kind of model is asked (commands/cli.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from cathrt.export.model_kind import SourceModel
from cathrt.runtime.config import Config

WindowName = Literal["voi_else_percentile", "percentile"]  # as Preprocessing.window


def generic_source(
    settings: Config,  # noqa: ARG001 (every kind takes it)
    weights: Annotated[
        Path,
        typer.Option(
            "--model", readable=False, help="Folder as save_pretrained leaves it: config, weights, preprocessor."
        ),
    ],
    optimum_python: Annotated[
        Path | None,
        typer.Option(readable=False, help="Python of an environment that has optimum-onnx; see docs/export.md."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the bundle. Default: that of the model's folder.")] = None,
    random_init: Annotated[
        bool,
        typer.Option("--random-init", help="The weights were never trained: for measuring speed, results are refused."),
    ] = False,
    window: Annotated[
        WindowName, typer.Option(help="How stored values become grey: by the object's VOI where it has one, or never.")
    ] = "voi_else_percentile",
    approximate_resample: Annotated[
        bool,
        typer.Option(
            "--approximate-resample",
            help="Resize with the antialiased bilinear filter where the model asks for another one; what that changes "
            "is measured and recorded.",
        ),
    ] = False,
) -> SourceModel:
    """The model as it can be exported. Raises ConfigError for one that cannot be represented, EngineError where
    optimum-onnx or its graph fails."""
    from cathrt.export.models.generic.source import Asked, source_of

    return source_of(weights, optimum_python, Asked(name, random_init, window, approximate_resample))
