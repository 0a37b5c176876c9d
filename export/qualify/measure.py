"""Compares an engine with its reference, run by run, until its gate is decided: what differs, and what the answers say.

Runs both networks on every frame, several runs at a time, and keeps answers and a few pictures, never runs of pixels.
Not for: what counts as a difference and whether it passes (Criteria, evidence.py), when it is decided (sequential.py),
time and memory (alone.py), or where frames come from (runs.py). docs/export.md defines every figure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.export.qualify.alone import Alone
from cathrt.export.qualify.criteria import Comparison, Criteria, Outputs, RunAnswers
from cathrt.export.qualify.gallery import Gallery, most_telling
from cathrt.export.qualify.parallel import StoppedError, in_order
from cathrt.export.qualify.reference_answers import ReferenceAnswers, RunReference
from cathrt.export.qualify.runs import LeftOut, OpenedRun, identity_of
from cathrt.export.qualify.sequential import Bets, Proof
from cathrt.export.qualify.worth import Worth
from cathrt.runtime.bundle.manifest import Manifest, Precision, Rest
from cathrt.runtime.config import Config
from cathrt.runtime.engines.cpu import rest_here
from cathrt.runtime.errors import EngineError, SourceError
from cathrt.runtime.ports import Engine

OpenRun = Callable[[], AbstractContextManager[OpenedRun]]
OpenEngine = Callable[[], AbstractContextManager[Engine]]
Advance = Callable[[int, int], None]  # called with (runs done, runs in all if nothing differs any more)

_ABOUT = ("made_by", "arch", "random_init", "seed", "weights_named_as", "weights_read", "tools")  # of the provenance


@dataclass(frozen=True, slots=True, eq=False)
class Contest:
    """Who is compared. role: the network, every input of which is made of a frame. engines: the same artifact opened
    once for each run at a time. engine_name: key of its artifact. reference_name: what the reference is, for the
    report. layer_errors: (layer, error), worst first, as layer_errors.py measures them. tools: versions of packages.
    """

    manifest: Manifest
    role: str
    engines: Sequence[OpenEngine]
    engine_name: str
    reference: ReferenceAnswers
    reference_name: str
    layer_errors: Sequence[tuple[str, float]] = ()
    config: Config = field(default_factory=Config)
    tools: Mapping[str, str] = field(default_factory=dict)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


@dataclass(frozen=True, slots=True, eq=False)
class Qualification:
    """All that was measured of one network in one engine.

    rest: what this CPU computed between the pairs of int8. left_out: frames that were not compared, by reason.
    comparison: the kind's own. proofs: of every share in the gate. runs_at_most: how many there were to draw from.
    worth: of the reference against the truth; None where the kind has no measure of it. date: of its end, UTC. about:
    what the bundle says of its network and how it was made. tools: versions that qualified it. alone: None where not
    measured. pictures: by (run number, frame), what the first input was made from, (rows, columns) uint8.
    """

    model: str
    role: str
    engine: str
    precision: Precision
    artifact_sha256: str
    rest: Rest
    reference: str
    set_sha256: str
    left_out: Mapping[str, int]
    comparison: Comparison
    proofs: tuple[Proof, ...]
    runs_at_most: int
    worth: Worth | None
    date: str
    about: Mapping[str, Any]
    tools: Mapping[str, str]
    layer_errors: tuple[tuple[str, float], ...]
    pictures: Mapping[tuple[int, int], NDArray[np.uint8]]
    alone: Alone | None = None


def qualify(
    runs: Sequence[OpenRun],
    contest: Contest,
    criteria: Criteria[Any, Any],
    gate: Any,
    *,
    all_of_first: int = 0,
    alone: Alone | None = None,
    advance: Advance = lambda done, total: None,
) -> Qualification:
    """Both networks over the runs, in order, until the gate is decided or there are no more.

    It is decided once every share in it is proven and keeps its limit and the samples are large enough, or one share is
    refuted; limits of anything else are looked at once, after that, so looking often does not favour them. The result
    does not depend on how many runs are answered at a time. all_of_first: so many runs are compared in any case.
    Raises SourceError for a set without a frame to compare or with a run that cannot be read, EngineError where a
    network fails, the reference gives no answer, or the bundle has nothing for this engine.
    """
    manifest, config = contest.manifest, contest.config
    network = manifest.network(contest.role)
    artifact = network.artifacts.get(contest.engine_name)
    if artifact is None:
        raise EngineError(
            f"bundle {manifest.name} has no artifact for {contest.engine_name}, only for {sorted(network.artifacts)}: "
            "qualify one of these"
        )

    def answer(number: int, engine: Engine, stopping: Event) -> _AnsweredRun:
        gallery = Gallery(manifest, network.preprocessing[0], criteria)
        with runs[number]() as run:
            return _answered(
                number,
                run,
                engine,
                contest.reference.to_run(run.name if run.generated else f"given {number}: {run.name}"),
                gallery,
                stopping,
            )

    bets = {name: Bets(name, getattr(gate, name)) for name in sorted(criteria.shares(manifest))}
    done: list[_AnsweredRun] = []
    left_out: Counter[str] = Counter()
    with closing(in_order(len(runs), list(contest.engines), answer)) as answered:
        for run in answered:
            done.append(run)
            left_out.update(run.left_out)
            if run.digests:
                for name, share in criteria.shares_of(run.answers, manifest, config).items():
                    bets[name].add(share)
            fewest = max((bet.still_needed() for bet in bets.values()), default=len(runs) - len(done))
            advance(len(done), min(len(runs), max(all_of_first, len(done) + fewest)))
            if len(done) >= all_of_first and _decided(done, bets, contest, criteria, gate):
                break
    if not any(run.digests for run in done):
        reasons = ", ".join(f"{number} {reason}" for reason, number in left_out.items())
        raise SourceError(
            f"qualification set: no frame to compare ({reasons or 'it is empty'}): add phantom runs or a folder"
        )
    compared = [run.answers for run in done]
    return Qualification(
        model=manifest.name,
        role=contest.role,
        engine=contest.engine_name,
        precision=artifact.precision,
        artifact_sha256=manifest.files.get(artifact.file, ""),
        rest=rest_here(artifact.rest),
        reference=contest.reference_name,
        set_sha256=identity_of(run.digests for run in done),
        left_out=dict(left_out),
        comparison=criteria.compare(compared, manifest, config),
        proofs=tuple(bet.proof for bet in bets.values()),
        runs_at_most=len(runs),
        worth=None if criteria.worth is None else criteria.worth(compared, manifest, config),
        date=contest.now().isoformat(timespec="seconds"),
        about={key: manifest.provenance[key] for key in _ABOUT if key in manifest.provenance},
        tools=contest.tools,
        layer_errors=tuple((name, float(error)) for name, error in contest.layer_errors),
        pictures=most_telling([run.gallery for run in done]),
        alone=alone,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _AnsweredRun:
    """A run without its tensors. digests: of each frame that was compared."""

    answers: RunAnswers
    digests: Sequence[bytes]
    left_out: Mapping[str, int]
    gallery: Gallery


def _answered(
    number: int, run: OpenedRun, engine: Engine, reference: RunReference, gallery: Gallery, stopping: Event
) -> _AnsweredRun:
    frames: list[tuple[int, float, str | None, bytes]] = []
    answers: list[tuple[Outputs, Outputs]] = []
    left_out: Counter[str] = Counter()
    for item in run.frames:
        if stopping.is_set():
            raise StoppedError
        if isinstance(item, LeftOut):
            left_out[item.reason] += 1
            continue
        for name, tensor in item.tensors.items():
            np.copyto(engine.input_buffers[name], tensor)
        found, expected = _copied(engine.infer(engine.input_buffers)), _copied(reference(item.tensors))
        gallery.look(number, item, expected, found)
        frames.append((item.index, item.due_ms, item.truth, item.digest))
        answers.append((expected, found))
    reference.keep()

    def stacked(which: int) -> dict[str, NDArray[np.float64]]:
        names = answers[0][which] if answers else ()
        return {name: np.stack([pair[which][name] for pair in answers]) for name in names}

    compared = RunAnswers(
        name=run.name,
        frames=np.array([index for index, _, _, _ in frames], np.int64),
        due_ms=np.array([due_ms for _, due_ms, _, _ in frames], np.float64),
        truths=tuple(truth for _, _, truth, _ in frames),
        reference=stacked(0),
        engine=stacked(1),
        generated=run.generated,
        wanted=run.wanted,
    )
    return _AnsweredRun(compared, [digest for _, _, _, digest in frames], left_out, gallery)


def _copied(outputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float64]]:
    """Out of whatever buffers they came in."""
    return {name: np.array(values, np.float64) for name, values in outputs.items()}


def _decided(
    done: Sequence[_AnsweredRun],
    bets: Mapping[str, Bets],
    contest: Contest,
    criteria: Criteria[Any, Any],
    gate: Any,
) -> bool:
    if any(bet.proof.standing == "refuted" for bet in bets.values()):
        return True
    if not bets or not all(bet.decided for bet in bets.values()):
        return False
    compared = criteria.compare([run.answers for run in done], contest.manifest, contest.config)
    return not any(failure.too_few for failure in criteria.failures(compared, gate, ()))
