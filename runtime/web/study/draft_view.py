"""A draft for the page: sentences in both languages, each linked to facts, and these to findings and frames.

A draft does not store from which frame a fact came. A fact is linked to the frames of its side that the model was
shown, and to findings of the same artery; that is said in the answer. Not for: writing drafts (runtime/models/).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from cathrt.runtime.alert import StudyDraft, StudyFindings
from cathrt.runtime.decisions.desk import text_sha256
from cathrt.runtime.model_kind import DraftFact, DraftLinks
from cathrt.runtime.models import MODELS
from cathrt.runtime.web.study.decided_view import StudyDecided, without_frame_of_record

_ARTERY_NAMES = {"lm": "left_main"}  # where one model's name of an artery is not the other's


def draft_view(study: StudyDecided, record: StudyDraft) -> dict[str, Any]:
    """The draft, with the last signature under it."""
    draft, signed = record.draft, study.decided.signed(study.now)
    links_of = MODELS[draft.kind].links
    links = DraftLinks((), (), ()) if links_of is None else links_of(draft)
    return {
        "record_id": record.id,
        "revision": record.revision,
        "withheld": draft.withheld,
        "watermark": record.watermark,
        "watermark_ja": record.watermark_ja,
        "text": draft.text,
        "text_ja": draft.text_ja,
        "text_sha256": text_sha256(draft.text),
        "text_ja_sha256": text_sha256(draft.text_ja),
        "bundle": draft.bundle,
        "manifest_sha256": draft.manifest_sha256,
        "engine": draft.engine,
        "sentences": [asdict(one) for one in links.sentences],
        "facts": [_fact(number, fact, links, study) for number, fact in enumerate(links.facts)],
        "frames": [asdict(one) for one in links.frames],
        "struck": [asdict(one) for one in draft.struck],
        "omitted": draft.omitted,
        "unjudged": record.unjudged,
        "notice": record.notice,
        "signoff": without_frame_of_record(signed[-1]) if signed else None,
    }


def _fact(number: int, fact: DraftFact, links: DraftLinks, study: StudyDecided) -> dict[str, Any]:
    frames = [one for one in links.frames if fact.side is not None and one.side == fact.side]
    return {
        "number": number,
        **asdict(fact),
        "frames": [asdict(one) for one in frames],
        "findings": [
            {"bundle": record.reading.bundle, "finding": name}
            for record in study.now.readings
            for name in _of_artery(record, fact.artery)
        ],
        "linked_by": "side",
    }


def _of_artery(record: StudyFindings, artery: str | None) -> list[str]:
    if artery is None:
        return []
    return [one.name for one in record.reading.findings if one.artery is not None and _artery(one.artery) == artery]


def _artery(name: str) -> str:
    return _ARTERY_NAMES.get(name.lower(), name.lower())
