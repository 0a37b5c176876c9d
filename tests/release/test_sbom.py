"""The bill of materials: valid CycloneDX 1.6, with every package, what is inside it, and hashes of the lock alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from release.closure import Package, Part
from release.lock import Locked
from release.sbom import bom_of, text_of

MADE = datetime(2026, 12, 1, tzinfo=UTC)
A, B = "a" * 64, "b" * 64
LIBRARY = Package(
    "lib",
    "2.0",
    "MIT",
    "does it",
    (),
    (Part("inner", "", "BSD-3-Clause", "inner.so"), Part("crate", "1.2.3", "MIT OR Apache-2.0", "x.so")),
    (),
)
ROOT = Package("cathrt", "0.2.0", "Apache-2.0 AND OFL-1.1", "this", ("lib",), (), ())
LOCKED = {"lib": Locked("lib", "2.0", frozenset({A, B}))}


@pytest.fixture
def bill() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text_of(bom_of([ROOT, LIBRARY], LOCKED, MADE)))
    return found


def test_it_is_cyclonedx_of_this_application(bill: dict[str, Any]) -> None:
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    about = bill["metadata"]["component"]
    assert (about["name"], about["version"], about["type"]) == ("cathrt", "0.2.0", "application")
    assert bill["metadata"]["timestamp"].startswith("2026-12-01")


def test_a_package_has_version_licence_and_the_hashes_of_the_lock(bill: dict[str, Any]) -> None:
    (lib,) = bill["components"]
    assert (lib["purl"], lib["licenses"]) == ("pkg:pypi/lib@2.0", [{"license": {"id": "MIT"}}])
    assert [one["content"] for one in lib["hashes"]] == [A, B]


def test_what_is_inside_a_wheel_is_inside_its_component(bill: dict[str, Any]) -> None:
    crate, inner = sorted(bill["components"][0]["components"], key=lambda one: one["name"])
    assert (crate["version"], crate["licenses"]) == ("1.2.3", [{"expression": "MIT OR Apache-2.0"}])
    assert inner["properties"] == [{"name": "cathrt:file", "value": "inner.so"}]
    assert "version" not in inner


def test_what_needs_what_is_said(bill: dict[str, Any]) -> None:
    needs = {one["ref"]: one.get("dependsOn", []) for one in bill["dependencies"]}
    assert needs["pkg:pypi/cathrt@0.2.0"] == ["pkg:pypi/lib@2.0"]


@pytest.mark.parametrize("locked", [{}, {"lib": Locked("lib", "2.1", frozenset({A}))}])
def test_an_installation_that_is_not_the_locked_one_is_refused(locked: dict[str, Locked]) -> None:
    with pytest.raises(ValueError, match=r"lib: found 2.0, expected (none|2.1) as in requirements.lock"):
        bom_of([ROOT, LIBRARY], locked, MADE)
