"""Options that several kinds of model with an export of their own have in common, as typer takes them.

Imports nothing heavy. Not for: what every kind is asked (commands/options.py), what only one kind has (its options.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from cathrt.runtime.bundle.manifest import Rest

RestName = Literal["fp32", "bf16"]
RESTS: dict[RestName, Rest] = {"fp32": "float32", "bf16": "bfloat16"}

CardOption = Annotated[
    Path | None,
    typer.Option("--card", readable=False, help="Model card, Markdown; goes into the bundle as MODEL_CARD.md."),
]
TrainingOption = Annotated[
    Path | None,
    typer.Option(
        "--training", readable=False, help="JSON that says how the weights were trained; goes into the provenance."
    ),
]
DemonstrationOption = Annotated[
    bool, typer.Option("--demonstration", help="Weights that only demonstrate, and are not for reading angiograms.")
]
