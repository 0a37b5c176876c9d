"""The keyframe model's part in a run: what it tells while frames come, what the run amounts to, and in which words."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cathrt.runtime.alert import Outcome, StageTimes, Verdict
from cathrt.runtime.bundle.manifest import Section
from cathrt.runtime.config import Policy
from cathrt.runtime.errors import ManifestError
from cathrt.runtime.frame import Geometry
from cathrt.runtime.journal.records import body_from_record, record_from_body
from cathrt.runtime.model_kind import Judged, Raised
from cathrt.runtime.models import record_parts
from cathrt.runtime.models.keyframe.policy import KeyframePolicyConfig
from cathrt.runtime.models.keyframe.records import KeyframeFinding, KeyFrameNews, KeyframeResult, Laterality
from cathrt.runtime.models.keyframe.run import KeyframeOnFrames, KeyframeRun
from cathrt.runtime.models.keyframe.section import (
    DomainOutput,
    DomainReason,
    KeyframeSection,
    ReadabilityOutput,
    section_of,
)
from tests.lines import BUNDLE, MANIFEST, ArraySource

FILLING = [0.1, 0.6, 0.9, 0.7, 0.3, 0.1, 0.1]  # the best frame is 2, and 5 releases it
PALE = [0.1] * 8 + [0.2, 0.3, 0.35, 0.35, 0.35, 0.3, 0.2, 0.1]  # never at the threshold
REASONS = (
    DomainReason("bars", "test bars", "テストパターン"),
    DomainReason("light", "light background", "背景が明るい"),
)
FULL = replace(
    section_of(MANIFEST),
    run_visible_threshold=0.2,
    readability=ReadabilityOutput("readability", 0.4),
    domain=DomainOutput("domain", REASONS, 0.5),
)


def part(
    geometry: Geometry | None = None, policy: Policy | None = None, section: KeyframeSection | None = None
) -> KeyframeRun:
    bundle = BUNDLE if section is None else replace(BUNDLE, manifest=replace(MANIFEST, model=section))
    return KeyframeOnFrames(bundle, policy).begin(ArraySource([], geometry=geometry or Geometry()).run)


def judged(index: int, score: float, side: Laterality = "left", outside: str | None = None) -> Judged:
    """A frame that shows only `side`, or both alike, with that P(better)."""
    left = {"left": 1.0, "right": 0.0, "unknown": 0.5}[side]
    classes = (left * score, 0.0, left * (1.0 - score), (1.0 - left) * score, 0.0, (1.0 - left) * (1.0 - score))
    finding = KeyframeFinding(side, max(left, 1.0 - left), classes, outside, engine="fake", score=score)
    return Judged(index, index * 1000.0 / 15.0, f"v{index}", finding, due_ns=index)


def over(run: KeyframeRun, scores: list[float], side: Laterality = "left") -> list[list[Raised]]:
    """What was raised at each frame, and at the run's end."""
    return [list(run.observe(judged(i, score, side))) for i, score in enumerate(scores)] + [list(run.finish())]


def test_a_key_frame_is_told_when_it_is_known_and_about_the_frame_that_it_is() -> None:
    at_each = over(part(), FILLING)

    assert [len(raised) for raised in at_each] == [0, 0, 0, 0, 0, 1, 0, 0]
    (raised,) = at_each[5]
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
    *during, (raised,) = over(part(), FILLING[:4], "right")

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


def test_no_result_is_said_in_words_and_is_not_nothing_found() -> None:
    made = part().result("fake")

    assert (made.laterality, made.laterality_score, made.laterality_mismatch) == ("unknown", 0.0, None)
    assert made.marked_frames == made.marked_scores == ()
    assert made.text == "no frame judged; no side, no key frame"
    assert made.text_ja == "判定できたフレームなし、左右不明、キーフレーム なし"


def test_a_run_that_shows_no_artery_has_no_side_and_no_key_frame() -> None:
    run = part()
    assert not any(over(run, [0.2] * 30))
    made = run.result("fake")

    assert (made.laterality, made.marked_frames, made.best_is_poor) == ("unknown", (), False)
    assert made.text == "side unknown: too little of a coronary artery in view; no key frame"
    assert made.text_ja == "左右不明：冠動脈が十分に写っていない、キーフレーム なし"


