"""What a manifest says of its network's worth: one of three, or nothing; and which notice that asks for."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from cathrt.export.bundle.sign import canonical_json
from cathrt.runtime.alert import NO_BETTER_NOTICE, NOTICE, UNPROVEN_NOTICE
from cathrt.runtime.bundle.check import manifest_from_json
from cathrt.runtime.bundle.manifest import BETTER, NO_BETTER, TOO_FEW, Artifact, WorthVerdict
from cathrt.runtime.errors import ManifestError
from cathrt.runtime.models import MODELS
from tests.golden import golden_manifest

MANIFEST = replace(golden_manifest(openvino=Artifact("model.onnx", "float32")), files={"model.onnx": "0" * 64})


@pytest.mark.parametrize(
    ("worth", "notice"),
    [(None, NOTICE), (BETTER, NOTICE), (TOO_FEW, UNPROVEN_NOTICE), (NO_BETTER, NO_BETTER_NOTICE)],
)
def test_a_stated_worth_is_read_back_and_asks_for_its_notice(worth: WorthVerdict | None, notice: str) -> None:
    manifest = manifest_from_json(canonical_json(replace(MANIFEST, worth=worth)), MODELS)
    assert (manifest.worth, manifest.notice) == (worth, notice)


def test_a_manifest_of_before_has_no_such_key() -> None:
    document = json.loads(canonical_json(MANIFEST))
    del document["worth"]
    manifest = manifest_from_json(json.dumps(document).encode(), MODELS)
    assert (manifest.worth, manifest.notice) == (None, NOTICE)


def test_any_other_worth_is_refused() -> None:
    document = json.loads(canonical_json(MANIFEST)) | {"worth": "excellent"}
    with pytest.raises(ManifestError, match="worth"):
        manifest_from_json(json.dumps(document).encode(), MODELS)
