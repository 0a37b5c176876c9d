"""The installed `cathrt`: the runtime's commands beside `export`, `evaluate`, `qualify`, `join`, `compare`, `key new`.

Imports nothing heavy before one of its own commands runs, so that `cathrt replay` starts as it does without it.
Not for: what the commands do (recipe/, bundle/).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cathrt.export.commands.compare import compare_command
from cathrt.export.commands.evaluate import evaluate_commands
from cathrt.export.commands.export import export_commands
from cathrt.export.commands.key import new_command
from cathrt.export.commands.options import (
    FIDELITY_SAYS,
    PHANTOM_RUNS,
    WORTH_SAYS,
    CacheOption,
    GateOption,
    PhantomsOption,
    QualifyOnOption,
    StateOption,
    WeightsOption,
    print_record,
    require_extra,
)
from cathrt.export.model_kind import ExportKind
from cathrt.export.models import EVALUATIONS, EXPORTS, frame_kind
from cathrt.runtime.commands.cli import app
from cathrt.runtime.commands.cli import main as runtime_main
from cathrt.runtime.commands.key import key_app
from cathrt.runtime.commands.options import ConfigOption, JsonOption, bundle_at, say, show
from cathrt.runtime.models import load_config

export_app = export_commands(EXPORTS)
app.add_typer(export_app)
app.add_typer(evaluate_commands(EVALUATIONS))
key_app.command("new")(new_command)
app.command("compare")(compare_command)


@app.command("qualify")
def qualify_command(
    bundle: Annotated[Path, typer.Argument(readable=False, help="A signed bundle.")],
    qualify_on: QualifyOnOption = None,
    qualify_phantoms: PhantomsOption = PHANTOM_RUNS,
    cache: CacheOption = None,
    weights: WeightsOption = None,
    state: StateOption = None,
    gate: GateOption = None,
    out: Annotated[Path, typer.Option(readable=False, help="Folder for the reports, one for each engine.")] = Path(
        "qualification"
    ),
    json_: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Compare a bundle's engines with the float32 network.

    Writes a report for each engine. Signs nothing. Ends with 10 if an engine misses its gate.
    """
    require_extra()
    settings = load_config(config)
    from cathrt.export.commands.arguments import gate_from, references_for
    from cathrt.export.commands.progress import stage_bar
    from cathrt.export.qualify.evidence import Qualified
    from cathrt.export.qualify.kept import Kept, user_cache
    from cathrt.export.quantize.layer_errors import layer_errors_of_bundle
    from cathrt.export.recipe.qualification import (
        Candidate,
        Qualifying,
        qualification_of,
        qualification_set,
        write_report,
    )
    from cathrt.export.recipe.recipe import GateError

    opened = bundle_at(bundle, settings)
    from cathrt.runtime.outside.output_files import output_folder

    output_folder(out)
    manifest, port = opened.manifest, frame_kind(opened.manifest.kind, "cathrt qualify, kind of model").port()
    references = references_for(opened, port, weights, state)
    kept = Kept(cache or user_cache())
    runs = qualification_set(qualify_phantoms, qualify_on, settings, port.truths, kept)
    qualifying = Qualifying(runs, settings, kept=kept)
    missed = []
    with stage_bar(lines=not json_) as (told, advance):
        for engine, role in sorted((engine, role) for role, engine, _ in manifest.all_artifacts()):
            artifact, criteria = manifest.network(role).artifacts[engine], port.criteria[role]
            what = engine if len(manifest.networks) == 1 else f"{engine}.{role}"

            def seen(done: int, total: int, what: str = f"qualifying {what}") -> None:
                advance(what, done, total)

            limits, reference = gate_from(criteria.gates[artifact.precision], gate or []), references[role]
            float_graph = reference.float_graph if reference.source is not None else None
            layers = layer_errors_of_bundle(opened, role, engine, float_graph)
            candidate = Candidate(opened, role, engine, layers)
            note = candidate.not_run
            qualified = Qualified(
                qualification_of(candidate, criteria, limits, reference, qualifying, seen), criteria, limits
            )
            report = out / f"{what}.report"
            failures = write_report(report, qualified, note)
            if json_:
                verdict: dict[str, Any] = {
                    "passed": not failures,
                    "fidelity": qualified.fidelity,
                    "failures": failures,
                }
                verdict |= {"worth": qualified.worth, "not_run": note or None}
                print_record(
                    {"type": "qualification", "engine": engine, "role": role, **verdict, "report": str(report)}
                )
            else:
                told(f"{what}: {FIDELITY_SAYS[qualified.fidelity]}; {WORTH_SAYS[qualified.worth]}; see {report}")
                for figure in qualified.found.worth.figures if qualified.found.worth is not None else ():
                    told(f"  {figure}")
            if note:
                say(f"{what}: {note}")
            if failures:
                missed.append(f"{what}: {FIDELITY_SAYS[qualified.fidelity]}: {' | '.join(failures)} (see {report})")
    if missed:
        raise GateError("; ".join(missed))


@app.command("join")
def join_command(
    base: Annotated[
        Path, typer.Argument(readable=False, help="Signed bundle; its name, card and training record are kept.")
    ],
    sign: Annotated[Path, typer.Option(readable=False, help="Private key to sign the joined bundle with.")],
    out: Annotated[Path, typer.Option(readable=False, help="New folder for the result.")],
    others: Annotated[
        list[Path] | None, typer.Argument(readable=False, help="Signed bundles of the same weights for other engines.")
    ] = None,
    real: Annotated[
        Path | None,
        typer.Option(
            readable=False, help="Output of benchmarks.accuracy --json for this bundle; goes into its evidence."
        ),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Join bundles of the same weights into one.

    Adds the artifacts of the other bundles, made for other engines, to the first. Compares nothing again: each was
    signed before.
    """
    require_extra()
    settings = load_config(config)
    from cathrt.export.bundle.join import join
    from cathrt.export.bundle.real_figures import printed_figures
    from cathrt.export.bundle.sign import load_key

    figures = printed_figures(real) if real is not None else None
    opened = [bundle_at(path, settings) for path in (base, *(others or ()))]
    row = EXPORTS[opened[0].manifest.kind]
    card = row.port().card if isinstance(row, ExportKind) else None
    show(str(join(opened[0], opened[1:], load_key(sign), out, figures, card)))


def main() -> None:
    """Run the command of sys.argv; the `cathrt` script ends here (__init__.py)."""
    runtime_main()


if __name__ == "__main__":
    main()
