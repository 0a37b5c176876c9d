"""The options of `cathrt export report` that are its own: checkpoint, adapter, weights' form, prompts, sizes.

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

PrecisionName = Literal["fp32", "bf16", "fp16", "int8", "int4"]
PRECISIONS: dict[str, Precision] = {
    "fp32": "float32",
    "bf16": "bfloat16",
    "fp16": "float16",
    "int8": "int8",
    "int4": "int4",
}
_POSITIONS = "Positions of prompt and answer together."


def report_export(
    request: OwnRequest,
    base: Annotated[
        Path, typer.Option(readable=False, help="Folder of a Gemma3 model: config.json, safetensors, tokenizer.json.")
    ],
    precision: Annotated[PrecisionName, typer.Option(help="What weights are stored in; see docs/export.md.")],
    context: Annotated[int, typer.Option(min=64, max=131_072, help=_POSITIONS)],
    lora: Annotated[
        Path | None, typer.Option(readable=False, help="Folder of a PEFT adapter, which is merged into the base.")
    ] = None,
    block: Annotated[
        str | None,
        typer.Option(
            help="int8 and int4: how many weights share a scale, 32, 64 or 128. Default: 32 in int4, and one scale for "
            "each output channel in int8."
        ),
    ] = None,
    rest: Annotated[
        RestName, typer.Option(help="What int8 and int4 in OpenVINO multiply in; bf16 if the CPU has it.")
    ] = "fp32",
    prompts: Annotated[
        Path | None, typer.Option(readable=False, help="TOML file with the prompts. Default: those of cathrt.")
    ] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(readable=False, help="The model's tokenizer.json. Default: that of --base.")
    ] = None,
    pictures: Annotated[int, typer.Option(min=1, max=8, help="Most key frames in one prompt.")] = 2,
    answer: Annotated[int, typer.Option(min=16, max=8192, help="Most tokens of one answer.")] = 480,
    prefill: Annotated[
        str | None,
        typer.Option(help="Sizes in which a prompt is computed, such as 64,256. Default: what fits a picture."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the bundle. Default: that of the base's folder.")] = None,
    worth: Annotated[
        Path | None,
        typer.Option(readable=False, help="Output of benchmarks.report_quality --json for a bundle of these weights."),
    ] = None,
    card: CardOption = None,
    training: TrainingOption = None,
    demonstration: DemonstrationOption = False,
    random_init: Annotated[
        bool,
        typer.Option("--random-init", help="The weights were never trained: for measuring speed, results are refused."),
    ] = False,
) -> tuple[Exported, ...]:
    """The bundle, one Exported a target. Raises ConfigError for what cannot be exported, EngineError where a network
    cannot hold the weights, ManifestError where `out` holds another bundle."""
    from cathrt.export.models.report.asked import Asked, block_from, sizes_from
    from cathrt.export.models.report.recipe import export_report

    asked = Asked(
        base=base,
        lora=lora,
        precision=PRECISIONS[precision],
        context=context,
        block=block_from(block, PRECISIONS[precision]),
        rest=RESTS[rest],
        prompts=prompts,
        tokenizer=tokenizer,
        pictures=pictures,
        answer=answer,
        prefill=sizes_from(prefill),
        name=name,
        worth=worth,
        card=card,
        training=training,
        demonstration=demonstration,
        random_init=random_init,
    )
    return export_report(request, asked)
