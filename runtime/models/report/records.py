"""What the report model puts into records: a draft a study. Not for: how it comes about (draft.py, check.py)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from cathrt.runtime.alert import Count, Draft
from cathrt.runtime.models.report.facts import Facts, KeyFrame
from cathrt.runtime.models.report.template import prose_from_facts


@dataclass(frozen=True, slots=True)
class AnswerTimes:
    """What one answer took. reused_tokens: of the prompt's, computed by an earlier answer. prefill_ms: to the prompt's
    last token. decode_ms: the answer. ended: "end", or what cut it short: "length" (too many tokens) or "time".
    """

    prompt_tokens: Count
    reused_tokens: Count
    prefill_ms: float
    tokens: Count
    decode_ms: float
    ended: Literal["end", "length", "time"]


@dataclass(frozen=True, slots=True)
class ReportDraft(Draft):
    """A draft in both languages from one set of facts.

    key_frames: those whose pictures the model was shown. facts: None where it did not come so far. facts_times,
    text_times, text_ja_times: of each answer; None for one that was not asked for.
    findings_sha256: of what was confirmed before anything was written. prompt_sha256: of all prompts, in order; None
    where there was none.
    """

    kind: Literal["report"] = field(default="report", kw_only=True)
    key_frames: tuple[KeyFrame, ...]
    facts: Facts | None
    facts_times: AnswerTimes | None
    text_times: AnswerTimes | None
    text_ja_times: AnswerTimes | None
    findings_sha256: str
    prompt_sha256: str | None

    @property
    def in_words(self) -> tuple[str, ...]:
        if self.facts is None:
            return ()
        return prose_from_facts("en", self.facts), prose_from_facts("ja", self.facts)