def test_frames_of_unknown_side_have_no_vote_but_may_be_key_frames() -> None:
    run = part()
    (raised,) = [one for at in over(run, FILLING, "unknown") for one in at]

    assert raised.news.text == "key frame, side unknown, score 0.90"
    made = run.result("fake")
    assert (made.laterality, made.marked_frames) == ("unknown", (2,))


def test_a_pale_run_whose_side_is_known_has_its_best_available_frame() -> None:
    run = part()
    over(run, PALE)
    made = run.result("fake")

    assert (made.laterality, made.marked_frames, made.best_is_poor, made.best_readability) == (
        "left",
        (11,),
        True,
        None,
    )
    assert made.text == "left coronary, score 1.00; key frames, best first: 11 (0.35); best available, poor"
    assert made.text_ja == "左冠動脈、スコア 1.00、キーフレーム 11 (0.35)（この撮影では最良だが、判読性は低い）"


def test_a_pale_run_of_unknown_side_has_no_key_frame_and_says_so() -> None:
    run = part()
    over(run, PALE, "unknown")

    assert run.result("fake").text == "side unknown, score 0.00; key frames, best first: none"


@pytest.mark.parametrize(("best", "poor"), [(0.9, False), (0.45, False), (0.35, True)])
def test_readability_says_how_good_the_best_frame_is(best: float, poor: bool) -> None:
    run = part(section=FULL)
    over(run, [0.1] * 10 + [best] * 5)
    made = run.result("fake")

    assert (made.best_readability, made.best_is_poor) == (best, poor)
    assert ("best available, poor" in made.text) is poor


def test_a_run_outside_the_domain_says_why_and_has_no_side_and_no_key_frame() -> None:
    run = part(section=FULL, geometry=Geometry(50.0, 0.0))
    clear = [judged(i, 0.9, "left", None if i % 3 == 0 else "light") for i in range(30)]
    raised = [one for frame in clear for one in run.observe(frame)] + list(run.finish())
    made = run.result("fake")

    assert raised == []
    assert (made.outside, made.laterality, made.marked_frames) == ("light", "unknown", ())
    assert (made.laterality_score, made.laterality_mismatch, made.best_readability) == (0.0, None, None)
    assert made.text == "outside the domain: light background; no side, no key frame"
    assert made.text_ja == "対象外の画像：背景が明るい、左右の判定なし、キーフレーム なし"


def test_some_frames_outside_neither_vote_nor_count() -> None:
    run = part(section=FULL)
    frames = [judged(i, 0.9, "left") if i % 3 else judged(i, 1.0, "right", "bars") for i in range(60)]
    raised = [one for frame in frames for one in run.observe(frame)] + list(run.finish())
    made = run.result("fake")

    assert (made.outside, made.laterality, made.laterality_score) == (None, "left", 1.0)
    assert made.marked_frames
    assert all(index % 3 for index in (*made.marked_frames, *(one.about.index for one in raised)))


@pytest.mark.parametrize(
    ("primary", "secondary", "mismatch"), [(50.0, 0.0, True), (-35.0, -35.0, False), (None, None, None)]
)
def test_an_angle_that_does_not_go_with_an_overwhelming_side_is_said_and_changes_nothing_else(
    primary: float | None, secondary: float | None, mismatch: bool | None
) -> None:
    run, plain = part(Geometry(primary, secondary)), part()
    for each in (run, plain):
        over(each, FILLING)
    made, without = run.result("fake"), plain.result("fake")

    assert made.laterality_mismatch is mismatch
    assert replace(made, laterality_mismatch=None, text="", text_ja="") == replace(without, text="", text_ja="")
    assert made.text == without.text + ("; C-arm angle unusual for this side" if mismatch else "")


