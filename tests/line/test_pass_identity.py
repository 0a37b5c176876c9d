"""What a pass's identity rests on: each value on the list changes it, nothing else does, and the list is complete."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pytest

from cathrt.runtime.alert import Rate
from cathrt.runtime.config import Config, LineConfig
from cathrt.runtime.frame import FrameRateOrigin, Run, Timing
from cathrt.runtime.identity import pass_id, run_id
from cathrt.runtime.line.pass_identity import ModelValues, pass_values
from cathrt.runtime.line.pipeline import watch
from cathrt.runtime.models import policies
from cathrt.runtime.models.keyframe.policy import KeyframePolicyConfig
from cathrt.runtime.models.keyframe.run import KeyframeOnFrames
from tests.conftest import ROOT
from tests.lines import BUNDLE, ArraySource, ListJournal, line

RATES: tuple[Rate, ...] = ("realtime", "max")
SECOND = ModelValues("sharpness", "1" * 64, "openvino", {"window": 3, "least": 0.5})


def keyframe(config: Config | None = None, **changes: Any) -> ModelValues:
    """What the keyframe model adds to the identity, from the table [policy.keyframe] or its defaults."""
    policy = KeyframeOnFrames(BUNDLE, (config or Config()).policy.get("keyframe")).identity
    return replace(ModelValues("keyframe", "0" * 64, "openvino", policy), **changes)


def values(
    rate: Rate = "realtime",
    config: Config | None = None,
    *,
    run: Any = "r",
    attempt: Any = 1,
    models: Sequence[ModelValues] | None = None,
) -> dict[str, str | int | float]:
    models = [keyframe(config)] if models is None else models
    return pass_values(run, models, rate, (config or Config()).line, attempt=attempt)


def with_policy(policy: KeyframePolicyConfig) -> Config:
    return Config(policy={"keyframe": policy})


def test_one_pass_has_always_had_this_identity() -> None:
    assert pass_id(values("realtime")) == "017678ff-b085-5cde-80f8-eede967fdd1b"
    assert pass_id(values("max")) == "7cedc87b-2c13-5035-88c4-585356d68bfa"


def test_one_pass_of_two_models_has_always_had_this_identity() -> None:
    assert pass_id(values("realtime", models=[keyframe(), SECOND])) == "b0f61491-a5ac-5186-babe-e90a1d50fb62"
    assert pass_id(values("max", models=[keyframe(), SECOND])) == "6857d201-e1ec-5e09-9ef8-53b994904fd4"


@pytest.mark.parametrize("rate", RATES)
def test_the_line_judges_under_the_identity_of_these_values(rate: Rate) -> None:
    config = Config(line=LineConfig(5000.0, 7, 9.0), policy={"keyframe": KeyframePolicyConfig(confirm_s=0.2)})
    summary = watch(ArraySource([0.5]), line(config=config, rate=rate), ListJournal())

    model = keyframe(config, manifest_sha256=BUNDLE.manifest_sha256, engine="fake")
    assert summary.pass_id == pass_id(values(rate, config, run=run_id("array"), models=[model]))


@pytest.mark.parametrize("rate", RATES)
def test_a_rate_that_the_caller_gave_is_part_of_the_identity_and_one_that_the_run_states_is_not(rate: Rate) -> None:
    class Timed(ArraySource):
        def __init__(self, timing: Timing) -> None:
            super().__init__([0.5])
            self.timing = timing

        @property
        def run(self) -> Run:
            return replace(super().run, timing=self.timing)

    def judged(frame_rate_hz: float, origin: FrameRateOrigin) -> str:
        return watch(Timed(Timing(frame_rate_hz, origin)), line(rate=rate), ListJournal()).pass_id

    stated = {judged(rate_hz, "FrameTime") for rate_hz in (10.0, 15.0)}
    assert len(stated) == 1
    assert len({judged(rate_hz, "given") for rate_hz in (10.0, 15.0)} | stated) == 3


def test_the_order_in_which_values_are_named_does_not_matter() -> None:
    named = values()
    assert pass_id(dict(reversed(named.items()))) == pass_id(named)


def test_the_order_in_which_models_are_named_does_not_matter() -> None:
    assert pass_id(values(models=[keyframe(), SECOND])) == pass_id(values(models=[SECOND, keyframe()]))


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("models", [[keyframe()], [keyframe(), SECOND]], ids=["one model", "two"])
def test_every_value_on_the_list_changes_the_identity(rate: Rate, models: list[ModelValues]) -> None:
    named = values(rate, models=models)
    changed = [{**named, name: f"other {value}"} for name, value in named.items()]
    assert len({pass_id(named), *map(pass_id, changed)}) == 1 + len(named)


@pytest.mark.parametrize("name", ["run", "attempt"])
def test_run_and_attempt_reach_the_list(name: str) -> None:
    assert pass_id(values(**{name: 2})) != pass_id(values())


@pytest.mark.parametrize(
    "change",
    [
        {"manifest_sha256": "2" * 64},
        {"engine": "onnxruntime"},
        {"kind": "another"},
        {"policy": {**keyframe().policy, "confirm_s": 9.0}},
        {"policy": {**keyframe().policy, "new": 9}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_bundle_engine_kind_and_policy_of_each_model_reach_the_list(change: dict[str, Any]) -> None:
    for models in ([keyframe()], [keyframe(), SECOND], [SECOND, keyframe()]):
        changed = [replace(made, **change) if made.kind == "keyframe" else made for made in models]
        assert pass_id(values(models=changed)) != pass_id(values(models=models))


def test_no_value_of_one_model_is_taken_for_that_of_another() -> None:
    two = [keyframe(), SECOND]
    assert len(values(models=two)) == len(values()) + 2 + len(SECOND.policy)
    exchanged = [replace(keyframe(), engine="a"), replace(SECOND, engine="b")]
    back = [replace(keyframe(), engine="b"), replace(SECOND, engine="a")]
    assert pass_id(values(models=exchanged)) != pass_id(values(models=back))
    exchanged = [
        replace(made, manifest_sha256=other.manifest_sha256) for made, other in zip(two, two[::-1], strict=True)
    ]
    assert pass_id(values(models=exchanged)) != pass_id(values(models=two))


def test_a_second_model_gives_another_pass() -> None:
    assert len({pass_id(values(models=models)) for models in ([keyframe()], [SECOND], [keyframe(), SECOND])}) == 3


def test_the_rate_reaches_the_list() -> None:
    assert values("max")["rate"] != values("realtime")["rate"]


# Where a key of [line] or [policy.<kind>] counts. A new key must be put here, and into pass_values or the model's
# identity, or left out for a reason.
COUNTS: dict[str, tuple[Rate, ...]] = {
    "line.budget_ms": ("realtime",),
    "line.queue_frames": ("realtime",),
    "line.stale_s": ("realtime",),
    "policy.keyframe.smoothing_s": RATES,
    "policy.keyframe.relative_floor": RATES,
    "policy.keyframe.min_rise": RATES,
    "policy.keyframe.baseline_s": RATES,
    "policy.keyframe.release_ratio": RATES,
    "policy.keyframe.confirm_s": RATES,
    "policy.keyframe.min_gap_s": RATES,
    "policy.keyframe.refractory_s": RATES,
    "policy.keyframe.max_per_run": RATES,
    "policy.keyframe.beat_s": RATES,
    "policy.keyframe.other_beat_ratio": RATES,
    "policy.keyframe.min_visible_frames": RATES,
    "policy.keyframe.run_laterality_threshold": RATES,
    "policy.keyframe.overwhelming": RATES,
    "policy.keyframe.ranking_smoothing_s": RATES,
    "policy.keyframe.vessel_filter": RATES,
    "policy.keyframe.stillness": RATES,
}


# Of kinds that judge no frames: what they make rests on runs that are judged.
AFTER_THE_LINE = {"report", "study"}


def test_every_key_of_line_and_policy_was_thought_of() -> None:
    judging = {kind: made for kind, made in policies().items() if kind not in AFTER_THE_LINE}
    sections: dict[str, type] = {"line": LineConfig} | {f"policy.{kind}": made for kind, made in judging.items()}
    assert set(COUNTS) == {f"{section}.{field.name}" for section, made in sections.items() for field in fields(made)}


def counted(key: str, change: float) -> Config:
    """A configuration with one key of COUNTS changed by so much."""
    section, _, name = key.rpartition(".")
    settings = LineConfig() if section == "line" else KeyframePolicyConfig()
    changed = replace(settings, **{name: getattr(settings, name) + change})
    return Config(line=changed) if isinstance(changed, LineConfig) else with_policy(changed)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("key", COUNTS)
def test_a_key_changes_the_identity_exactly_where_it_can_change_a_verdict_or_an_alert(key: str, rate: Rate) -> None:
    assert pass_id(values(rate, counted(key, 0))) == pass_id(values(rate))
    assert (pass_id(values(rate, counted(key, 1))) != pass_id(values(rate))) is (rate in COUNTS[key])


def test_no_two_keys_share_a_value_on_the_list() -> None:
    changed = {key: pass_id(values("realtime", counted(key, 1))) for key in COUNTS}
    assert len(set(changed.values())) == len(COUNTS)


@pytest.mark.parametrize("section", ["engine", "journal", "limits", "trust"])
def test_no_other_section_of_the_configuration_counts(section: str) -> None:
    config = Config()
    settings = getattr(config, section)
    for field in fields(settings):
        before = getattr(settings, field.name)
        after = (*before, "x") if isinstance(before, tuple) else before + type(before)(1)
        other = replace(config, **{section: replace(settings, **{field.name: after})})
        for rate in RATES:
            assert values(rate, other) == values(rate), f"{section}.{field.name}"
        judged = [watch(ArraySource([0.5]), line(config=made), ListJournal()).pass_id for made in (config, other)]
        assert judged[0] == judged[1], f"{section}.{field.name}"


def test_a_key_added_to_a_section_that_counts_re_identifies_no_pass() -> None:
    @dataclass(frozen=True, slots=True)
    class Wider(KeyframePolicyConfig):
        shown_in_blue: bool = True

    @dataclass(frozen=True, slots=True)
    class Longer(LineConfig):
        beep: float = 1.0

    wider = Config(policy={"keyframe": Wider()}, line=Longer())
    for rate in RATES:
        assert pass_id(values(rate, wider)) == pass_id(values(rate))


def test_a_whole_number_for_a_decimal_one_is_the_same_value() -> None:
    policy = replace(KeyframePolicyConfig(), refractory_s=1)
    config = Config(line=replace(LineConfig(), budget_ms=100, stale_s=5), policy={"keyframe": policy})
    assert pass_id(values(config=config)) == pass_id(values())


def test_a_policy_that_is_not_in_the_file_is_the_same_as_its_defaults() -> None:
    for rate in RATES:
        assert values(rate, with_policy(KeyframePolicyConfig())) == values(rate, Config())


def test_the_journal_page_lists_every_value() -> None:
    page = Path(ROOT, "docs", "journal.md").read_text(encoding="utf-8")
    listed = {f"`{name}`" for rate in RATES for name in values(rate)}
    assert not {name for name in listed if name not in page}
