"""What a draft may know of a run: its side and its key frames, out of the confirmed summary; and those frames again.

Not for: which frames a model wants to see (models/).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace

from cathrt.runtime.alert import NOTICES, RunSummary, StudyFindings
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame, LostFrame, Run
from cathrt.runtime.model_kind import StudyRun, Writer
from cathrt.runtime.models import MODELS
from cathrt.runtime.ports import Opening
from cathrt.runtime.sources.decoder.run_reply import KilledError


def study_run(summary: RunSummary) -> StudyRun:
    """From the result of the model that tells sides; of a run that none has judged, nothing is known."""
    for result in summary.results:
        side_of = MODELS[result.kind].side
        if side_of is not None:
            side = side_of(result)
            return StudyRun(summary.run_id, summary.pass_id, side, result.marked_frames, result.marked_scores)
    return StudyRun(summary.run_id, summary.pass_id, None, (), ())


def gravest_notice(writer: Writer, summaries: Iterable[RunSummary], readings: Iterable[StudyFindings] = ()) -> str:
    """What a draft must say: what its own bundle asks for, one that judged its runs, or one that read the study."""
    asked_for = (writer.bundle.manifest.notice, *(one.notice for one in summaries), *(one.notice for one in readings))
    return max(asked_for, key=NOTICES.index)


def without_frame(run: StudyRun, frame_index: int) -> StudyRun:
    """The same run without a key frame that cannot be read again. Without any, it shows no side either."""
    kept = [pair for pair in zip(run.key_frames, run.scores, strict=True) if pair[0] != frame_index]
    return replace(
        run,
        side=run.side if kept else None,
        key_frames=tuple(index for index, _ in kept),
        scores=tuple(score for _, score in kept),
    )


def frame_of(opening: Opening, frame_index: int, each: Callable[[], None] = lambda: None) -> tuple[Run, Frame]:
    """Read a run once more, as far as that frame. each: comes before every frame. Raises SourceError;
    KilledError where another try may help."""
    with closing(opening.open()) as source:
        for item in source.frames():
            each()
            if item.index == frame_index and isinstance(item, Frame):
                return source.run, item
            if item.index >= frame_index:
                break
        else:
            raise SourceError(f"{opening.name}: frame {frame_index} is not there any more, though it was judged")
    reason = item.reason if isinstance(item, LostFrame) else "it was left out"
    lost = KilledError if isinstance(item, LostFrame) and item.ours else SourceError
    raise lost(f"{opening.name}: frame {frame_index} cannot be read again: {reason}")
