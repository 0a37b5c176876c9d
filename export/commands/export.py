"""`cathrt export <kind>`: a command for each kind of model, of the kind's own options and of those that all share.

Imports nothing heavy before a command runs. Not for: the stages (recipe/).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cathrt.export.bundle.own_options import RESTS, RestName
from cathrt.export.commands.options import (
    FIDELITY_SAYS,
    OWN_TARGETS,
    PHANTOM_RUNS,
    PRECISIONS,
    TARGETS,
    WORTH_SAYS,
    CacheOption,
    GateOption,
    OutOption,
    OwnTargetsOption,
    PhantomsOption,
    PrecisionName,
    QualifyOnOption,
    SignAnywayOption,
    SignOption,
    SmOption,
    TargetsOption,
    print_record,
    require_extra,
)
from cathrt.export.model_kind import ExportKind, OwnExport, OwnRequest
from cathrt.runtime.commands.help import GroupWithWholeSummaries
from cathrt.runtime.commands.options import ConfigOption, JsonOption, say, show
from cathrt.runtime.models import load_config

if TYPE_CHECKING:
    from cathrt.export.qualify.exported import Exported

_GIVEN = ("row", "own")  # of _export and _export_own: not typed by anybody


def export_commands(kinds: Mapping[str, ExportKind | OwnExport]) -> typer.Typer:
    """The group `export` with a command for each kind."""
    group = typer.Typer(
        name="export",
        help="Make qualified, signed bundles from weights.\n\nNeeds the [export] extra.",
        no_args_is_help=True,
        rich_markup_mode=None,
        cls=GroupWithWholeSummaries,
        epilog="Exit codes as for all commands; 10: nothing is signed, and the report says why: the gate was missed, "
        "there was too little to decide it by, or the network is no better than chance.",
    )
    group.callback()(lambda: None)  # or a group of one command would be that command
    for kind, row in kinds.items():
        group.command(kind, help=row.help)(_command(row))
    return group


def _export(
    precision: Annotated[PrecisionName, typer.Option(help="Precision to compute in.")],
    target: TargetsOption,
    out: OutOption,
    calibrate: Annotated[
        Path | None, typer.Option(readable=False, help="Folder of runs to calibrate int8 on. Default: generated runs.")
    ] = None,
    calibration_frames: Annotated[int, typer.Option(min=1, help="Frames to calibrate int8 on.")] = 64,
    weight_bits: Annotated[
        int, typer.Option(min=7, max=8, help="Bits of int8 weights. 7 also runs on x86 CPUs without VNNI.")
    ] = 8,
    rest: Annotated[
        RestName,
        typer.Option(help="What int8 in OpenVINO computes in between its int8 layers; bf16 if the CPU has it."),
    ] = "fp32",
    qualify_on: QualifyOnOption = None,
    qualify_phantoms: PhantomsOption = PHANTOM_RUNS,
    cache: CacheOption = None,
    sm: SmOption = None,
    gate: GateOption = None,
    sign: SignOption = None,
    sign_anyway: SignAnywayOption = False,
    json_: JsonOption = False,
    config: ConfigOption = None,
    *,
    row: ExportKind,
    own: Mapping[str, Any],
) -> None:
    """The options of all kinds that recipe/ takes, and what they do. own: what was given for the kind's own options."""
    require_extra()
    settings = load_config(config)
    from cathrt.export.bundle.sign import load_key
    from cathrt.export.commands.arguments import gate_from, sm_from
    from cathrt.export.commands.progress import stage_bar
    from cathrt.export.qualify.kept import Kept, user_cache
    from cathrt.export.quantize.int8 import Int8Settings
    from cathrt.export.recipe.qualification import Qualifying, qualification_set
    from cathrt.export.recipe.recipe import ExportRequest, export_model
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
        rest=RESTS[rest],
    )
    kept = Kept(cache or user_cache())
    runs = qualification_set(qualify_phantoms, qualify_on, settings, port.truths, kept)
    qualifying = Qualifying(runs, settings, kept=kept)
    with stage_bar(lines=not json_) as (told, advance):
        request = ExportRequest(recipe, out, qualifying, key, sign_anyway)
        exported = export_model(request, _stage(told, json_=json_), advance)
    _show_all(exported, json_=json_)


