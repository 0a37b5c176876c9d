"""One draft: facts by grammar, prose in English and in Japanese from the same facts, the check, what is left of it.

What is finished stays finished where the draft is left and taken up again. Not for: networks (model.py), what a text
may say (check.py), which study is next (study/drafting.py).
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.alert import Struck
from cathrt.runtime.models.report.check import check_prose
from cathrt.runtime.models.report.facts import Facts, Findings
from cathrt.runtime.models.report.policy import ReportPolicy
from cathrt.runtime.models.report.prompt import Part, PictureMark, facts_prompt, prose_prompt
from cathrt.runtime.models.report.prompt_parts import Answer, Asked, Markup, Prompt
from cathrt.runtime.models.report.records import AnswerTimes
from cathrt.runtime.models.report.schema import FactsError, facts_faults, facts_from_json, facts_schema
from cathrt.runtime.models.report.section import LANGUAGES, Language, ReportSection

Embeddings = NDArray[np.float32]  # of one picture, (tokens, hidden)


class Answering(Protocol):
    """What a draft needs of a model (model.ReportModel)."""

    @property
    def section(self) -> ReportSection: ...
    def answer(self, prompt: Prompt, asked: Asked, stop: threading.Event) -> Generator[str, None, Answer]: ...


@dataclass(frozen=True, slots=True)
class Written:
    """What a draft says. text: by language; empty where withheld. times: of each answer, "facts" and by language."""

    facts: Facts | None
    text: Mapping[Language, str]
    struck: tuple[Struck, ...]
    omitted: tuple[str, ...]
    withheld: str | None
    times: Mapping[str, AnswerTimes]
    prompt_sha256: str


@dataclass(slots=True)
class Drafting:
    """The draft of one study while it is written.

    pictures: by index in findings.key_frames, of those that the prompt shows. policy: how answers are chosen and how
    long each may take.
    """

    findings: Findings
    pictures: Mapping[int, Embeddings]
    policy: ReportPolicy
    _facts: Facts | None = None
    _prose: dict[Language, str] = field(default_factory=dict)
    _times: dict[str, AnswerTimes] = field(default_factory=dict)
    _prompts: dict[str, str] = field(default_factory=dict)

    def go_on(self, model: Answering, stop: threading.Event, told: Callable[[], None]) -> Written | None:
        """Write what is left of it. None once stop is set: go on later. Raises EngineError."""
        if self._facts is None:
            answer = self._asked(model, "facts", facts_prompt(model.section, self.findings), stop, told)
            if answer is None:
                return None
            if answer.ended != "end":
                return self._withheld(f"the facts were not finished within the {_limit(answer, model, self.policy)}")
            try:
                facts = facts_from_json(answer.text)
            except FactsError as exc:
                return self._withheld(str(exc))
            if faults := facts_faults(facts):
                return self._withheld(f"the facts contradict each other: {'; '.join(faults)}", facts)
            self._facts = facts
        for language in LANGUAGES:
            if language in self._prose:
                continue
            answer = self._asked(model, language, prose_prompt(model.section, language, self._facts), stop, told)
            if answer is None:
                return None
            if answer.ended != "end":
                limit = _limit(answer, model, self.policy)
                return self._withheld(f"the text ({language}) was not finished within the {limit}", self._facts)
            self._prose[language] = answer.text
        return self._checked(self._facts)

    def _asked(
        self, model: Answering, name: str, parts: Sequence[Part], stop: threading.Event, told: Callable[[], None]
    ) -> Answer | None:
        schema = facts_schema(self.findings) if name == "facts" else None
        asked = Asked(
            most_tokens=model.section.most_tokens,
            most_s=self.policy.most_s,
            schema=schema,
            temperature=self.policy.temperature,
            top_p=self.policy.top_p,
            seed=self.policy.seed,
        )
        self._prompts[name] = "".join(self._named(part) for part in parts)
        answering = model.answer(Prompt(tuple(self._filled(part) for part in parts)), asked, stop)
        answer = _end_of(answering, told)
        if answer.ended == "stopped":
            return None
        self._times[name] = AnswerTimes(
            prompt_tokens=answer.prompt_tokens,
            reused_tokens=answer.reused_tokens,
            prefill_ms=answer.prefill_ns / 1e6,
            tokens=len(answer.tokens),
            decode_ms=answer.decode_ns / 1e6,
            ended=answer.ended,
        )
        return answer

    def _filled(self, part: Part) -> Markup | Embeddings:
        """Every text of a prompt is the bundle's own, filled from a closed vocabulary (prompt.py): none of a study."""
        return self.pictures[part.index] if isinstance(part, PictureMark) else Markup(part)

    def _named(self, part: Part) -> str:
        """The part as the prompt's hash sees it: a picture by its frame, so that the hash is the same on any engine."""
        if isinstance(part, PictureMark):
            frame = self.findings.key_frames[part.index]
            return f"\0{frame.run_id}/{frame.frame_index}\0"
        return part

    def _checked(self, facts: Facts) -> Written:
        checked = check_prose(self._prose, facts, self.findings)
        struck = [
            Struck(language=one.language, reason=one.reason, detail=one.detail, sentence=one.sentence)
            for one in checked.struck
        ]
        return self._written(
            facts=facts,
            text={} if checked.withheld is not None else dict(checked.kept),
            struck=tuple(struck),
            omitted=tuple(f"{language}: {item}" for language in LANGUAGES for item in checked.omissions[language]),
            withheld=checked.withheld,
        )

    def _withheld(self, reason: str, facts: Facts | None = None) -> Written:
        return self._written(facts=facts, text={}, struck=(), omitted=(), withheld=reason)

    def _written(self, **values: Any) -> Written:
        prompts = "\0\0".join(f"{name}\0{text}" for name, text in self._prompts.items())
        return Written(**values, times=dict(self._times), prompt_sha256=hashlib.sha256(prompts.encode()).hexdigest())


def _end_of(answering: Generator[str, None, Answer], told: Callable[[], None]) -> Answer:
    """told: comes with each piece of text."""
    while True:
        try:
            next(answering)
        except StopIteration as end:
            answer: Answer = end.value
            return answer
        told()


def _limit(answer: Answer, model: Answering, policy: ReportPolicy) -> str:
    if answer.ended == "time":
        return f"{policy.most_s:g} s of policy.report.most_s"
    return f"{len(answer.tokens)} tokens that the bundle allows (at most {model.section.most_tokens})"
