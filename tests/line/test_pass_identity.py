"""What a pass's identity rests on: each value on the list changes it, nothing else does, and the list is complete."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pytest

from cathrt.runtime.alert import Rate
from cathrt.runtime.config import Config, LineConfig, PolicyConfig
from cathrt.runtime.identity import pass_id
from cathrt.runtime.line.pass_identity import pass_values
from tests.conftest import ROOT

RATES: tuple[Rate, ...] = ("realtime", "max")


def values(rate: Rate = "realtime", config: Config | None = None, **changes: Any) -> dict[str, str | int | float]:
    given = {"run_id": "r", "manifest_sha256": "0" * 64, "engine": "openvino", "attempt": 1} | changes
    return pass_values(rate=rate, config=config or Config(), **given)


def test_one_pass_has_always_had_this_identity() -> None:
    assert pass_id(values("realtime")) == "6080f39b-0fe6-59b1-9c6f-ab36c6185c3a"
    assert pass_id(values("max")) == "e43ffc26-bfc4-5445-adf4-b91ea5c25ff5"


def test_the_order_in_which_values_are_named_does_not_matter() -> None:
    named = values()
    assert pass_id(dict(reversed(named.items()))) == pass_id(named)


@pytest.mark.parametrize("rate", RATES)
def test_every_value_on_the_list_changes_the_identity(rate: Rate) -> None:
    named = values(rate)
    changed = [{**named, name: f"other {value}"} for name, value in named.items()]
    assert len({pass_id(named), *map(pass_id, changed)}) == 1 + len(named)


@pytest.mark.parametrize("name", ["run_id", "manifest_sha256", "engine", "attempt"])
def test_run_bundle_engine_and_attempt_reach_the_list(name: str) -> None:
    assert pass_id(values(**{name: 2})) != pass_id(values())


def test_the_rate_reaches_the_list() -> None:
    assert values("max")["rate"] != values("realtime")["rate"]


# Where a key of [line] or [policy] counts. A new key must be put here, and into pass_values or left out for a reason.
COUNTS: dict[str, tuple[Rate, ...]] = {
    "line.budget_ms": ("realtime",),
    "line.queue_frames": ("realtime",),
    "policy.stale_s": ("realtime",),
    "policy.release_ratio": RATES,
    "policy.confirm_frames": RATES,
    "policy.min_gap_s": RATES,
    "policy.refractory_s": RATES,
    "policy.max_per_run": RATES,
    "policy.min_visible_frames": RATES,
    "policy.run_laterality_threshold": RATES,
}


def test_every_key_of_line_and_policy_was_thought_of() -> None:
    assert set(COUNTS) == {
        f"{section}.{field.name}"
        for section, made in {"line": LineConfig, "policy": PolicyConfig}.items()
        for field in fields(made)
    }


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("key", COUNTS)
def test_a_key_changes_the_identity_exactly_where_it_can_change_a_verdict_or_an_alert(key: str, rate: Rate) -> None:
    config = Config()
    section, _, name = key.partition(".")
    before = getattr(getattr(config, section), name)
    other = replace(config, **{section: replace(getattr(config, section), **{name: before + 1})})
    assert (pass_id(values(rate, other)) != pass_id(values(rate))) is (rate in COUNTS[key])


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


def test_a_key_added_to_a_section_that_counts_re_identifies_no_pass() -> None:
    @dataclass(frozen=True, slots=True)
    class Wider(PolicyConfig):
        shown_in_blue: bool = True

    @dataclass(frozen=True, slots=True)
    class Longer(LineConfig):
        beep: float = 1.0

    wider = Config(policy=Wider(), line=Longer())
    for rate in RATES:
        assert pass_id(values(rate, wider)) == pass_id(values(rate))


def test_a_whole_number_for_a_decimal_one_is_the_same_value() -> None:
    config = Config(policy=replace(PolicyConfig(), refractory_s=1, stale_s=5))
    assert pass_id(values(config=config)) == pass_id(values())


def test_the_journal_page_lists_every_value() -> None:
    page = Path(ROOT, "docs", "journal.md").read_text(encoding="utf-8")
    listed = {f"`{name}`" for rate in RATES for name in values(rate)}
    assert not {name for name in listed if name not in page}
