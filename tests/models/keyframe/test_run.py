"""The keyframe model's part in a run: what it tells while frames come, what the run amounts to, and in which words."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import pytest

from cathrt.runtime.bundle.manifest import Section
from cathrt.runtime.config import Policy
from cathrt.runtime.errors import ManifestError
from cathrt.runtime.frame import Geometry
from cathrt.runtime.model_kind import Judged, Raised
from cathrt.runtime.models.keyframe.policy import KeyframePolicyConfig
from cathrt.runtime.models.keyframe.records import KeyframeFinding, KeyFrameNews, KeyframeResult, Laterality
from cathrt.runtime.models.keyframe.run import KeyframeOnFrames, KeyframeRun
from tests.lines import BUNDLE, MANIFEST, ArraySource

FILLING = [0.1, 0.6, 0.9, 0.7, 0.3, 0.1]  # P(better); the best frame is 2, and 4 releases it


def part(geometry: Geometry | None = None, policy: Policy | None = None) -> KeyframeRun:
    return KeyframeOnFrames(BUNDLE, policy).begin(ArraySource([], geometry=geometry or Geometry()).run)


def judged(index: int, score: float, side: Laterality = "left") -> Judged:
    """A frame that shows only `side`, with that P(better)."""
    classes = (score, 0.0, 1.0 - score) if side == "left" else (0.0,) * 3
    classes += (score, 0.0, 1.0 - score) if side == "right" else (0.0,) * 3
    finding = KeyframeFinding(side, 1.0, classes, engine="fake", score=score)
    return Judged(index, index * 1000.0 / 15.0, f"v{index}", finding, due_ns=index)


def over(run: KeyframeRun, scores: list[float], side: Laterality = "left") -> list[list[Raised]]:
    """What was raised at each frame, and at the run's end."""
    return [list(run.observe(judged(i, score, side))) for i, score in enumerate(scores)] + [list(run.finish())]


def test_a_key_frame_is_told_when_it_is_known_and_about_the_frame_that_it_is() -> None:
    at_each = over(part(), FILLING)

    assert [len(raised) for raised in at_each] == [0, 0, 0, 0, 1, 0, 0]
    (raised,) = at_each[4]
    assert raised == Raised(
        judged(2, 0.9),
        KeyFrameNews(
            "left",
            score=0.9,
            text="key frame, left coronary, score 0.90",
            text_ja="キーフレーム、左冠動脈、スコア 0.90",
        ),
    )


def test_a_candidate_that_is_open_at_the_run_s_end_is_told_then() -> None:
    *during, (raised,) = over(part(), FILLING[:3], "right")

    assert not any(during)
    assert (raised.about.index, raised.news.text) == (2, "key frame, right coronary, score 0.90")
    assert raised.news.text_ja == "キーフレーム、右冠動脈、スコア 0.90"


def test_the_result_is_vote_and_ranking_with_the_bundle_that_gave_them() -> None:
    run = part()
    over(run, FILLING)

    made = run.result("a, b (fallback for a)")

    assert isinstance(made, KeyframeResult)
    assert (made.kind, made.laterality, made.laterality_score, made.laterality_mismatch) == (
        "keyframe", "left", 1.0, None,
    )  # fmt: skip
    assert (made.marked_frames, made.marked_scores) == ((2,), (0.9,))
    assert (made.bundle, made.manifest_sha256) == (MANIFEST.name, BUNDLE.manifest_sha256)
    assert made.engine == "a, b (fallback for a)"
    assert made.text == "left coronary, score 1.00; key frames, best first: 2 (0.90)"
    assert made.text_ja == "左冠動脈、スコア 1.00、キーフレーム 2 (0.90)"


def test_no_result_is_said_in_words() -> None:
    made = part().result("fake")

    assert (made.laterality, made.laterality_score, made.laterality_mismatch) == ("unknown", 0.0, None)
    assert made.marked_frames == made.marked_scores == ()
    assert made.text == "side unknown, score 0.00; key frames, best first: none"
    assert made.text_ja == "左右不明、スコア 0.00、キーフレーム なし"


def test_frames_of_unknown_side_have_no_vote_but_may_be_key_frames() -> None:
    run = part()
    (raised,) = [one for at in over(run, FILLING, "unknown") for one in at]

    assert raised.news.text == "key frame, side unknown, score 0.90"
    made = run.result("fake")
    assert (made.laterality, made.marked_frames) == ("unknown", (2,))


@pytest.mark.parametrize(
    ("primary", "secondary", "mismatch"), [(50.0, 0.0, True), (-35.0, -35.0, False), (None, None, None)]
)
def test_an_angle_that_does_not_go_with_the_side_is_said_and_changes_nothing_else(
    primary: float | None, secondary: float | None, mismatch: bool | None
) -> None:
    run, plain = part(Geometry(primary, secondary)), part()
    for each in (run, plain):
        over(each, FILLING)
    made, without = run.result("fake"), plain.result("fake")

    assert made.laterality_mismatch is mismatch
    assert replace(made, laterality_mismatch=None, text="", text_ja="") == replace(without, text="", text_ja="")
    assert made.text == without.text + ("; C-arm angle unusual for this side" if mismatch else "")


def test_one_model_serves_many_runs_and_no_run_sees_another() -> None:
    model = KeyframeOnFrames(BUNDLE, None)
    one, other = (model.begin(ArraySource([]).run) for _ in range(2))
    over(one, FILLING)

    assert other.result("fake") == part().result("fake")
    assert over(other, FILLING) == over(part(), FILLING)


def test_the_policy_is_that_of_its_table_or_its_defaults() -> None:
    @dataclass(frozen=True, slots=True)
    class Another(Policy):
        confirm_frames: int = 99

    assert KeyframeOnFrames(BUNDLE, KeyframePolicyConfig(max_per_run=1)).policy.max_per_run == 1
    assert KeyframeOnFrames(BUNDLE, None).policy == KeyframePolicyConfig()
    once = part(policy=KeyframePolicyConfig(max_per_run=1, refractory_s=0.0))
    twice = part(policy=KeyframePolicyConfig(refractory_s=0.0))
    assert [sum(map(len, over(run, FILLING * 3))) for run in (once, twice)] == [1, 3]


def test_every_key_of_the_policy_is_of_the_identity() -> None:
    identity = KeyframeOnFrames(BUNDLE, None).identity
    policy = KeyframePolicyConfig()

    assert identity == {field.name: getattr(policy, field.name) for field in fields(policy)}
    whole = KeyframeOnFrames(BUNDLE, KeyframePolicyConfig(refractory_s=1)).identity
    assert {name: type(value) for name, value in whole.items()} == {n: type(value) for n, value in identity.items()}


def test_a_bundle_of_another_kind_is_refused() -> None:
    @dataclass(frozen=True, slots=True)
    class Other(Section):
        kind: str = "other"

    with pytest.raises(ManifestError, match="expected keyframe"):
        KeyframeOnFrames(replace(BUNDLE, manifest=replace(MANIFEST, model=Other())), None)
