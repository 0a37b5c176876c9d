"""A prompt as rows of the decoder: which token stands at each position, where the pictures are, where runs must end.

Not for: cutting it into runs (chunks.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.errors import EngineError
from cathrt.runtime.models.report.chunks import Span
from cathrt.runtime.models.report.prompt_parts import Markup, Prompt
from cathrt.runtime.models.report.section import ReportSection
from cathrt.runtime.models.report.tokens import Tokenizer


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """ids: (N,) int64, the image token where a picture stands. spans: of the pictures, whose embeddings are in
    `pictures`, each known by its digest. ends: where a run must end: behind the first part, and at the end."""

    ids: NDArray[np.int64]
    spans: tuple[Span, ...]
    pictures: tuple[NDArray[np.float32], ...]
    digests: tuple[bytes, ...]
    ends: tuple[int, ...]

    def identity(self, start: int, stop: int) -> Hashable:
        """Equal for equal tokens and pictures at equal places."""
        inside = zip(self.spans, self.digests, strict=True)
        shown = tuple((span, digest) for span, digest in inside if start <= span.start < stop)
        return start, self.ids[start:stop].tobytes(), shown


def laid_out(prompt: Prompt, tokenizer: Tokenizer, section: ReportSection) -> Layout:
    """Raises EngineError where the prompt is empty, or does not fit the bundle: pictures, their size, the context."""
    tokens = section.tokens
    ids = [tokens.begin]
    spans: list[Span] = []
    pictures: list[NDArray[np.float32]] = []
    ends: list[int] = []
    for part in prompt.parts:
        if isinstance(part, np.ndarray):
            ids.append(tokens.begin_image)
            spans.append(Span(len(ids), len(ids) + len(part)))
            pictures.append(part)
            ids += [tokens.image] * len(part)
            ids.append(tokens.end_image)
        else:
            ids += tokenizer.encode_markup(part.text) if isinstance(part, Markup) else tokenizer.encode(part)
        ends.append(len(ids))
    _check(section, len(ids), pictures)
    digests = tuple(hashlib.sha256(np.ascontiguousarray(picture).data).digest() for picture in pictures)
    return Layout(np.asarray(ids, np.int64), tuple(spans), tuple(pictures), digests, tuple(sorted({ends[0], ends[-1]})))


def _check(section: ReportSection, length: int, pictures: list[NDArray[np.float32]]) -> None:
    if length == 1:
        raise EngineError("the prompt is empty: put a text into it")
    most = section.pictures if section.picture is not None else 0
    if len(pictures) > most:
        raise EngineError(f"the prompt holds {len(pictures)} pictures, expected {most} at most: leave some out")
    for picture in pictures:
        expected = section.picture.tokens if section.picture is not None else 0
        if picture.ndim != 2 or len(picture) != expected or picture.dtype != np.float32:
            raise EngineError(
                f"a picture's embeddings are {picture.shape} {picture.dtype}, expected ({expected}, hidden) float32: "
                "make them with embed_picture()"
            )
    if length >= section.context:
        raise EngineError(
            f"the prompt takes {length} positions, the bundle has {section.context} for prompt and answer together: "
            "shorten it"
        )
