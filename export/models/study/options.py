"""The options of `cathrt export study` that are its own: checkpoint, product, what int8 takes, what stands in gaps.

Imports nothing heavy before it is called. Not for: what every kind of model is asked (commands/export.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from cathrt.export.bundle.own_options import RESTS, CardOption, DemonstrationOption, RestName, TrainingOption
from cathrt.export.model_kind import OwnRequest
from cathrt.export.qualify.exported import Exported
from cathrt.runtime.bundle.manifest import Precision
from cathrt.runtime.errors import ConfigError

ProductName = Literal["generic", "stenosis", "cto", "syntax", "mace", "cathef", "deeprv", "deepifr", "demonstration"]
PrecisionName = Literal["fp32", "bf16", "fp16", "int8"]
_PRECISIONS: dict[str, Precision] = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16", "int8": "int8"}
EncoderName = Literal["mvit_v2_s", "mvit_v2_mini", "mvit_v2_demo"]


def study_export(
    request: OwnRequest,
    product: Annotated[ProductName, typer.Option(help="What the weights were trained to answer.")],
    precision: Annotated[PrecisionName, typer.Option(help="Precision to compute in; see docs/export.md.")],
    checkpoint: Annotated[
        Path | None,
        typer.Option(readable=False, help="Probing checkpoint: .safetensors, .pth, .pt, .ckpt or .bin."),
    ] = None,
    random_init: Annotated[
        bool, typer.Option("--random-init", help="Random weights instead, for measuring speed: results are refused.")
    ] = False,
    encoder: Annotated[EncoderName, typer.Option(help="Network of --random-init.")] = "mvit_v2_s",
    settings: Annotated[
        Path | None,
        typer.Option(readable=False, help="TOML file with numbers and questions that take the product's place."),
    ] = None,
    attend_empty: Annotated[
        bool,
        typer.Option("--attend-empty", help="Let places without a run count as empty clips, as some releases do."),
    ] = False,
    layers: Annotated[
        Literal["linears", "mlps"], typer.Option(help="int8: all linear layers of the blocks, or their MLPs alone.")
    ] = "linears",
    weight_bits: Annotated[
        int, typer.Option(min=7, max=8, help="Bits of int8 weights. 7 also runs on x86 CPUs without VNNI.")
    ] = 8,
    rest: Annotated[
        RestName, typer.Option(help="What int8 in OpenVINO computes between its int8 layers; bf16 if the CPU has it.")
    ] = "fp32",
    name: Annotated[str | None, typer.Option(help="Name of the bundle. Default: that of the checkpoint.")] = None,
    worth: Annotated[
        Path | None,
        typer.Option(readable=False, help="Output of benchmarks.study_accuracy --json for a bundle of these weights."),
    ] = None,
    card: CardOption = None,
    training: TrainingOption = None,
    demonstration: DemonstrationOption = False,
) -> tuple[Exported, ...]:
    """The bundle, one Exported a target. Raises ConfigError for what cannot be exported, CheckpointError for weights of
    another network, ManifestError where `out` holds another bundle."""
    from cathrt.export.models.study.asked import Asked
    from cathrt.export.models.study.recipe import export_study

    if (checkpoint is None) is not random_init:
        raise ConfigError("--checkpoint and --random-init: found both or neither, expected one of them")
    asked = Asked(
        product=product,
        precision=_PRECISIONS[precision],
        checkpoint=checkpoint,
        encoder=encoder,
        settings=settings,
        empty="attended" if attend_empty else "hidden",
        layers=layers,
        weight_bits=7 if weight_bits == 7 else 8,
        rest=RESTS[rest],
        name=name,
        worth=worth,
        card=card,
        training=training,
        demonstration=demonstration,
    )
    return export_study(request, asked)
