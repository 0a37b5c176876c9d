"""Opens the ladder of a live source: which engines of which bundles are its rungs, by the configuration.

engine.name with the given bundle, then engine.fallback, then [[rungs]]. Not for: recorded runs (replay.py).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.clock import Clock
from cathrt.runtime.config import Config, EngineConfig
from cathrt.runtime.engines import ENGINES, GPU_ENGINES, open_engine
from cathrt.runtime.engines.bounded import BoundedEngine
from cathrt.runtime.errors import ConfigError, EngineError
from cathrt.runtime.frame_step import FrameEngine
from cathrt.runtime.line.failover import FailoverEngine
from cathrt.runtime.line.ladder_place import Place, Rung
from cathrt.runtime.line.pipeline import ServedModel
from cathrt.runtime.line.replay import row_of
from cathrt.runtime.models import trusted_bundle
from cathrt.runtime.ports import Engine

_log = logging.getLogger(__name__)
Begins = Callable[[], None]  # called on the thread of each engine on the CPU


@dataclass(frozen=True, slots=True)
class NamedRung:
    """What the configuration says of a rung: its engine, of which bundle."""

    engine: EngineConfig
    bundle: Bundle


def rung_bundles(config: Config) -> dict[str, Bundle]:
    """The bundles that [[rungs]] name, by their folder. Raises ManifestError, ConfigError."""
    return {
        folder: trusted_bundle(Path(folder), config)
        for folder in dict.fromkeys(r.bundle for r in config.rungs)
        if folder
    }


def named_rungs(bundle: Bundle, role: str, config: Config, others: dict[str, Bundle]) -> list[NamedRung]:
    """The rungs of that bundle's model, best first. others: of rung_bundles().

    Raises ConfigError for an unknown engine, EngineError where a bundle has no artifact for it.
    """
    first = replace(config.engine, fallback="")
    rungs = [NamedRung(first, bundle)]
    if config.engine.fallback:
        rungs.append(NamedRung(replace(first, name=config.engine.fallback), bundle))
    for rung in config.rungs:
        used = others[rung.bundle] if rung.bundle else bundle
        if used.manifest.kind == bundle.manifest.kind:
            rungs.append(NamedRung(replace(first, name=rung.engine, provider=rung.provider), used))
    for named in rungs:
        _require_artifact(named, role)
    return rungs


def check_rungs(bundles: Sequence[Bundle], config: Config) -> None:
    """Raise ConfigError, ManifestError or EngineError for rungs that can never be opened."""
    others = rung_bundles(config)
    for bundle in bundles:
        named_rungs(bundle, row_of(bundle, bundles).role, config, others)
    kinds = {bundle.manifest.kind for bundle in bundles}
    for folder, other in others.items():
        row_of(other, [other])
        if other.manifest.kind not in kinds:
            raise ConfigError(
                f"rungs.bundle: {folder} is of kind {other.manifest.kind}, expected one of {', '.join(sorted(kinds))}"
            )


def open_places(bundles: Sequence[Bundle], config: Config, clock: Clock, begins: Begins) -> list[Place]:
    """The places of a line of these bundles, with every engine that can be opened, loaded and warm.

    An engine that cannot be opened is logged; somebody tries it again later. Raises as check_rungs().
    """
    others = rung_bundles(config)
    places: list[Place] = []
    try:
        for bundle in bundles:
            row_of(bundle, bundles)
            places.append(open_place(bundle, config, clock, begins, others))
    except BaseException:
        for place in places:
            place.close()
        raise
    return places


def open_place(bundle: Bundle, config: Config, clock: Clock, begins: Begins, others: dict[str, Bundle]) -> Place:
    """One model with the engines of its ladder. Raises as named_rungs()."""
    row = row_of(bundle, [bundle])
    rungs: list[Rung] = []
    served: dict[int, ServedModel] = {}
    for named in named_rungs(bundle, row.role, config, others):
        used, label = named.bundle, named.engine.label
        if id(used) not in served:
            model = row.open(used, config.policy.get(used.manifest.kind))
            preprocessing = used.manifest.network(row.role).preprocessing
            served[id(used)] = ServedModel(used, FailoverEngine([], label), model, preprocessing)
        if used is not bundle:
            label = f"{label} with {used.manifest.name}"
        opening = partial(_opened, named, row.role, config.ladder.hang_ms, begins)
        on_gpu = named.engine.name in GPU_ENGINES or named.engine.label != named.engine.name
        rungs.append(_with_engine(Rung(label, served[id(used)], opening, on_gpu)))
    return Place(rungs, config.ladder, clock, config.line.budget_ms, all_signs=bool(config.rungs))


def _with_engine(rung: Rung) -> Rung:
    try:
        rung.engine = rung.open()
    except EngineError as exc:
        rung.why = str(exc)
        _log.warning("%s cannot be opened: %s", rung.label, exc)
    return rung


def _opened(named: NamedRung, role: str, hang_ms: float, begins: Begins) -> Engine:
    engine = open_engine(named.engine.name, named.bundle, role, named.engine)
    if isinstance(engine, FrameEngine):
        return engine  # on a device, with deadlines of its own
    return BoundedEngine(engine, hang_ms, begins)


def _require_artifact(named: NamedRung, role: str) -> None:
    name, manifest = named.engine.name, named.bundle.manifest
    if name not in ENGINES:
        raise ConfigError(f"rungs.engine: found {name!r}, expected one of {', '.join(sorted(ENGINES))}")
    artifacts = manifest.network(role).artifacts
    if name not in artifacts:
        raise EngineError(
            f"bundle {manifest.name} has no artifact for {name}, only for {sorted(artifacts)}: "
            "choose one of these engines, or export the bundle for this one"
        )
