"""The two networks of a study bundle, opened on one engine. Not for: what their tensors mean (reader.py)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.engines import SIZED_ENGINES, open_engine, open_sized_engine
from cathrt.runtime.models.study.contract import CLIPS_SIZE, RUNS_SIZE, section_of
from cathrt.runtime.models.study.section import ENCODER, HEAD
from cathrt.runtime.ports import StoppableEngine

Tensors = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class _Network:
    """run_until: None where the engine cannot leave a run."""

    run: Callable[[Tensors], Tensors]
    close: Callable[[], None]
    run_until: Callable[[Tensors, threading.Event], Tensors | None] | None = None


class OpenedNetworks:
    """Fits reader.Networks. Where the engine cannot leave a run, a clip that was begun is encoded to its end."""

    def __init__(self, encoder: _Network, head: _Network) -> None:
        self._encoder, self._head = encoder, head

    def encode(self, feeds: Tensors, stop: threading.Event) -> Tensors | None:
        if stop.is_set():
            return None
        if self._encoder.run_until is not None:
            return self._encoder.run_until(feeds, stop)
        return self._encoder.run(feeds)

    def ask(self, feeds: Tensors) -> Tensors:
        return self._head.run(feeds)

    def close(self) -> None:
        self._encoder.close()
        self._head.close()


def open_networks(bundle: Bundle, config: EngineConfig) -> OpenedNetworks:
    """Encoder and head on config.name. The bundle must stay open for as long as they are used.

    Raises EngineError and ManifestError as the engines do.
    """
    encoder = _opened(bundle, ENCODER, config, {CLIPS_SIZE: 1})
    try:
        return OpenedNetworks(encoder, _opened(bundle, HEAD, config, {RUNS_SIZE: section_of(bundle.manifest).runs}))
    except BaseException:
        encoder.close()
        raise


def _opened(bundle: Bundle, role: str, config: EngineConfig, bucket: Mapping[str, int]) -> _Network:
    """On a CPU weights are read where they are mapped, in any size; what is built for a GPU is built for one."""
    if config.name not in SIZED_ENGINES or config.provider != "cpu":
        engine = open_engine(config.name, bundle, role, config, bucket)
        return _Network(engine.infer, engine.close)
    sized = open_sized_engine(config.name, bundle, role, config)
    return _Network(sized.run, sized.close, sized.run_until if isinstance(sized, StoppableEngine) else None)
