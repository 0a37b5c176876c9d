"""The installed `cathrt`: the runtime's commands, and with the [export] extra `export keyframe` and `qualify`.

Imports nothing heavy before one of its own commands runs, so that `cathrt replay` starts as it does without it.
Not for: what the commands do (recipe/).
"""

from __future__ import annotations

from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cathrt.runtime.alert import NOTICE
from cathrt.runtime.commands.cli import app
from cathrt.runtime.commands.cli import main as runtime_main
from cathrt.runtime.commands.options import ConfigOption, JsonOption, bundle_at, say, show, show_json
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.models import load_config
from cathrt.runtime.outside.output_files import output_folder

if TYPE_CHECKING:
    from cathrt.export.graph.fold import Target
    from cathrt.export.models.keyframe.comparison import Precision
    from cathrt.export.recipe.recipe import Exported

_EXTRA = ("torch", "onnx", "safetensors")
# Written out, since the tables themselves import torch and onnx; a test holds them equal.
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
PrecisionName = Literal["fp32", "bf16", "fp16", "int8"]


class TargetName(StrEnum):
    """As cathrt.export.graph.fold.Target; typer takes a list of an enumeration's values, but not of a Literal's."""

    OPENVINO = "openvino"
    ONNXRUNTIME = "onnxruntime"
    TENSORRT_RTX = "tensorrt-rtx"
    TENSORRT = "tensorrt"


TARGETS: dict[TargetName, Target] = {
    TargetName.OPENVINO: "openvino",
    TargetName.ONNXRUNTIME: "onnxruntime",
    TargetName.TENSORRT_RTX: "tensorrt-rtx",
    TargetName.TENSORRT: "tensorrt",
}
PRECISIONS: dict[str, Precision] = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16", "int8": "int8"}

JudgeOption = Annotated[
    Path | None,
    typer.Option("--judge", readable=False, help="Folder of runs to judge by beside the held-out phantom runs."),
]
PhantomsOption = Annotated[
    int, typer.Option("--judge-phantoms", min=0, max=10_000, help="Held-out phantom runs to judge by.")
]
GateOption = Annotated[
    list[str] | None,
    typer.Option("--gate", help="A limit made stricter, such as agreement=0.995. May be given several times."),
]
WeightsOption = Annotated[
    Path | None,
    typer.Option("--weights", readable=False, help="Checkpoint: .safetensors, .pth, .pt or .bin of weights alone."),
]

export_app = typer.Typer(
    name="export",
    help="Weights to qualified, signed bundles. Needs the [export] extra.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog="Exit codes as for all commands; 10: a gate was missed, its report is written and nothing is signed.",
)
app.add_typer(export_app)


