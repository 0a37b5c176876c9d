"""The bundle's model as the line serves it, also where its weights are random, which the commands refuse to show."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.frame_stream.setting import Setting
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.line.failover import open_with_fallback
from cathrt.runtime.line.pipeline import ServedModel
from cathrt.runtime.models.keyframe.run import KeyframeOnFrames
from cathrt.runtime.models.keyframe.section import CLASSIFIER


@contextmanager
def served_model(setting: Setting, *, side_by_side: bool = False) -> Iterator[ServedModel]:
    """With an engine of its own, opened for latency or for throughput, and closed at the end."""
    bundle = setting.opened_bundle()
    config = EngineConfig(threads=setting.used_threads)
    engine = open_with_fallback(bundle, CLASSIFIER, config, side_by_side=side_by_side)
    try:
        preprocessing = bundle.manifest.network(CLASSIFIER).preprocessing
        yield ServedModel(bundle, engine, KeyframeOnFrames(bundle, None), preprocessing)
    finally:
        engine.close()
