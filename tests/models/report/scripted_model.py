"""A report model that answers what a test has written, piece by piece, and remembers what it was asked.

Not for: tokens, networks (tiny_model.py).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.model_kind import StudyRun
from cathrt.runtime.models.report.policy import ReportPolicy
from cathrt.runtime.models.report.prompt import DEFAULT_PROMPTS
from cathrt.runtime.models.report.prompt_parts import Answer, Asked, Ended, Markup, Prompt
from cathrt.runtime.models.report.section import ReportSection
from cathrt.runtime.models.report.writer import ReportWriter
from tests import lines
from tests.models.report.tiny_model import tiny_section

FACTS = (
    '{"sides":["left"],"lesions":[{"artery":"lad","segment":"6","percent":75,"occluded":false,"chronic":false}],'
    '"dominance":null,"grafts":null}'
)
ENGLISH = "The left coronary artery was shown. There is a 75% stenosis in segment 6 (proximal LAD)."
JAPANESE = "左冠動脈が造影されている。#6（左前下行枝近位部）に75%狭窄を認める。"
ANSWERS = {"facts": FACTS, "en": ENGLISH, "ja": JAPANESE}
SECTION = replace(tiny_section(), prompts=DEFAULT_PROMPTS, most_tokens=200)
BUNDLE = Bundle(
    path=Path("nowhere"),
    manifest=replace(lines.MANIFEST, name="scripted", model=SECTION),
    manifest_sha256="c" * 64,
    signed_by="0" * 64,
)
LEFT = StudyRun("run-left", "pass-left", "left", (7, 2), (0.9, 0.6))
RIGHT = StudyRun("run-right", "pass-right", "right", (4,), (0.8,))
NEITHER = StudyRun("run-neither", "pass-neither", None, (), ())
Pieces = Generator[str, None, Answer]


def _nothing(name: str, piece: int) -> None:
    """At no piece anything happens."""


@dataclass
class ScriptedModel:
    """Fits writer.Reporting. answers: by what is asked for. ends: how each ends, "end" where not said.

    at_piece(name, number): before each piece of 8 characters.
    """

    answers: Mapping[str, str] = field(default_factory=lambda: dict(ANSWERS))
    ends: Mapping[str, Ended] = field(default_factory=dict)
    at_piece: Callable[[str, int], None] = _nothing
    section: ReportSection = SECTION
    asked: list[tuple[str, Prompt, Asked]] = field(default_factory=list)
    pictures: list[NDArray[np.float32]] = field(default_factory=list)
    closed: int = 0

    def embed_picture(self, grey: NDArray[np.float32]) -> NDArray[np.float32]:
        self.pictures.append(grey)
        return np.full((5, 4), len(self.pictures), np.float32)

    def answer(self, prompt: Prompt, asked: Asked, stop: threading.Event) -> Pieces:
        name = "facts" if asked.schema is not None else "ja" if "日本語" in text_of(prompt) else "en"
        self.asked.append((name, prompt, asked))
        text, said = self.answers[name], ""
        for number, start in enumerate(range(0, len(text), 8)):
            if stop.is_set():
                return _answer(said, "stopped")
            self.at_piece(name, number)
            said += text[start : start + 8]
            yield text[start : start + 8]
        return _answer(said, self.ends.get(name, "end"))

    def close(self) -> None:
        self.closed += 1


def _answer(text: str, ended: Ended) -> Answer:
    return Answer(text, tuple(range(len(text))), ended, 40, 12, 2_000_000, 3_000_000, 0)


def text_of(prompt: Prompt) -> str:
    """All of a prompt that is text."""
    return "".join(
        part.text if isinstance(part, Markup) else part for part in prompt.parts if isinstance(part, Markup | str)
    )


def scripted_writer(model: ScriptedModel, policy: ReportPolicy | None = None) -> ReportWriter:
    """A writer whose networks are the script."""
    return ReportWriter(BUNDLE, EngineConfig(), policy, lambda told: model)