@export_app.command("keyframe")
def keyframe_command(
    arch: Annotated[ArchName, typer.Option(help="Size of the network.")],
    precision: Annotated[PrecisionName, typer.Option(help="What to compute in; int8 needs calibration frames.")],
    target: Annotated[list[TargetName], typer.Option(help="Engine to build for. May be given several times.")],
    out: Annotated[
        Path, typer.Option(readable=False, help="Folder: bundles, reports, and finished stages to go on from.")
    ],
    weights: WeightsOption = None,
    random_init: Annotated[bool, typer.Option("--random-init", help="Random weights, to measure speed only.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of random weights.")] = 0,
    like: Annotated[
        Path | None, typer.Option(readable=False, help="Bundle to take labels, thresholds, preprocessing from.")
    ] = None,
    semantics: Annotated[
        Path | None, typer.Option(readable=False, help="TOML file with these; see docs/export.md.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the bundle. Default: that of the semantics.")] = None,
    calibrate: Annotated[
        Path | None, typer.Option(readable=False, help="Folder of runs to calibrate int8 on. Default: the phantom.")
    ] = None,
    calibration_frames: Annotated[int, typer.Option(min=1, help="Frames to calibrate int8 on.")] = 64,
    weight_bits: Annotated[
        int, typer.Option(min=7, max=8, help="Of int8 weights: 7 for x86 CPUs without VNNI, which need it.")
    ] = 8,
    judge: JudgeOption = None,
    judge_phantoms: PhantomsOption = 120,
    sm: Annotated[str | None, typer.Option(help="Compute capabilities to build plans for: 86,89,120.")] = None,
    gate: GateOption = None,
    sign: Annotated[
        Path | None, typer.Option(readable=False, help="Private key; without it the files stay unsigned.")
    ] = None,
    json_: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """A ConvNeXt keyframe network to a bundle for each target, judged against the float32 network and signed."""
    _require_extra()
    settings = load_config(config)
    if (weights is None) == (not random_init):
        raise ConfigError("found both or neither of --weights FILE and --random-init, expected one of them")
    from cathrt.export.bundle.sign import load_key
    from cathrt.export.commands.arguments import gate_from, semantics_from, sm_from, stage_bar
    from cathrt.export.models.keyframe.checkpoint import load_checkpoint, random_checkpoint
    from cathrt.export.quantize.int8 import Int8Settings
    from cathrt.export.recipe.judging import Judging, judge_set
    from cathrt.export.recipe.recipe import ExportRequest, GateError, export_keyframe
    from cathrt.export.recipe.stages import CalibrationFrom
    from cathrt.export.recipe.targets import Recipe

    key = load_key(sign) if sign is not None else None
    meaning = semantics_from(like, semantics, name, settings, random_init=random_init)
    labels = len(meaning.keyframe.labels)
    checkpoint = load_checkpoint(weights, arch) if weights is not None else random_checkpoint(arch, labels, seed)
    wanted = PRECISIONS[precision]
    targets = tuple(TARGETS[one] for one in target)
    recipe = Recipe(
        checkpoint=checkpoint,
        semantics=meaning,
        precision=wanted,
        targets=targets,
        gate=gate_from(wanted, gate or []),
        calibration=CalibrationFrom(calibration_frames, calibrate),
        limits=settings.limits,
        sm=sm_from(sm, targets),
        seed=seed if random_init else None,
        int8=Int8Settings(weight_bits=7 if weight_bits == 7 else 8),
    )
    judging = Judging(judge_set(judge_phantoms, judge, settings), settings)
    with stage_bar(shown=not json_) as (told, advance):

        def stage(done: str, how: str) -> None:
            if json_:
                _print({"type": "stage", "stage": done, "how": how})
            told(f"{done}: {how}")

        exported = export_keyframe(ExportRequest(recipe, out, judging, key), stage, advance)
    for one in exported:
        _show(one, json_=json_)
    if missed := [one for one in exported if one.failures]:
        raise GateError(
            "not signed, the gate is missed: "
            + "; ".join(f"{one.target}: {' | '.join(one.failures)} (see {one.report})" for one in missed)
        )


@app.command("qualify")
def qualify_command(
    bundle: Annotated[Path, typer.Argument(readable=False, help="A signed bundle.")],
    judge: JudgeOption = None,
    judge_phantoms: PhantomsOption = 120,
    weights: WeightsOption = None,
    gate: GateOption = None,
    out: Annotated[Path, typer.Option(readable=False, help="Folder for the reports, one for each engine.")] = Path(
        "qualification"
    ),
    json_: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Judge a bundle's every engine against the float32 network; leaves a report for each. Signs nothing."""
    _require_extra()
    settings = load_config(config)
    from cathrt.export.commands.arguments import gate_from, reference_for, stage_bar
    from cathrt.export.quantize.layer_errors import layer_errors_of_bundle
    from cathrt.export.recipe.judging import Judging, judge_set, judged, not_run, write_report
    from cathrt.export.recipe.recipe import GateError
    from cathrt.runtime.models.keyframe.section import CLASSIFIER

    opened = bundle_at(bundle, settings)
    output_folder(out)
    reference = reference_for(opened, weights)
    judging = Judging(judge_set(judge_phantoms, judge, settings), settings)
    missed = []
    with stage_bar(shown=not json_) as (told, advance):
        for engine, artifact in sorted(opened.manifest.network(CLASSIFIER).artifacts.items()):

            def seen(done: int, total: int, what: str = f"judging {engine}") -> None:
                advance(what, done, total)

            limits, note = gate_from(artifact.precision, gate or []), not_run(opened, engine)
            layers = layer_errors_of_bundle(opened, engine, reference.checkpoint)
            found = judged(opened, engine, reference, judging, layers, seen)
            report = out / f"{engine}.report"
            failures = write_report(report, found, limits, note)
            if json_:
                verdict = {"passed": not failures, "failures": failures, "not_run": note or None}
                _print({"type": "qualification", "engine": engine, **verdict, "report": str(report)})
            else:
                told(f"{engine}: {'missed its gate' if failures else 'passed'}, see {report}")
            if note:
                say(f"{engine}: {note}")
            if failures:
                missed.append(f"{engine}: {' | '.join(failures)} (see {report})")
    if missed:
        raise GateError(f"the gate is missed: {'; '.join(missed)}")


@app.command("join")
def join_command(
    base: Annotated[
        Path, typer.Argument(readable=False, help="Signed bundle whose name, card and training record stay.")
    ],
    sign: Annotated[Path, typer.Option(readable=False, help="Private key to sign the joined bundle with.")],
    out: Annotated[Path, typer.Option(readable=False, help="Folder to write; must not exist.")],
    others: Annotated[
        list[Path] | None, typer.Argument(readable=False, help="Signed bundles of the same weights, of other engines.")
    ] = None,
    real: Annotated[
        Path | None,
        typer.Option(
            readable=False, help="What benchmarks.accuracy --json printed of this very bundle, for its evidence."
        ),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Put several engines' artifacts of the same weights into one bundle. Judges nothing: each was signed before."""
    _require_extra()
    settings = load_config(config)
    from cathrt.export.bundle.join import join
    from cathrt.export.bundle.real_figures import printed_figures
    from cathrt.export.bundle.sign import load_key
    from cathrt.export.models.keyframe.demo.model_card import model_card

    figures = printed_figures(real) if real is not None else None
    opened = [bundle_at(path, settings) for path in (base, *(others or ()))]
    show(str(join(opened[0], opened[1:], load_key(sign), out, figures, model_card)))


def main() -> None:
    """Run the command of sys.argv; the `cathrt` script ends here (__init__.py)."""
    runtime_main()


def _require_extra() -> None:
    missing = [name for name in _EXTRA if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"{', '.join(missing)} not installed, which export needs: pip install '.[export]' in a clone of cathrt, "
            "or pip install 'FILE.whl[export]' of its wheel"
        )


def _show(one: Exported, *, json_: bool) -> None:
    if json_:
        verdict = {"passed": not one.failures, "failures": one.failures, "signed": one.signed}
        places = {"path": None if one.path is None else str(one.path), "report": str(one.report)}
        _print({"type": "export", "target": one.target, **verdict, **places, "not_run": one.not_run or None})
    elif one.path is not None:
        show(f"{one.target}: {one.path}, judged in {one.report}")
    if one.not_run:
        say(f"{one.target}: {one.not_run}")
    if one.path is not None and not one.signed:
        say(f"{one.target}: NOT SIGNED, and the runtime refuses {one.path}: give --sign KEY")


def _print(record: dict[str, Any]) -> None:
    show_json({**record, "notice": NOTICE})


if __name__ == "__main__":
    main()
