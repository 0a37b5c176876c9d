"""The study model's part in studies: a run's clip to features, and the features of a study's runs to a reading.

Not for: which study is next, or where features are kept (study/).
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.alert import RunRead
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import EngineConfig, Policy
from cathrt.runtime.errors import ConfigError, EngineError
from cathrt.runtime.frame import Run
from cathrt.runtime.model_kind import Features, RunFacts, StudyRead
from cathrt.runtime.models.study.answers import answers_of
from cathrt.runtime.models.study.choosing import chosen_runs
from cathrt.runtime.models.study.clips import ClipOfRun
from cathrt.runtime.models.study.contract import CLIPS, COUNTED, FEATURES, LOGITS, THERE, VIEWS, section_of
from cathrt.runtime.models.study.policy import StudyPolicy
from cathrt.runtime.models.study.records import ClipsReading
from cathrt.runtime.models.study.section import ENCODER
from cathrt.runtime.models.study.views import view_id
from cathrt.runtime.models.study.wording import finding_from, in_one_line

_COUNTED_WITHIN = 1e-3  # of 1 together

Tensors = Mapping[str, NDArray[Any]]


class Networks(Protocol):
    """What is needed of the opened networks (networks.py). Arrays are valid until the next call."""

    def encode(self, feeds: Tensors, stop: threading.Event) -> Tensors | None: ...
    def ask(self, feeds: Tensors) -> Tensors: ...
    def close(self) -> None: ...


class ClipsReader:
    """Fits model_kind.Reader."""

    def __init__(
        self,
        bundle: Bundle,
        engine: EngineConfig,
        policy: Policy | None,
        open_networks: Callable[[], Networks] | None = None,
    ) -> None:
        """open_networks: loads them. Raises ManifestError for a bundle of another kind, ConfigError for an engine that
        it is not for."""
        self.bundle, self.section = bundle, section_of(bundle.manifest)
        self._policy = policy if isinstance(policy, StudyPolicy) else StudyPolicy()
        self._engine = replace(engine, name=self._policy.engine or engine.name)
        if open_networks is None and self._engine.name not in bundle.manifest.engines:
            raise ConfigError(
                f"bundle {bundle.manifest.name} is for {', '.join(bundle.manifest.engines) or 'no engine'}, found "
                f"{self._engine.name!r}: name one of these in policy.study.engine"
            )
        self.encoder = _encoder_hash(bundle, self._engine)
        self._open_networks = open_networks or self._opened_bundle
        self._networks: Networks | None = None
        self._empty: Features | None = None  # of a clip of zeros

    def prepare(self) -> None:
        if self._networks is None:
            self._networks = self._open_networks()

    def chosen(self, runs: Sequence[RunFacts]) -> tuple[RunRead, ...]:
        return chosen_runs(runs, self._policy, self.section.runs)

    def wanted(self, run: Run) -> tuple[int, ...]:
        return ClipOfRun(run, self.section.clip).frames

    def encode(self, run: Run, frames: Sequence[NDArray[Any]], stop: threading.Event) -> Features | None:
        plan = ClipOfRun(run, self.section.clip)
        clip: NDArray[np.float32] = np.empty((1, *plan.shape), np.float32)
        plan(frames, clip[0])
        return self._encoded(clip, stop)

    def read(self, runs: Sequence[RunFacts], features: Sequence[Features]) -> StudyRead:
        section, places = self.section, self.section.runs
        assert 0 < len(runs) == len(features) <= places, "chosen() names at most as many as there are places"
        rows: NDArray[np.float32] = np.zeros((1, places, *features[0].shape), np.float32)
        there: NDArray[np.bool_] = np.zeros((1, places), np.bool_)
        for place, row in enumerate(features):
            rows[0, place], there[0, place] = row, True
        if section.empty == "attended":
            rows[0, len(runs) :], there[0, :] = self._features_of_nothing(), True
        feeds: dict[str, NDArray[Any]] = {FEATURES: rows, THERE: there}
        if section.views:
            views = np.full((1, places), view_id(None, None), np.int64)
            for place, run in enumerate(runs):
                views[0, place] = view_id(run.positioner_primary_angle_deg, run.positioner_secondary_angle_deg)
            feeds[VIEWS] = views
        found = self._opened().ask(feeds)
        counted = found[COUNTED].astype(np.float64)
        if counted.shape != (1, places) or not (np.isfinite(counted).all() and (counted >= 0.0).all()):
            raise EngineError("study head: what it says of how much each clip counted is no share: export it again")
        if abs(counted.sum() - 1.0) > _COUNTED_WITHIN:
            raise EngineError(f"study head: the clips' shares sum to {counted.sum():.4f}, expected 1: export it again")
        findings = tuple(map(finding_from, answers_of(section, found[LOGITS])))
        self.bundle.check_unchanged()
        text, text_ja = in_one_line(findings)
        reading = replace(self.withheld(""), findings=findings, withheld=None, text=text, text_ja=text_ja)
        return StudyRead(reading, tuple(min(float(share), 1.0) for share in counted[0, : len(runs)]))

    def withheld(self, reason: str) -> ClipsReading:
        return ClipsReading(
            bundle=self.bundle.manifest.name,
            manifest_sha256=self.bundle.manifest_sha256,
            engine=self._engine.label,
            findings=(),
            withheld=reason,
            text=f"withheld: {reason}",
            text_ja=f"保留: {reason}",
            product=self.section.product,
        )

    def close(self) -> None:
        networks, self._networks = self._networks, None
        if networks is not None:
            networks.close()

    def _opened(self) -> Networks:
        self.prepare()
        assert self._networks is not None
        return self._networks

    def _opened_bundle(self) -> Networks:
        from cathrt.runtime.models.study.networks import open_networks

        return open_networks(self.bundle, self._engine)

    def _encoded(self, clip: NDArray[np.float32], stop: threading.Event) -> Features | None:
        found = self._opened().encode({CLIPS: clip}, stop)
        if found is None:
            return None
        features: Features = found[FEATURES][0].astype(np.float32, copy=True)
        if not np.isfinite(features).all():
            raise EngineError(
                "study encoder: its features are NaN or infinite: it overflows in this precision, export it in "
                "bfloat16 or float32"
            )
        self.bundle.check_unchanged()
        return features

    def _features_of_nothing(self) -> Features:
        if self._empty is None:
            clip = self.section.clip
            zeros: NDArray[np.float32] = np.zeros((1, 3, clip.frames, clip.height, clip.width), np.float32)
            self._empty = self._encoded(zeros, threading.Event())
            assert self._empty is not None, "nobody has stopped it"
        return self._empty


def _encoder_hash(bundle: Bundle, engine: EngineConfig) -> str:
    """Of the encoder's weights in the form that this engine takes, and of how a run becomes its clip.

    Two bundles with the same encoder, as products of one may be, share what was encoded.
    """
    manifest = bundle.manifest
    artifact, names = manifest.network(ENCODER).artifacts.get(engine.name), set[str]()
    if artifact is not None:
        names = {artifact.file, artifact.file.removesuffix(".xml") + ".bin"} & manifest.files.keys()
        names |= {plan.file for plan in artifact.plans}
        names |= {tensor.file for tensor in bundle.external.get(artifact.file, ())}
    rests_on = {
        "engine": engine.label,
        "artifact": None if artifact is None else [artifact.precision, artifact.rest],
        "files": {name: manifest.files[name] for name in sorted(names)},
        "clip": asdict(section_of(manifest).clip),
    }
    return hashlib.sha256(json.dumps(rests_on, sort_keys=True).encode()).hexdigest()
