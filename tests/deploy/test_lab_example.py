"""The example configuration for a laboratory loads, and docs/configuration.md explains each of its keys."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from cathrt.runtime.models import load_config
from tests.conftest import ROOT

EXAMPLE = ROOT / "deploy" / "lab.toml"


def keys_of(table: Mapping[str, Any], before: str = "") -> Iterator[str]:
    for name, value in table.items():
        inner = value if isinstance(value, list) else [value]
        if inner and all(isinstance(one, dict) for one in inner):
            for one in inner:
                yield from keys_of(one, f"{before}{name}.")
        else:
            yield f"{before}{name}"


def test_it_loads_and_is_one_biplane_system_with_a_listener() -> None:
    config = load_config(EXAMPLE)
    assert [source.name for source in config.sources] == ["A", "B"]
    assert config.listener.calling_ae_titles == ("ANGIO1",)


def test_every_key_of_it_has_a_heading() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    keys = set(keys_of(tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))))
    assert len(keys) > 20
    assert not [key for key in keys if f"### `{key}`" not in page]


def test_it_lets_only_the_named_sender_in_and_serves_the_feed_on_this_machine_alone() -> None:
    config = load_config(EXAMPLE)
    assert config.feed.host == "127.0.0.1"
    assert all("/32" in address for address in config.listener.addresses)