def _export_own(
    target: OwnTargetsOption,
    out: OutOption,
    sm: SmOption = None,
    gate: GateOption = None,
    sign: SignOption = None,
    sign_anyway: SignAnywayOption = False,
    json_: JsonOption = False,
    config: ConfigOption = None,
    *,
    row: OwnExport,
    own: Mapping[str, Any],
) -> None:
    """The options that all kinds share, for one that goes a way of its own."""
    require_extra()
    settings = load_config(config)
    from cathrt.export.bundle.sign import load_key
    from cathrt.export.commands.arguments import limits_from, sm_from
    from cathrt.export.commands.progress import stage_bar

    key, targets = load_key(sign) if sign is not None else None, tuple(OWN_TARGETS[one] for one in target)
    sms, limits = sm_from(sm, targets), limits_from(gate or [])
    with stage_bar(lines=not json_) as (told, advance):
        stage = _stage(told, json_=json_)
        request = OwnRequest(settings, targets, out, sms, limits, key, sign_anyway, stage, say, advance)
        exported = row.export(request, **own)
    _show_all(exported, json_=json_)


def _command(row: ExportKind | OwnExport) -> Callable[..., None]:
    """A command of a kind's own options, but for what is handed to it first, and of those that all kinds share."""
    mine: Callable[..., Any] = row.source if isinstance(row, ExportKind) else row.export
    shared_by: Callable[..., None] = _export if isinstance(row, ExportKind) else _export_own
    own = list(inspect.signature(mine, eval_str=True).parameters.values())[1:]
    shared = [one for one in inspect.signature(shared_by, eval_str=True).parameters.values() if one.name not in _GIVEN]

    def command(**given: Any) -> None:
        shared_by(own={one.name: given.pop(one.name) for one in own}, row=row, **given)

    parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (*own, *shared)]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what typer reads
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    return command


def _stage(told: Callable[[str], None], *, json_: bool) -> Callable[[str, str], None]:
    """Says that a stage is done, and how."""

    def stage(done: str, how: str) -> None:
        if json_:
            print_record({"type": "stage", "stage": done, "how": how})
        told(f"{done}: {how}")

    return stage


def _show_all(exported: Sequence[Exported], *, json_: bool) -> None:
    """Raises GateError where one of them was not signed for its verdicts."""
    from cathrt.export.recipe.recipe import GateError

    for one in exported:
        _show(one, json_=json_)
    if refused := [f"{one.target}: {_why_not(one)} (see {one.report})" for one in exported if one.path is None]:
        raise GateError(f"not signed: {'; '.join(refused)}")


def _why_not(one: Exported) -> str:
    if one.fidelity != "passed":
        return f"{FIDELITY_SAYS[one.fidelity]}: {' | '.join(one.failures)}"
    return f"{WORTH_SAYS[one.worth]}: train it, give more runs, or sign it with --sign-anyway"


def _show(one: Exported, *, json_: bool) -> None:
    if json_:
        verdict: dict[str, Any] = {"passed": not one.failures, "fidelity": one.fidelity, "failures": one.failures}
        verdict |= {"worth": one.worth, "signed": one.signed}
        places = {"path": None if one.path is None else str(one.path), "report": str(one.report)}
        print_record({"type": "export", "target": one.target, **verdict, **places, "not_run": one.not_run or None})
    else:
        show(f"{one.target}: {FIDELITY_SAYS[one.fidelity]}; {WORTH_SAYS[one.worth]}")
        for line in one.accuracy:
            show(f"  {line}")
        if one.path is not None:
            show(f"{one.target}: {one.path}, qualified in {one.report}")
    if one.not_run:
        say(f"{one.target}: {one.not_run}")
    if one.path is not None and not one.signed:
        say(f"{one.target}: NOT SIGNED, and the runtime refuses {one.path}: give --sign KEY")
