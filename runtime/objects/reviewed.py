"""Editions of a study's results that say what people have decided: one for each finished review, each in the place of
the one before.

Made of the durable records alone: the review names the decisions that count and the records that they rest on, so what
comes later changes no edition. Not for: what may be decided (runtime/decisions/), when editions are due (due.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from cathrt.runtime.alert import (
    Correction,
    DraftSigned,
    PersonDecided,
    ReviewFinished,
    StudyFinding,
    StudyFindings,
)
from cathrt.runtime.decisions.standing import OfPerson
from cathrt.runtime.decisions.words import in_words
from cathrt.runtime.objects.results import Algorithm, Decision, KeyFrame, RunEvidence, StudyResults
from cathrt.runtime.objects.run_words import run_words

CORRECTED = "corrected_by_a_person"  # a flag of a run
_NO_FRAME_LEFT = ("no key frame is left", "キーフレームなし")


def reviewed_results(
    bases: Sequence[tuple[ReviewFinished, StudyResults]], of_people: Mapping[str, OfPerson]
) -> StudyResults:
    """The edition of the last of these reviews.

    bases: all reviews of one revision up to that one, in order, each with the undecided results of the records that it
    names. of_people: the records that the reviews name, by id.
    """
    previous: StudyResults | None = None
    for number, (review, base) in enumerate(bases, 1):
        previous = _next(previous or base, number, review, base, of_people)
    assert previous is not None
    return previous


def _next(
    previous: StudyResults, number: int, review: ReviewFinished, base: StudyResults, of_people: Mapping[str, OfPerson]
) -> StudyResults:
    decisions = [one for id_ in review.decisions if isinstance(one := of_people.get(id_), PersonDecided)]
    signed = [one for id_ in review.signoffs if isinstance(one := of_people.get(id_), DraftSigned)]
    numbers = {run.run_id: place for place, run in enumerate(base.evidence, 1)}
    decision = Decision(
        what=review.what,
        by=_who(review.by_name, review.by),
        at=datetime.fromisoformat(review.at),
        text=_text(review, decisions, signed, numbers),
        number=number,
        record_id=review.id,
    )
    readings, withdrawn = _corrected_readings(base.readings, decisions)
    evidence = [_corrected_run(run, decisions) for run in base.evidence]
    made = previous.decided(decision, evidence, readings)
    return replace(
        made, draft=base.draft, unjudged=base.unjudged, notice=base.notice, patient=base.patient, withdrawn=withdrawn
    )


def _who(name: str, user: str) -> str:
    return name if name == user else f"{name} ({user})"


def _text(
    review: ReviewFinished,
    decisions: Iterable[PersonDecided],
    signed: Iterable[DraftSigned],
    numbers: Mapping[str, int],
) -> str:
    """All decisions in words; who made one, where that is not who finished the review."""
    lines = []
    for one in decisions:
        by = "" if one.by == review.by else f" by {_who(one.by_name, one.by)}"
        said = f" [{_one_line(one.text)}]" if one.text.strip() else ""
        lines.append(f"{in_words(one, numbers)[0]}{by}{said}")
    lines += [f"draft read by {_who(one.by_name, one.by)} at {one.at}" for one in signed]
    lines += [_one_line(review.text)] if review.text.strip() else []
    return "; ".join(lines)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _corrected_run(run: RunEvidence, decisions: Sequence[PersonDecided]) -> RunEvidence:
    """The run as people have it. decisions: of the whole study."""
    made = run
    for one in (each for each in decisions if each.thing.run_id == run.run_id):
        made = _with_side(made, one) if one.thing.kind == "side" else _with_frame(made, one)
    if made is run:
        return run
    pairs = [(key.frame_number, key.score) for key in made.key_frames]
    words, words_ja = run_words(made.laterality, made.laterality_score, pairs) if pairs else _NO_FRAME_LEFT
    return replace(
        made,
        text=f"corrected by a person: {words}",
        text_ja=f"訂正済み：{words_ja}",
        flags=(*run.flags, CORRECTED),
    )


def _with_side(run: RunEvidence, decision: PersonDecided) -> RunEvidence:
    if decision.what == "rejected":
        return replace(run, laterality="unknown", laterality_score=None)
    if decision.correction is None or decision.correction.side is None:
        return run
    return replace(run, laterality=decision.correction.side, laterality_score=None)


def _with_frame(run: RunEvidence, decision: PersonDecided) -> RunEvidence:
    thing, said = decision.thing, decision.said
    assert thing.frame_index is not None
    assert said is not None
    number = thing.frame_index + 1
    there = next((key for key in run.key_frames if key.frame_number == number), None)
    if decision.what == "rejected":
        return run if there is None else _without(run, there)
    if decision.correction is None:
        return run
    tells_readability = any(key.readability is not None for key in (*run.key_frames, *run.withdrawn))

    def chosen(frame_number: int, score: float | None) -> KeyFrame:
        assert score is not None
        return KeyFrame(frame_number, score, score if tells_readability else None, by_person=True)

    if decision.correction.frame_index is None:  # added
        return run if there is not None else replace(run, key_frames=(*run.key_frames, chosen(number, said.score)))
    other = chosen(decision.correction.frame_index + 1, said.score_instead)
    if there is None:
        return run
    kept = tuple(other if key is there else key for key in run.key_frames if key.frame_number != other.frame_number)
    return replace(run, key_frames=kept, withdrawn=(*run.withdrawn, there))


def _without(run: RunEvidence, key: KeyFrame) -> RunEvidence:
    kept = tuple(one for one in run.key_frames if one is not key)
    return replace(run, key_frames=kept, withdrawn=(*run.withdrawn, key))


def _corrected_readings(
    readings: Iterable[StudyFindings], decisions: Iterable[PersonDecided]
) -> tuple[tuple[StudyFindings, ...], tuple[tuple[Algorithm, StudyFinding], ...]]:
    """The readings as people have them, without those of which nothing is left; and what was rejected."""
    by_name = {(one.thing.bundle, one.thing.finding): one for one in decisions if one.thing.kind == "finding"}
    kept: list[StudyFindings] = []
    withdrawn: list[tuple[Algorithm, StudyFinding]] = []
    for record in readings:
        reading = record.reading
        by = Algorithm(reading.bundle, reading.manifest_sha256[:16], reading.manifest_sha256, reading.engine)
        findings = []
        for finding in reading.findings:
            decision = by_name.get((reading.bundle, finding.name))
            if decision is not None and decision.what == "rejected":
                withdrawn.append((by, finding))
            else:
                correction = None if decision is None else decision.correction
                findings.append(finding if correction is None else corrected_finding(finding, correction))
        if findings:
            kept.append(replace(record, reading=replace(reading, findings=tuple(findings))))
    return tuple(kept), tuple(withdrawn)


def corrected_finding(finding: StudyFinding, correction: Correction) -> StudyFinding:
    """The finding with what a person says in place of the model's answer. A probability stays the model's number."""
    if correction.value is not None:
        positive = None if finding.threshold is None else correction.value > finding.threshold
        model = f"{finding.value:.1f} {finding.unit}".strip()
        return replace(
            finding,
            value=correction.value,
            positive=positive,
            margin=None,
            label=f"a person says so (model: {model})",
            label_ja=f"判定者による（モデル：{model}）",
        )
    said, said_ja = _said(correction)
    model, model_ja = finding.label or f"{finding.value:.2f}", finding.label_ja or f"{finding.value:.2f}"
    return replace(
        finding,
        positive=correction.positive if correction.positive is not None else finding.positive,
        margin=None,
        label=f"a person says {said} (model: {model})",
        label_ja=f"判定者：{said_ja}（モデル：{model_ja}）",
    )


def _said(correction: Correction) -> tuple[str, str]:
    if correction.positive is not None:
        return ("yes", "あり") if correction.positive else ("no", "なし")
    assert correction.label is not None
    return correction.label, correction.label
