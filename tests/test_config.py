"""The configuration: defaults, every kind of mistake, and that the page documents every key."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import MISSING, asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

import pytest
from annotated_types import Ge

from cathrt.runtime.commands.doctor import effective_config
from cathrt.runtime.config import (
    Config,
    OutletConfig,
    Policy,
    RungConfig,
    SourceConfig,
    TrustConfig,
    config_from_document,
)
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.models import load_config, policies
from cathrt.runtime.models.keyframe.policy import KeyframePolicyConfig

ROOT = Path(__file__).resolve().parent.parent


def test_no_file_gives_the_defaults() -> None:
    config = load_config(None)
    assert replace(config, policy={}) == Config()
    assert config.policy == {kind: made() for kind, made in policies().items()}


def test_a_file_changes_only_what_it_names(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('[line]\nbudget_ms = 66.7\n[policy.keyframe]\nmin_gap_s = 0.5\n[trust]\nkeys = ["ab", "cd"]\n')
    defaults = load_config(None)
    assert load_config(path) == replace(
        defaults,
        line=replace(defaults.line, budget_ms=66.7),
        policy={**defaults.policy, "keyframe": KeyframePolicyConfig(min_gap_s=0.5)},
        trust=TrustConfig(("ab", "cd")),
    )


@dataclass(frozen=True, slots=True)
class SharpnessPolicy(Policy):
    """The policy of a second kind of model, which nothing outside this test knows."""

    least: Annotated[float, Ge(0.0)] = 0.5
    wanted: tuple[str, ...] = ()


BOTH: dict[str, type[Policy]] = {**policies(), "sharpness": SharpnessPolicy}


def test_another_kind_of_model_has_a_table_of_its_own(tmp_path: Path) -> None:
    document = {"policy": {"sharpness": {"least": 1, "wanted": ["a"]}}}
    config = config_from_document(document, BOTH, origin="here")
    shipped = {kind: made() for kind, made in policies().items()}
    assert config.policy == {**shipped, "sharpness": SharpnessPolicy(1.0, ("a",))}
    assert config_from_document({}, BOTH, origin="here").policy["sharpness"] == SharpnessPolicy()
    with pytest.raises(ConfigError, match=r"policy\.'sharpness': unknown kind of model, expected one of keyframe"):
        config_from_document(document, policies(), origin="here")
    with pytest.raises(ConfigError, match=r"policy\.sharpness\.min_gap_s: unknown key") as caught:
        config_from_document({"policy": {"sharpness": {"min_gap_s": 1.0, "least": -1.0}}}, BOTH, origin="here")
    assert "policy.sharpness.least: found -1.0, expected greater than or equal to 0" in str(caught.value)


def test_the_effective_configuration_reads_back_as_itself(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(
        '[engine]\nname = "onnxruntime"\nthreads = 1\n[policy.keyframe]\nmin_gap_s = 0.5\n[trust]\nkeys = ["ab"]\n'
    )
    config = load_config(path)
    again = tmp_path / "again.toml"
    again.write_text(effective_config(config))
    assert load_config(again) == config
    assert "[policy.keyframe]" in effective_config(config).splitlines()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("budget = 3", "budget"),
        ("[line]\nbudget_s = 3.0", "line.budget_s"),
        ('[line]\nbudget_ms = "66"', "line.budget_ms"),
        ("[line]\nbudget_ms = 0.0", "line.budget_ms"),
        ("[line]\nbudget_ms = nan", "line.budget_ms"),
        ("[line]\nbudget_ms = inf", "line.budget_ms"),
        ("[line]\nqueue_frames = 2.5", "line.queue_frames"),
        ("[line]\nqueue_frames = true", "line.queue_frames"),
        ("[line]\nstale_s = 0.0", "line.stale_s"),
        ("[policy.keyframe]\nmin_gap_s = 0.1", "policy.keyframe.min_gap_s: found 0.1, expected"),
        ('[policy.keyframe]\nmin_gap_s = "1"', "policy.keyframe.min_gap_s: found '1', expected"),
        ("[policy.keyframe]\nmin_gap_s = inf", "policy.keyframe.min_gap_s: found inf, expected"),
        ("[policy.keyframe]\nmin_gap_s = 1979-05-27", "policy.keyframe.min_gap_s: found '1979-05-27', expected"),
        ("[policy.keyframe]\nstale_s = 5.0", "policy.keyframe.stale_s: unknown key"),
        ("[policy]\nmin_gap_s = 0.5", "policy.'min_gap_s': unknown kind of model, expected one of keyframe"),
        ("[policy.hearsay]\nmin_gap_s = 0.5", "policy.'hearsay': unknown kind of model, expected one of keyframe"),
        ("[policy.hearsay]", "policy.'hearsay': unknown kind of model, expected one of keyframe"),
        ("policy = 3", "policy: found 3, expected a table for each kind of model"),
        ("[[policy]]\nmin_gap_s = 0.5", "policy: found [{'min_gap_s': 0.5}], expected a table for each kind of model"),
        ("policy.keyframe = 3", "policy.keyframe: found 3, expected"),
        ("[[policy.keyframe]]\nmin_gap_s = 0.5", "policy.keyframe: found [{'min_gap_s': 0.5}], expected"),
        ("[journal]\ngroup_commit_ms = 1000.0", "journal.group_commit_ms"),
        ("[trust]\nkeys = [1]", "trust.keys.0"),
        ("line = 3", "line"),
        ("[line", "TOML"),
        ("[line]\nbudget_ms = 1.0\nbudget_ms = 2.0", "TOML"),
        ("[line]\nbudget_ms = 1979-05-27", "line.budget_ms"),
    ],
)
def test_a_mistake_is_named_with_its_key(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(named)) as caught:
        load_config(path)
    assert str(path) in str(caught.value)


def test_every_mistake_is_listed_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        config_from_document(
            {
                "line": {"budget_ms": -1.0},
                "journal": {"x": 1},
                "policy": {"keyframe": {"max_per_run": 0, "y": 1}, "hearsay": {}, "z": 1},
            },
            policies(),
            origin="here",
        )
    for named in ("line.budget_ms", "journal.x", "policy.keyframe.max_per_run", "policy.keyframe.y", "hearsay", "'z'"):
        assert named in str(caught.value)


@pytest.mark.parametrize("given", [{"a\x1b[2J\n\u202e": {}}, {"k" * 10_000: {}}, ["\x1b[2J" * 1000]])
def test_a_mistake_in_policy_is_told_in_few_printable_words(given: object) -> None:
    with pytest.raises(ConfigError) as caught:
        config_from_document({"policy": given}, policies(), origin="here")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_a_missing_file_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "none.toml")


def settings_by_key() -> dict[str, object]:
    """Every key of the configuration with its default."""
    sections = {
        made.name: getattr(Config(), made.name) for made in fields(Config) if made.name not in ("policy", *LISTS)
    }
    sections |= {f"policy.{kind}": policy for kind, policy in load_config(None).policy.items()}
    return {f"{section}.{key}": value for section, made in sections.items() for key, value in asdict(made).items()}


# Sections that are lists of tables, and the dataclass of a table.
LISTS: dict[str, Any] = {"sources": SourceConfig, "outlets": OutletConfig, "rungs": RungConfig}


def settings_of_lists() -> dict[str, Any]:
    """Every key of a table in a list with its default, which is MISSING for those that have none."""
    return {f"{name}.{key.name}": key.default for name, table in LISTS.items() for key in fields(table)}


def test_every_key_has_a_heading_in_the_documentation() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    headings = re.findall(r"^### `([^`]+)`", text, flags=re.MULTILINE)
    assert len(set(headings)) == len(headings)
    assert set(headings) == {*settings_by_key(), *settings_of_lists()}


def test_every_key_stands_under_the_heading_of_its_section() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    section = ""
    for level, heading in re.findall(r"^(##|###) `?([^`\n]+)`?$", text, flags=re.MULTILINE):
        if level == "##":
            section = heading
        else:
            assert heading.rpartition(".")[0] == section


def test_the_documentation_gives_the_true_defaults() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    documented = dict(re.findall(r"^### `([^`]+)`\n\nDefault `([^`]*)`", text, flags=re.MULTILINE))
    defaults = settings_by_key() | settings_of_lists()
    true_defaults = {
        key: json.dumps(list(value) if isinstance(value, tuple) else value)
        for key, value in defaults.items()
        if value is not MISSING
    }
    assert documented == true_defaults


def test_the_effective_configuration_has_every_key_with_its_value() -> None:
    section, shown = "", {}
    for key, equals, value in (line.partition(" = ") for line in effective_config(load_config(None)).splitlines()):
        if equals:
            shown[f"{section}.{key}"] = value
        else:
            section = key.strip("[]") or section
    assert shown == {
        key: json.dumps(list(value) if isinstance(value, tuple) else value) for key, value in settings_by_key().items()
    }


SOURCE = {"name": "A", "kind": "phantom"}


def sources_of(*tables: dict[str, object]) -> tuple[SourceConfig, ...]:
    return config_from_document({"sources": list(tables)}, policies(), origin="test").sources


def test_live_sources_are_read_in_their_order_and_printed_as_they_were_given() -> None:
    given = sources_of(SOURCE | {"region": [1, 2, 30, 40]}, SOURCE | {"name": "B", "kind": "video"})
    assert [source.name for source in given] == ["A", "B"]
    assert given[0].region == (1, 2, 30, 40)
    shown = tomllib.loads(effective_config(replace(load_config(None), sources=given)))
    assert config_from_document(shown, policies(), origin="test").sources == given


@pytest.mark.parametrize("region", [[1], [1, 2, 3], [1, 2, 0, 4], [-1, 2, 3, 4], [1, 2, 3, 4, 5]])
def test_a_region_that_is_none_is_refused(region: list[int]) -> None:
    with pytest.raises(ConfigError, match="region"):
        sources_of(SOURCE | {"region": region})


def test_two_sources_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="'A' twice"):
        sources_of(SOURCE, SOURCE)


@pytest.mark.parametrize("supervisor_s", [9.0, 10.0])
def test_a_gateway_that_would_be_killed_while_it_drains_is_refused(supervisor_s: float) -> None:
    document = {"listener": {"drain_s": 10.0}, "supervisor": {"drain_s": supervisor_s}}
    with pytest.raises(ConfigError, match=r"supervisor\.drain_s.*more than listener\.drain_s"):
        config_from_document(document, policies(), origin="test")
    document["supervisor"]["drain_s"] = 10.5
    assert config_from_document(document, policies(), origin="test").supervisor.drain_s == 10.5


@pytest.mark.parametrize("missing", ["name", "kind"])
def test_a_source_without_name_or_kind_is_refused(missing: str) -> None:
    with pytest.raises(ConfigError, match=missing):
        sources_of({key: value for key, value in SOURCE.items() if key != missing})


@pytest.mark.parametrize(
    ("budget", "rate", "expected"), [(0.0, 0.0, 1000 / 15), (0.0, 30.0, 1000 / 30), (80.0, 30.0, 80.0)]
)
def test_the_budget_is_one_frame_period_unless_it_is_given(budget: float, rate: float, expected: float) -> None:
    source = SourceConfig(name="A", kind="phantom", rate_hz=rate, budget_ms=budget)
    assert source.frame_budget_ms == pytest.approx(expected)
