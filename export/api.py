"""Exports a checkpoint from Python: what `cathrt export <kind>` does, with a result instead of lines (docs/library.md).

Imports nothing heavy before it is called. Not for: the stages (recipe/), or judging (cathrt.runtime.api).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cathrt.runtime.config import Config
from cathrt.runtime.models import load_config

if TYPE_CHECKING:
    from cathrt.export.graph.fold import Target
    from cathrt.export.qualify.exported import Exported
    from cathrt.runtime.bundle.manifest import Precision

__all__ = ["export_checkpoint"]


def export_checkpoint(
    weights: Path | str,
    out: Path | str,
    *,
    kind: str,
    targets: Sequence[Target] = ("openvino",),
    precision: Precision = "float32",
    sign: Path | str | None = None,
    sign_anyway: bool = False,
    qualify_on: Path | str | None = None,
    qualify_phantoms: int | None = None,
    config: Config | None = None,
    told: Callable[[str, str], None] = lambda stage, how: None,
    **own: Any,
) -> tuple[Exported, ...]:
    """Build a bundle for each target, compare it with the float32 network, and sign it if both verdicts allow it.

    weights: the checkpoint. out: folder for bundles, reports and finished stages; the same call goes on from these.
    kind: "keyframe", ...; own: that kind's own options as its command names them, paths as Path. sign: a private key
    (`cathrt key new`); None leaves unsigned files, which the runtime refuses. sign_anyway: also a network that was not
    found to be better than chance. qualify_on: folder of runs, beside at most qualify_phantoms generated ones; None for
    the command's default.
    told(stage, how) is called after each stage, and for what was noticed in the weights. Takes minutes.
    Returns one Exported a target: its path is None where it was not signed, and its report says why.
    Raises ConfigError for what cannot be exported and where the [export] extra is missing, EngineError, SourceError.
    """
    from cathrt.export.commands.options import PHANTOM_RUNS, require_extra

    require_extra()
    from cathrt.export.bundle.sign import load_key
    from cathrt.export.models import frame_kind
    from cathrt.export.qualify.kept import Kept, user_cache
    from cathrt.export.recipe.qualification import Qualifying, qualification_set
    from cathrt.export.recipe.recipe import ExportRequest, export_model
    from cathrt.export.recipe.stages import CalibrationFrom
    from cathrt.export.recipe.targets import Recipe

    row = frame_kind(kind, "kind")
    settings = config or load_config(None)
    key = load_key(Path(sign)) if sign is not None else None
    port = row.port()
    model = row.source(settings, weights=Path(weights), **own)
    for note in model.notes:
        told("weights", note)
    recipe = Recipe(
        model=model,
        port=port,
        precision=precision,
        targets=tuple(targets),
        gates={role: criteria.gates[precision] for role, criteria in port.criteria.items()},
        calibration=CalibrationFrom(),
        limits=settings.limits,
    )
    kept = Kept(user_cache())
    folder = None if qualify_on is None else Path(qualify_on)
    phantoms = PHANTOM_RUNS if qualify_phantoms is None else qualify_phantoms
    runs = qualification_set(phantoms, folder, settings, port.truths, kept)
    qualifying = Qualifying(runs, settings, kept=kept)
    return export_model(ExportRequest(recipe, Path(out), qualifying, key, sign_anyway), told)
