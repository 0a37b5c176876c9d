"""What a bundle's engine answers: through the runtime's own tokens, masks and cache, with logits in place of text.

Not for: the float32 network (reference.py), or comparing (comparison.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cathrt.export.models.report.cases import Case
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.engines import open_sized_engine
from cathrt.runtime.errors import EngineError
from cathrt.runtime.models.report.contract import IMAGE_EMBEDDINGS, PIXELS
from cathrt.runtime.models.report.decoder import Decoder
from cathrt.runtime.models.report.faults import section_of
from cathrt.runtime.models.report.section import DECODER, EMBEDDING, VISION
from cathrt.runtime.models.report.tokens import Tokenizer


class EngineAnswers:
    """One engine's networks of a bundle, opened. Use as a context manager. Raises EngineError and ManifestError."""

    def __init__(self, bundle: Bundle, engine: str, config: EngineConfig, tokenizer: Tokenizer) -> None:
        self._section, self._tokenizer = section_of(bundle.manifest), tokenizer
        roles = [role for role in (VISION, EMBEDDING, DECODER) if role in bundle.manifest.networks]
        with ExitStack() as opened:
            self._engines = {role: open_sized_engine(engine, bundle, role, config) for role in roles}
            for one in self._engines.values():
                opened.callback(one.close)
            self._decoder = Decoder(self._engines[EMBEDDING], self._engines[DECODER], self._section)
            self._opened = opened.pop_all()

    def picture(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Its soft tokens, (tokens, hidden), finite or not. pixels: (1, 3, side, side)."""
        found: NDArray[np.float32] = self._engines[VISION].run({PIXELS: pixels})[IMAGE_EMBEDDINGS][0].copy()
        return found

    def forced(self, case: Case, pictures: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Logits before each token of the case's answer, (tokens, vocabulary), whatever the engine would have taken."""
        rows = [self._begin(case, pictures)]
        rows += [self._decoder.step(token).copy() for token in case.answer[:-1]]
        return np.stack(rows)

    def greedy(self, case: Case, pictures: Sequence[NDArray[np.float32]], most: int) -> tuple[int, ...]:
        """The likeliest token each time, up to `most`, the context's end, a token that ends an answer, or a picture's,
        which is no text."""
        logits, tokens = self._begin(case, pictures), list[int]()
        last = {*self._section.tokens.end, self._section.tokens.image}
        while True:
            tokens.append(int(logits.argmax()))
            over = self._decoder.length >= self._section.context - 1
            if len(tokens) >= most or over or tokens[-1] in last:
                return tuple(tokens)
            logits = self._decoder.step(tokens[-1])

    def _begin(self, case: Case, pictures: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        logits, _ = self._decoder.prefill(case.layout(self._section, self._tokenizer, pictures), lambda: True)
        if logits is None:
            raise EngineError(f"{case.name}: the decoder gave no logits: export the bundle again")
        return logits.copy()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._opened.close()
