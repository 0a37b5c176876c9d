"""The configuration: defaults, every kind of mistake, and that the page documents every key."""

from __future__ import annotations

import re
from dataclasses import asdict, fields
from pathlib import Path

import pytest

from cathrt.runtime.config import Config, config_from_document, load_config
from cathrt.runtime.doctor import effective_config
from cathrt.runtime.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent


def test_no_file_gives_the_defaults() -> None:
    assert load_config(None) == Config()


def test_a_file_changes_only_what_it_names(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('[line]\nbudget_ms = 66.7\n[trust]\nkeys = ["ab", "cd"]\n')
    config = load_config(path)
    assert config.line.budget_ms == 66.7
    assert config.trust.keys == ("ab", "cd")
    assert config.policy == Config().policy


def test_the_effective_configuration_reads_back_as_itself(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('[engine]\nname = "onnxruntime"\nthreads = 1\n[trust]\nkeys = ["ab"]\n')
    config = load_config(path)
    again = tmp_path / "again.toml"
    again.write_text(effective_config(config))
    assert load_config(again) == config


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
        ("[policy]\nmin_gap_s = 0.1", "policy.min_gap_s"),
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
        config_from_document({"line": {"budget_ms": -1.0}, "journal": {"x": 1}}, origin="here")
    assert "line.budget_ms" in str(caught.value)
    assert "journal.x" in str(caught.value)


def test_a_missing_file_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "none.toml")


def test_every_key_has_a_heading_in_the_documentation() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    headings = set(re.findall(r"^### `([^`]+)`", text, flags=re.MULTILINE))
    keys = {f"{section.name}.{key}" for section in fields(Config) for key in asdict(getattr(Config(), section.name))}
    assert headings == keys


def test_the_documentation_gives_the_true_defaults() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    documented = dict(re.findall(r"^### `([^`]+)`\n\nDefault `([^`]*)`", text, flags=re.MULTILINE))
    lines = [line.partition(" = ") for line in effective_config(Config()).splitlines()]
    section, true_defaults = "", {}
    for key, equals, value in lines:
        if equals:
            true_defaults[f"{section}.{key}"] = value
        else:
            section = key.strip("[]") or section
    assert documented == true_defaults
