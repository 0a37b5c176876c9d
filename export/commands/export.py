"""`cathrt export <kind>`: a command for each kind of model, of the kind's own options and of those that all share.

Imports nothing heavy before a command runs. Not for: the stages (recipe/).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cathrt.export.commands.options import (
    PRECISIONS,
    TARGETS,
    GateOption,
    PhantomsOption,
    PrecisionName,
    QualifyOnOption,
    TargetName,
    print_record,
    require_extra,
)
from cathrt.export.model_kind import ExportKind
from cathrt.runtime.commands.options import ConfigOption, JsonOption, say, show
from cathrt.runtime.models import load_config

if TYPE_CHECKING:
    from cathrt.export.recipe.recipe import Exported

_GIVEN = ("row", "own")  # of _export: not typed by anybody


def export_commands(kinds: Mapping[str, ExportKind]) -> typer.Typer:
    """The group `export` with a command for each kind."""
    group = typer.Typer(
        name="export",
        help="Make qualified, signed bundles from weights.\n\nNeeds the [export] extra.",
        no_args_is_help=True,
        rich_markup_mode=None,
        epilog="Exit codes as for all commands; 10: a gate was missed, its report is written and nothing is signed.",
    )
    group.callback()(lambda: None)  # or a group of one command would be that command
    for kind, row in kinds.items():
        group.command(kind, help=row.help)(_command(row))
    return group


def _export(
    precision: Annotated[PrecisionName, typer.Option(help="Precision to compute in.")],
    target: Annotated[list[TargetName], typer.Option(help="Engine to build for. May be repeated.")],
    out: Annotated[
        Path,
        typer.Option(
            readable=False, help="Folder for bundles, reports and finished stages. The same command goes on from these."
        ),
    ],
    calibrate: Annotated[
        Path | None, typer.Option(readable=False, help="Folder of runs to calibrate int8 on. Default: generated runs.")
    ] = None,
    calibration_frames: Annotated[int, typer.Option(min=1, help="Frames to calibrate int8 on.")] = 64,
    weight_bits: Annotated[
        int, typer.Option(min=7, max=8, help="Bits of int8 weights. 7 also runs on x86 CPUs without VNNI.")
    ] = 8,
    qualify_on: QualifyOnOption = None,
    qualify_phantoms: PhantomsOption = 120,
    sm: Annotated[str | None, typer.Option(help="Compute capabilities to build plans for, such as 86,89,120.")] = None,
    gate: GateOption = None,
    sign: Annotated[
        Path | None,
        typer.Option(
            readable=False, help="Private key. Without it the result is unsigned, and the runtime refuses it."
        ),
    ] = None,
    json_: JsonOption = False,
    config: ConfigOption = None,
    *,
    row: ExportKind,
    own: Mapping[str, Any],
) -> None:
    """The options that all kinds share, and what they do. own: what was given for the kind's own options."""
    require_extra()
    settings = load_config(config)
    from cathrt.export.bundle.sign import load_key
    from cathrt.export.commands.arguments import gate_from, sm_from, stage_bar
    from cathrt.export.quantize.int8 import Int8Settings
    from cathrt.export.recipe.qualification import Qualifying, qualification_set
    from cathrt.export.recipe.recipe import ExportRequest, GateError, export_model
    from cathrt.export.recipe.stages import CalibrationFrom
    from cathrt.export.recipe.targets import Recipe

    key = load_key(sign) if sign is not None else None
    model, port, wanted = row.source(settings, **own), row.port(), PRECISIONS[precision]
    for note in model.notes:
        say(note)
    targets = tuple(TARGETS[one] for one in target)
    recipe = Recipe(
        model=model,
        port=port,
        precision=wanted,
        targets=targets,
        gates={role: gate_from(criteria.gates[wanted], gate or []) for role, criteria in port.criteria.items()},
        calibration=CalibrationFrom(calibration_frames, calibrate),
        limits=settings.limits,
        sm=sm_from(sm, targets),
        int8=Int8Settings(weight_bits=7 if weight_bits == 7 else 8),
    )
    qualifying = Qualifying(qualification_set(qualify_phantoms, qualify_on, settings, port.truths), settings)
    with stage_bar(shown=not json_) as (told, advance):

        def stage(done: str, how: str) -> None:
            if json_:
                print_record({"type": "stage", "stage": done, "how": how})
            told(f"{done}: {how}")

        exported = export_model(ExportRequest(recipe, out, qualifying, key), stage, advance)
    for one in exported:
        _show(one, json_=json_)
    if missed := [one for one in exported if one.failures]:
        raise GateError(
            "not signed, the gate is missed: "
            + "; ".join(f"{one.target}: {' | '.join(one.failures)} (see {one.report})" for one in missed)
        )


def _command(row: ExportKind) -> Callable[..., None]:
    """A command of a kind's own options, but for the configuration, and of those that all kinds share."""
    own = list(inspect.signature(row.source, eval_str=True).parameters.values())[1:]
    shared = [one for one in inspect.signature(_export, eval_str=True).parameters.values() if one.name not in _GIVEN]

    def command(**given: Any) -> None:
        mine = {one.name: given.pop(one.name) for one in own}
        _export(**given, row=row, own=mine)

    parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (*own, *shared)]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what typer reads
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    return command


def _show(one: Exported, *, json_: bool) -> None:
    if json_:
        verdict = {"passed": not one.failures, "failures": one.failures, "signed": one.signed}
        places = {"path": None if one.path is None else str(one.path), "report": str(one.report)}
        print_record({"type": "export", "target": one.target, **verdict, **places, "not_run": one.not_run or None})
    elif one.path is not None:
        show(f"{one.target}: {one.path}, qualified in {one.report}")
    if one.not_run:
        say(f"{one.target}: {one.not_run}")
    if one.path is not None and not one.signed:
        say(f"{one.target}: NOT SIGNED, and the runtime refuses {one.path}: give --sign KEY")
