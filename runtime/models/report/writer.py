"""The report model's part in a study: it looks at key frames, and writes a draft of what is confirmed.

Not for: one draft's steps (draft.py), which study is next (study/drafting.py).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.alert import Draft, StudyFinding
from cathrt.runtime.bundle.manifest import Preprocessing
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import EngineConfig, Policy
from cathrt.runtime.errors import ConfigError, SourceError
from cathrt.runtime.frame import Frame, Run
from cathrt.runtime.model_kind import FrameOfRun, StudyRun
from cathrt.runtime.models.report.draft import Answering, Drafting, Embeddings, Written
from cathrt.runtime.models.report.facts import Findings
from cathrt.runtime.models.report.faults import section_of
from cathrt.runtime.models.report.findings import findings_from_runs, findings_sha256
from cathrt.runtime.models.report.policy import ReportPolicy
from cathrt.runtime.models.report.prompt import chosen_pictures
from cathrt.runtime.models.report.records import ReportDraft
from cathrt.runtime.models.report.section import ReportPicture
from cathrt.runtime.preprocess import Preprocessor

_MOST_PICTURES = 64  # that are kept; of a 4B model 2.6 MB each


class Reporting(Answering, Protocol):
    """What is needed of an opened model (model.ReportModel)."""

    def embed_picture(self, grey: NDArray[np.float32]) -> Embeddings: ...
    def close(self) -> None: ...


class ReportWriter:
    """Fits model_kind.Writer. Pictures that it has seen outlive a failure of the networks."""

    def __init__(
        self,
        bundle: Bundle,
        engine: EngineConfig,
        policy: Policy | None,
        open_model: Callable[[Callable[[], None]], Reporting] | None = None,
    ) -> None:
        """open_model(told): loads the networks; told is to be called now and then while they compute.

        Raises ManifestError for a bundle of another kind, ConfigError for an engine that it is not for.
        """
        self.bundle, self.section = bundle, section_of(bundle.manifest)
        self._policy = policy if isinstance(policy, ReportPolicy) else ReportPolicy()
        self._engine = replace(engine, name=self._policy.engine or engine.name)
        if open_model is None and self._engine.name not in bundle.manifest.engines:
            raise ConfigError(
                f"bundle {bundle.manifest.name} is for {', '.join(bundle.manifest.engines) or 'no engine'}, found "
                f"{self._engine.name!r}: name one of these in policy.report.engine"
            )
        self._open_model = open_model or self._opened_bundle
        self._model: Reporting | None = None
        self._pictures: OrderedDict[FrameOfRun, Embeddings] = OrderedDict()
        self._under_way: tuple[object, Drafting] | None = None
        self._told: Callable[[], None] = _nobody

    def prepare(self) -> None:
        if self._model is None:
            self._model = self._open_model(lambda: self._told())

    def lacks(self, runs: Sequence[StudyRun]) -> Sequence[FrameOfRun]:
        findings = findings_from_runs(runs)
        return [which for which in self._shown(findings).values() if which not in self._pictures]

    def see(self, which: FrameOfRun, run: Run, frame: Frame) -> None:
        picture = self.section.picture
        assert picture is not None, "lacks() names no frame where the bundle reads none"
        grey = shown_grey(run, frame, picture)
        self._pictures[which] = self._opened().embed_picture(grey)
        self._pictures.move_to_end(which)
        while len(self._pictures) > _MOST_PICTURES:
            self._pictures.popitem(last=False)

    def write(
        self,
        study: str,
        runs: Sequence[StudyRun],
        stop: threading.Event,
        told: Callable[[], None] = lambda: None,
        readings: Sequence[Sequence[StudyFinding]] = (),
    ) -> Draft | None:
        findings = findings_from_runs(runs, readings)
        shown = self._shown(findings)
        if not findings.known.sides:
            return self._draft(findings, "no run shows a coronary artery whose side is known")
        if self.section.pictures and not shown:
            return self._draft(findings, "no key frame could be read again")
        key = (study, findings)
        if self._under_way is None or self._under_way[0] != key:
            pictures = {index: self._pictures[which] for index, which in shown.items()}
            self._under_way = key, Drafting(findings, pictures, self._policy)
        self._told = told
        try:
            written = self._under_way[1].go_on(self._opened(), stop, told)
        finally:
            self._told = _nobody
        if written is None:
            return None
        self._under_way = None
        return self._draft(findings, written.withheld, written, tuple(shown))

    def withheld(self, reason: str) -> Draft:
        return self._draft(findings_from_runs(()), reason)

    def close(self) -> None:
        model, self._model, self._under_way = self._model, None, None
        if model is not None:
            model.close()

    def _opened(self) -> Reporting:
        self.prepare()
        assert self._model is not None
        return self._model

    def _opened_bundle(self, told: Callable[[], None]) -> Reporting:
        from cathrt.runtime.models.report.model import open_report_model

        return open_report_model(self.bundle, self._engine, self._engine.name, give_way=told)

    def _shown(self, findings: Findings) -> dict[int, FrameOfRun]:
        """The key frames that a prompt shows, by index."""
        frames = findings.key_frames
        return {
            index: FrameOfRun(frames[index].run_id, frames[index].frame_index)
            for index in chosen_pictures(self.section, findings)
        }

    def _draft(
        self, findings: Findings, withheld: str | None, written: Written | None = None, shown: Sequence[int] = ()
    ) -> ReportDraft:
        text = {} if written is None else written.text
        times = {} if written is None else written.times
        return ReportDraft(
            bundle=self.bundle.manifest.name,
            manifest_sha256=self.bundle.manifest_sha256,
            engine=self._engine.label,
            text=text.get("en"),
            text_ja=text.get("ja"),
            struck=() if written is None else written.struck,
            omitted=() if written is None else written.omitted,
            withheld=withheld,
            key_frames=tuple(findings.key_frames[index] for index in shown),
            facts=None if written is None else written.facts,
            facts_times=times.get("facts"),
            text_times=times.get("en"),
            text_ja_times=times.get("ja"),
            findings_sha256=findings_sha256(findings),
            prompt_sha256=None if written is None else written.prompt_sha256,
        )


def shown_grey(run: Run, frame: Frame, picture: ReportPicture) -> NDArray[np.float32]:
    """(rows, columns) float32: the frame's grey values in [0, 1] under the bundle's percentile window, at its own size.

    Raises SourceError where the shutter covers it.
    """
    spec = Preprocessing(
        "picture", "NCHW", run.rows, run.columns, "percentile", picture.percentiles, (0.0,) * 3, (1.0,) * 3, 0.0
    )
    grey: NDArray[np.float32] = np.empty(spec.shape, np.float32)
    if not Preprocessor(run, spec)(frame.pixels, grey, frame.grayscale):
        raise SourceError(f"{run.source}: frame {frame.index}: the shutter covers all of it: nothing is shown there")
    shown: NDArray[np.float32] = grey[0, 0]
    return shown


def _nobody() -> None:
    """Nobody is told."""