def test_a_side_that_the_angle_withdrew_is_unknown_and_the_run_keeps_its_best_frame() -> None:
    run = part(Geometry(50.0, 0.0))
    for index, score in enumerate(PALE):
        classes = (0.9 * score, 0.0, 0.9 * (1.0 - score), 0.1 * score, 0.0, 0.1 * (1.0 - score))
        finding = KeyframeFinding("left", 0.9, classes, engine="fake", score=score)
        run.observe(replace(judged(index, score), finding=finding))
    made = run.result("fake")

    assert (made.laterality, made.laterality_mismatch, made.marked_frames) == ("unknown", True, (11,))
    assert made.text == (
        "side unknown: left coronary by its pictures, score 0.90, but the C-arm angle is unusual for that side; "
        "key frames, best first: 11 (0.35); best available, poor"
    )
    assert made.text_ja == (
        "左右不明：画像では左冠動脈、スコア 0.90、ただしCアーム角度はその側では通常と異なる、"
        "キーフレーム 11 (0.35)（この撮影では最良だが、判読性は低い）"
    )


def stored(frame: Judged) -> Judged:
    """The frame as a later process finds it in the journal."""
    verdict = Verdict(
        frame.verdict_id,
        "p",
        "r",
        frame.index,
        Outcome.MET,
        None,
        (frame.finding,),
        StageTimes(*[0.0] * 5),
        retry=False,
    )
    read = record_from_body(body_from_record(verdict), record_parts())
    assert isinstance(read, Verdict)
    return replace(frame, finding=read.findings[0], due_ns=None)


drawn = st.tuples(
    st.floats(0.0, 1.0), st.sampled_from(["left", "left", "right", "unknown"]), st.sampled_from([None, None, "bars"])
)


@settings(deadline=None)  # the first record builds its adapter
@given(st.lists(drawn, max_size=60), st.integers(0, 60), st.sampled_from([None, FULL]))
def test_a_pass_taken_up_from_the_journal_ends_as_one_that_was_never_cut_short(
    answers: list[tuple[float, Laterality, str | None]], cut: int, section: KeyframeSection | None
) -> None:
    frames = [judged(index, *answer) for index, answer in enumerate(answers)]
    whole, again = part(section=section), part(section=section)
    at_once = [list(whole.observe(frame)) for frame in frames] + [list(whole.finish())]
    resumed = [list(again.observe(stored(frame) if frame.index < cut else frame)) for frame in frames]
    resumed.append(list(again.finish()))

    def told(raised: list[list[Raised]]) -> list[list[tuple[int, object]]]:
        return [[(one.about.index, one.news) for one in at] for at in raised]

    assert told(resumed) == told(at_once)
    assert again.result("fake") == whole.result("fake")


@given(st.lists(drawn, min_size=1, max_size=60), st.sampled_from([None, FULL]), st.sampled_from([None, 50.0]))
def test_no_result_breaks_its_promises(
    answers: list[tuple[float, Laterality, str | None]], section: KeyframeSection | None, primary: float | None
) -> None:
    run = part(Geometry(primary, 0.0), section=section)
    frames = [judged(index, *answer) for index, answer in enumerate(answers)]
    raised = [one for frame in frames for one in run.observe(frame)] + list(run.finish())
    made = run.result("fake")
    outside = {index for index, answer in enumerate(answers) if answer[2] is not None}

    assert made.marked_frames or made.laterality == "unknown", "a run of a known side has a key frame"
    assert not outside & {*made.marked_frames, *(one.about.index for one in raised)}
    assert all(made.marked_scores[n] == answers[index][0] for n, index in enumerate(made.marked_frames))
    if made.outside is not None:
        assert 2 * len(outside) >= len(answers)
        assert (made.laterality, made.marked_frames) == ("unknown", ())
    assert (made.best_readability is None) is (section is None or not made.marked_frames)
    assert not made.best_is_poor or made.marked_frames


def test_one_model_serves_many_runs_and_no_run_sees_another() -> None:
    model = KeyframeOnFrames(BUNDLE, None)
    one, other = (model.begin(ArraySource([]).run) for _ in range(2))
    over(one, FILLING)

    assert other.result("fake") == part().result("fake")
    assert over(other, FILLING) == over(part(), FILLING)


def test_the_policy_is_that_of_its_table_or_its_defaults() -> None:
    @dataclass(frozen=True, slots=True)
    class Another(Policy):
        confirm_s: float = 99.0

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
