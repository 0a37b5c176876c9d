"""One target's answers to the studies: its engines opened from the bundle, each clip encoded once.

Not for: the float32 network's (reference.py), or the clips (cases.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from cathrt.export.models.study.cases import Clips, Study
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.engines import open_sized_engine
from cathrt.runtime.models.study.contract import CLIPS, FEATURES, LOGITS, THERE, VIEWS, section_of
from cathrt.runtime.models.study.section import ENCODER, HEAD, StudySection
from cathrt.runtime.models.study.views import VIEWS as VIEW_NAMES

Float32 = NDArray[np.float32]
Advance = Callable[[int, int], None]


def engine_answers(
    bundle: Bundle, engine: str, config: EngineConfig, clips: Clips, studies: Sequence[Study], advance: Advance
) -> tuple[Float32, list[Float32]]:
    """Features, (clips, L, F), and the head's raw outputs of each study. Raises EngineError."""
    section = section_of(bundle.manifest)
    features = _features(bundle, engine, config, with_empty(clips, section), advance)
    head = open_sized_engine(engine, bundle, HEAD, config)
    try:
        outputs = [head.run(head_feeds(section, study, features, clips.views))[LOGITS].copy() for study in studies]
    finally:
        head.close()
    bundle.check_unchanged()
    return features, outputs


def with_empty(clips: Clips, section: StudySection) -> Float32:
    """The clips and, where places without a run are attended to, an empty clip behind them."""
    if section.empty == "hidden":
        return clips.tensors
    return np.concatenate([clips.tensors, np.zeros_like(clips.tensors[:1])])


def head_feeds(
    section: StudySection, study: Study, features: Float32, views: NDArray[np.int64]
) -> dict[str, NDArray[np.generic]]:
    """The head's inputs for one study. features: of all clips, and of an empty one behind them as with_empty()."""
    places = np.zeros((1, section.runs, *features.shape[1:]), np.float32)
    there = np.zeros((1, section.runs), np.bool_)
    if section.empty == "attended":
        places[:], there[:] = features[-1], True
    ids = np.full((1, section.runs), VIEW_NAMES.index("unknown"), np.int64)
    for place, clip in enumerate(study.clips):
        places[0, place], there[0, place], ids[0, place] = features[clip], True, views[clip]
    feeds: dict[str, NDArray[np.generic]] = {FEATURES: places, THERE: there}
    return feeds | ({VIEWS: ids} if section.views else {})


def _features(bundle: Bundle, engine: str, config: EngineConfig, tensors: Float32, advance: Advance) -> Float32:
    encoder = open_sized_engine(engine, bundle, ENCODER, config)
    try:
        found = []
        for number, tensor in enumerate(tensors):
            found.append(encoder.run({CLIPS: np.ascontiguousarray(tensor[None])})[FEATURES][0].copy())
            advance(number + 1, len(tensors))
    finally:
        encoder.close()
    return np.stack(found)
