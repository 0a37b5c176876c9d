"""The language model of a bundle, opened: pictures to embeddings, prompts to answers, as they are written.

Not for: what is asked (prompt.py) and what becomes of the answers (draft.py).
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Hashable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from threading import Event
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.engines import open_sized_engine
from cathrt.runtime.errors import EngineError
from cathrt.runtime.models.report.contract import IMAGE_EMBEDDINGS, LOGITS, PIXELS
from cathrt.runtime.models.report.decoder import Decoder
from cathrt.runtime.models.report.faults import section_of
from cathrt.runtime.models.report.grammar import Grammar
from cathrt.runtime.models.report.layout import laid_out
from cathrt.runtime.models.report.picture import pixels
from cathrt.runtime.models.report.prompt_parts import Answer, Asked, Ended, Prompt
from cathrt.runtime.models.report.sampling import chooser
from cathrt.runtime.models.report.section import DECODER, EMBEDDING, PREFILL, VISION, ReportSection
from cathrt.runtime.models.report.tokens import TextStream, Tokenizer
from cathrt.runtime.models.report.watch import Watch, nothing
from cathrt.runtime.ports import SizedEngine

_MOST_PICTURES = 64  # whose embeddings are kept; 4B: 2.6 MB each

Answering = Generator[str, None, Answer]


@dataclass(frozen=True, slots=True)
class Networks:
    """The opened networks. vision: None where the bundle reads no pictures. prefill: None where the decoder does it."""

    vision: SizedEngine | None
    embedding: SizedEngine
    decoder: SizedEngine
    prefill: SizedEngine | None = None

    def close(self) -> None:
        for engine in (self.vision, self.embedding, self.decoder, self.prefill):
            if engine is not None:
                engine.close()


class ReportModel:
    """Not thread-safe. section: of the bundle. Use as a context manager, or call close().

    now_ns: monotonic clock. give_way: called before every run of a network; may take as long as it wants, so that
    others get the processor. check: called before a result is handed out; raises where it must not be.
    """

    def __init__(
        self,
        section: ReportSection,
        networks: Networks,
        tokenizer: Tokenizer,
        *,
        now_ns: Callable[[], int] = time.monotonic_ns,
        give_way: Callable[[], None] = nothing,
        check: Callable[[], None] = nothing,
    ) -> None:
        self.section = section
        self.tokenizer = tokenizer
        self._networks = networks
        self._decoder = Decoder(networks.embedding, networks.decoder, section, networks.prefill)
        self._pictures: OrderedDict[Hashable, NDArray[np.float32]] = OrderedDict()
        self._now_ns, self._give_way, self._check = now_ns, give_way, check

    def embed_picture(self, grey: NDArray[np.float32], key: Hashable = None) -> NDArray[np.float32]:
        """A key frame's soft tokens, (tokens, hidden) float32, read-only.

        grey: (rows, columns) float32 in [0, 1], windowed as section.picture says. key: what the frame is known by; its
        embeddings are kept, and found again by it; None: they are not. Raises EngineError.
        """
        picture, vision = self.section.picture, self._networks.vision
        if picture is None or vision is None:
            raise EngineError("this bundle reads no pictures: write the prompt without them")
        if key is not None and key in self._pictures:
            self._pictures.move_to_end(key)
            return self._pictures[key]
        self._give_way()
        found: NDArray[np.float32] = vision.run({PIXELS: pixels(grey, picture)})[IMAGE_EMBEDDINGS][0].copy()
        if not np.isfinite(found).all():
            raise EngineError(
                "the vision network's output is not finite: it overflows in this precision: export the bundle in "
                "bfloat16 or float32"
            )
        self._check()
        found.flags.writeable = False
        if key is not None:
            self._pictures[key] = found
            if len(self._pictures) > _MOST_PICTURES:
                self._pictures.popitem(last=False)
        return found

    def answer(self, prompt: Prompt, asked: Asked, stop: Event) -> Answering:
        """Write the answer: yields its text as it comes, returns the Answer (`answer = yield from ...`, or answered()).

        stop: once set, no further token is computed. Raises EngineError for a prompt or schema that does not fit the
        bundle and for failures of the networks, ManifestError where a file of the bundle was changed.
        """
        watch = Watch(self._now_ns, self._give_way, asked.most_s, stop)
        layout = laid_out(prompt, self.tokenizer, self.section)
        grammar = Grammar(self.tokenizer, asked.schema) if asked.schema is not None else None
        choose, stream = chooser(asked), TextStream(self.tokenizer)
        room = min(asked.most_tokens, self.section.context - len(layout.ids))
        tokens: list[int] = []
        pieces: list[str] = []
        logits, reused = self._decoder.prefill(layout, watch.may_go_on)
        prefill_ns = watch.computed_ns()
        ended: Ended | None = watch.ended
        while ended is None and logits is not None and len(tokens) < room:
            taken = grammar.forced() if grammar is not None else []
            taken = taken or [choose(logits, grammar.allowed() if grammar is not None else None)]
            taken = taken[: room - len(tokens)]
            tokens += taken
            if piece := "".join(map(stream.add, taken)):
                pieces.append(piece)
                yield piece
            if grammar is not None:
                grammar.take(taken)
            if tokens[-1] in self.section.tokens.end or (grammar is not None and grammar.done):
                ended = "end"
            elif len(tokens) < room:
                logits = self._decoder.extend(taken, watch.may_go_on)
                ended = watch.ended
        if piece := stream.finish():
            pieces.append(piece)
            yield piece
        self._check()
        whole_ns, paused_ns = watch.computed_ns(), watch.paused_ns
        return Answer(
            text="".join(pieces),
            tokens=tuple(tokens),
            ended=ended or "length",
            prompt_tokens=len(layout.ids),
            reused_tokens=reused,
            prefill_ns=prefill_ns,
            decode_ns=whole_ns - prefill_ns,
            paused_ns=paused_ns,
        )

    def close(self) -> None:
        self._networks.close()
        self._pictures.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def answered(answering: Answering) -> Answer:
    """The end of an answer, without looking at its text on the way."""
    while True:
        try:
            next(answering)
        except StopIteration as end:
            answer: Answer = end.value
            return answer


def open_report_model(
    bundle: Bundle,
    config: EngineConfig,
    engine: str,
    *,
    now_ns: Callable[[], int] = time.monotonic_ns,
    give_way: Callable[[], None] = nothing,
) -> ReportModel:
    """Open the bundle's networks on one engine. The bundle must stay open for as long as the model is used.

    now_ns, give_way: as ReportModel's. Raises ManifestError where the bundle is no report model or its
    tokenizer is none, and EngineError as engines.open_sized_engine() does.
    """
    section = section_of(bundle.manifest)
    with ExitStack() as opened:
        engines: dict[str, SizedEngine] = {}
        for role in (VISION, EMBEDDING, DECODER, PREFILL):
            if role in bundle.manifest.networks:
                # An embedding is a lookup: further threads of it would only spin beside the decoder's.
                own = replace(config, threads=1) if role == EMBEDDING else config
                engines[role] = open_sized_engine(engine, bundle, role, own)
                opened.callback(engines[role].close)
        logits = next(tensor for tensor in engines[DECODER].outputs if tensor.name == LOGITS)
        vocabulary = logits.in_bucket(engines[DECODER].buckets[0]).shape[-1]
        tokenizer = Tokenizer(bundle.read(section.tokenizer).decode("utf-8"), vocabulary, section.tokens)
        opened.pop_all()
    networks = Networks(engines.get(VISION), engines[EMBEDDING], engines[DECODER], engines.get(PREFILL))
    return ReportModel(section, networks, tokenizer, now_ns=now_ns, give_way=give_way, check=bundle.check_unchanged)
