"""What two keyframe models, or two engines of one, answer alike on the same runs: classes, sides, key frames.

By the records of the line, as an operator gets them. Not for: an engine against its float32 reference, by logits
(comparison.py), or limits: nothing is signed by these figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cathrt.export.compare.agreement import AgainstTruth, Agreement, Common, Difference
from cathrt.export.compare.pairs import Answers, RunPair
from cathrt.export.models.keyframe.demo.evaluate import HIT_FRAMES
from cathrt.export.models.keyframe.truth import best_frames, side_shown
from cathrt.export.qualify.intervals import Share
from cathrt.runtime.bundle.manifest import Manifest
from cathrt.runtime.models.keyframe.records import KeyframeFinding, KeyframeResult
from cathrt.runtime.models.keyframe.section import section_of
from cathrt.runtime.phantom import FrameLabel

# First-ranked key frames so near count as the same: HIT_FRAMES frames, or at high frame rates this time.
NEAR_MS = 200.0
_OTHERS = 12  # frames of the same answer that are kept for their pictures, those whose scores differ most

Counted = list[bool]


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one side says of a frame. likeliest: class; "" where the two sides have other labels.

    scores: by class; where labels differ the score alone.
    """

    likeliest: str
    laterality: str
    outside: str | None
    scores: Mapping[str, float]

    def __str__(self) -> str:
        named = f"side {self.laterality}" if self.outside is None else f"outside: {self.outside}"
        return f"{self.likeliest}, {named}" if self.likeliest else named


def agreement(pairs: Sequence[RunPair], a: Manifest, b: Manifest) -> Agreement:
    """Compare the answers. a, b: of the two sides, whose labels may differ; then classes are not compared."""
    labels = [tuple(label.name for label in section_of(manifest).labels) for manifest in (a, b)]
    same_labels = set(labels[0]) == set(labels[1])
    classes, sides, domains, differences, by_one = Counted(), Counted(), Counted(), list[Difference](), 0
    for pair in pairs:
        of_a, of_b = _findings(pair.a), _findings(pair.b)
        by_one += len(of_a.keys() ^ of_b.keys())
        for index in sorted(of_a.keys() & of_b.keys()):
            one, other = (
                _answer(found[index], names if same_labels else ())
                for found, names in zip((of_a, of_b), labels, strict=True)
            )
            classes.append(one.likeliest == other.likeliest)
            sides.append(one.laterality == other.laterality)
            domains.append(one.outside == other.outside)
            differences.append(_difference(pair, index, one, other))
    results = [(_result(pair.a), _result(pair.b)) for pair in pairs]
    near = [_near(pair, *both) for pair, both in zip(pairs, results, strict=True)]
    common = (
        Common("frames_same_class", "frames of the same class", _share(classes) if same_labels else None),
        Common("frames_same_laterality", "frames of the same side", _share(sides)),
        Common("frames_same_domain", "frames of the same answer on the domain", _share(domains)),
        Common(
            "runs_same_laterality", "runs of the same side", _share([x.laterality == y.laterality for x, y in results])
        ),
        Common(
            "runs_same_key_frame",
            f"runs of the same key frame, within {HIT_FRAMES} frames or {NEAR_MS:g} ms",
            _share(near),
        ),
    )
    ordered = sorted(differences, key=lambda one: (not one.flip, -one.amount))
    kept = sum(one.flip for one in ordered) + _OTHERS
    return Agreement(len(classes), by_one, common, _against_truth(pairs), tuple(ordered[:kept]))


def _answer(finding: KeyframeFinding, labels: Sequence[str]) -> _Answer:
    """labels: in the order of the finding's scores; none where classes are not compared."""
    scores = dict(zip(labels, finding.class_scores, strict=True)) if labels else {"score": finding.score}
    likeliest = max(scores, key=lambda name: scores[name]) if labels else ""
    return _Answer(likeliest, finding.laterality, finding.outside, scores)


def _difference(pair: RunPair, index: int, a: _Answer, b: _Answer) -> Difference:
    apart = sum(abs(score - b.scores[name]) for name, score in a.scores.items())
    return Difference(
        number=pair.number,
        run_id=pair.run.run_id,
        source=pair.run.source,
        frame_index=index,
        a=str(a),
        b=str(b),
        flip=(a.likeliest, a.laterality, a.outside) != (b.likeliest, b.laterality, b.outside),
        amount=min(apart / 2.0 if a.likeliest else apart, 1.0),  # of classes the total variation
        scores=tuple((name, score, b.scores[name]) for name, score in a.scores.items()),
    )


def _findings(answers: Answers) -> dict[int, KeyframeFinding]:
    return {
        verdict.frame_index: finding
        for verdict in answers.verdicts
        for finding in verdict.findings
        if isinstance(finding, KeyframeFinding)
    }


def _result(answers: Answers) -> KeyframeResult:
    (result,) = (result for result in answers.summary.results if isinstance(result, KeyframeResult))
    return result


def _near(pair: RunPair, a: KeyframeResult, b: KeyframeResult) -> bool:
    """Whether the first-ranked key frames are the same, or both sides have none."""
    if not a.marked_frames or not b.marked_frames:
        return a.marked_frames == b.marked_frames
    first, second = a.marked_frames[0], b.marked_frames[0]
    apart_ms = abs(pair.run.timing.due_ms(first) - pair.run.timing.due_ms(second))
    return abs(first - second) <= HIT_FRAMES or apart_ms <= NEAR_MS + 1e-6


def _against_truth(pairs: Sequence[RunPair]) -> tuple[AgainstTruth, ...]:
    """Of generated runs; nothing where there is none."""
    known = [(pair, pair.labels) for pair in pairs if pair.labels is not None]
    if not known:
        return ()
    counted = {name: (Counted(), Counted()) for name in ("frames", "runs", "hits", "silent")}
    for pair, labels in known:
        side, best = _side(labels), best_frames(labels)
        for place, answers in enumerate((pair.a, pair.b)):
            result = _result(answers)
            for index, finding in _findings(answers).items():
                if (shown := side_shown(labels[index])) is not None:
                    counted["frames"][place].append(finding.laterality == shown)
            if side is not None:
                counted["runs"][place].append(result.laterality == side)
            else:
                counted["silent"][place].append(result.laterality == "unknown" and not result.marked_frames)
            if best:
                first = result.marked_frames[:1]
                counted["hits"][place].append(any(abs(frame - one) <= HIT_FRAMES for frame in first for one in best))
    texts = {
        "frames": ("frames_right_laterality", "frames that show an artery: its side named"),
        "runs": ("runs_right_laterality", "runs of a coronary artery: its side named"),
        "hits": (
            "runs_key_frame_hit",
            f"runs with something to read: key frame within {HIT_FRAMES} frames of a best one",
        ),
        "silent": ("runs_rightly_silent", "runs without a coronary artery: no side and no key frame"),
    }
    return tuple(AgainstTruth(*texts[name], _share(a), _share(b)) for name, (a, b) in counted.items())


def _side(labels: Sequence[FrameLabel]) -> str | None:
    return next((label.laterality for label in labels if label.laterality is not None), None)


def _share(counted: Counted) -> Share | None:
    return Share(sum(counted), len(counted)) if counted else None
