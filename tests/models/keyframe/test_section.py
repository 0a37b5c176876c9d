"""What a keyframe bundle's manifest may say of its outputs, and what is refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cathrt.export.bundle.sign import canonical_json
from cathrt.runtime.bundle.check import manifest_from_json
from cathrt.runtime.bundle.manifest import DeclaredTensor, Manifest
from cathrt.runtime.errors import ManifestError
from cathrt.runtime.models import MODELS
from cathrt.runtime.models.keyframe.section import (
    CLASSIFIER,
    DomainOutput,
    DomainReason,
    ReadabilityOutput,
    section_of,
)
from tests.lines import MANIFEST

REASONS = (
    DomainReason("light", "light background", "背景が明るい"),
    DomainReason("bars", "test bars", "テストパターン"),
)
FURTHER = (DeclaredTensor("readability", (1, 1), "float32"), DeclaredTensor("domain", (1, 3), "float16"))


def full() -> Manifest:
    """A manifest of all three outputs."""
    network = MANIFEST.network(CLASSIFIER)
    section = replace(
        section_of(MANIFEST),
        run_visible_threshold=0.2,
        readability=ReadabilityOutput("readability", 0.4),
        domain=DomainOutput("domain", REASONS, 0.5),
    )
    return replace(
        MANIFEST,
        files={"none": "0" * 64},
        networks={CLASSIFIER: replace(network, outputs=(*network.outputs, *FURTHER))},
        model=section,
    )


def read(manifest: Manifest, change: Callable[[dict[str, Any]], object] = lambda fields: None) -> Manifest:
    fields = json.loads(canonical_json(manifest))
    change(fields)
    return manifest_from_json(json.dumps(fields).encode(), MODELS)


def test_a_manifest_of_all_outputs_is_read_as_it_was_written() -> None:
    assert read(full()) == full()


def test_a_manifest_that_knows_none_of_the_further_outputs_is_read() -> None:
    def remove(fields: dict[str, Any]) -> None:
        for key in ("run_visible_threshold", "readability", "domain"):
            del fields["model"][key]

    plain = replace(MANIFEST, files={"none": "0" * 64})
    assert read(plain, remove) == plain


def test_an_output_that_no_section_names_is_no_fault() -> None:
    model = replace(section_of(full()), readability=None, domain=None)
    assert section_of(read(replace(full(), model=model))).domain is None


def outputs(*made: tuple[str, tuple[int | str, ...], str]) -> Callable[[dict[str, Any]], None]:
    """The network's outputs: the logits and these."""

    def change(fields: dict[str, Any]) -> None:
        listed = [{"name": name, "shape": shape, "dtype": dtype} for name, shape, dtype in made]
        network = fields["networks"][CLASSIFIER]
        network["outputs"] = [network["outputs"][0], *listed]

    return change


def at(*keys: str, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(fields: dict[str, Any]) -> None:
        place = fields["model"]
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = to

    return change


READABILITY, DOMAIN = ("readability", (1, 1), "float32"), ("domain", (1, 3), "float32")
REASON = {"name": "light", "text": "light", "text_ja": "明るい"}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (outputs(DOMAIN), r"model\.readability: found outputs .*, expected readability \(1, 1\) of floats"),
        (outputs(READABILITY), r"model\.domain: found 2 reasons and outputs .*, expected domain \(1, 3\) of floats"),
        (outputs(("readability", (1, 2), "float32"), DOMAIN), r"model\.readability: .*expected readability \(1, 1\)"),
        (outputs(("readability", (1,), "float32"), DOMAIN), r"model\.readability: "),
        (outputs(("readability", (1, 1), "int8"), DOMAIN), r"model\.readability: .*of floats"),
        (outputs(READABILITY, ("domain", (1, 2), "float32")), r"model\.domain: .*expected domain \(1, 3\)"),
        (
            at("readability", "output", to="logits"),
            r"model: found outputs \['logits', 'logits', 'domain'\], expected each",
        ),
        (at("domain", "reasons", to=[]), r"model\.domain\.reasons: found \[\]"),
        (at("domain", "reasons", to=[REASON, REASON]), r"model\.domain\.reasons: found names \['light', 'light'\]"),
        (at("domain", "reasons", to=[{**REASON, "text": ""}]), r"reasons\.0\.text: "),
        (at("domain", "threshold", to=1.5), r"domain\.threshold: found 1\.5"),
        (at("readability", "poor_below", to=-0.1), r"readability\.poor_below: found -0\.1"),
        (at("run_visible_threshold", to=2), r"run_visible_threshold: found 2"),
        (at("readability", "more", to=1), r"readability\.more: unknown key"),
    ],
)
def test_an_output_that_does_not_fit_is_refused_by_name(change: Callable[[dict[str, Any]], None], fault: str) -> None:
    with pytest.raises(ManifestError, match=fault):
        read(full(), change)
