"""Encoder and head through TensorRT-RTX's parser and builder, for devices that need not be here.

Not for: running a plan, which takes a device. What a typed graph computes is in test_graphs.py.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cathrt.export.models.study import networks
from cathrt.export.models.study.asked import Asked
from cathrt.export.models.study.networks import declared, typed_form
from cathrt.export.models.study.source import source_of
from cathrt.export.models.study.targets import parts_of, plans_of
from cathrt.export.recipe.stage_cache import StageCache
from cathrt.runtime.bundle.manifest import Precision
from cathrt.runtime.models.study.section import ENCODER, HEAD
from tests.export.tensorrt_requests import rtx

__all__ = ["rtx"]


@pytest.mark.usefixtures("rtx")
def test_the_head_is_built_as_a_typed_graph(tmp_path: Path) -> None:
    cache, asked = StageCache(tmp_path), Asked("cathef", "float16", encoder="mvit_v2_mini")
    source = source_of(asked)
    form = typed_form(cache, source, asked, turing=False)
    (plan,) = plans_of(cache, form[HEAD], declared(source)[HEAD], "tensorrt-rtx", (89,))
    assert plan.fingerprint.sm == (89,)
    assert [profile.opt[:2] for profile in plan.fingerprint.profiles] == [(1, 4), (1, 4)]
    assert form[HEAD].precision == "float16"


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("rtx")
@pytest.mark.parametrize("sm", [(75,), (86, 89, 120)], ids=str)
@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_the_published_size_is_built_for_every_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: Precision, sm: tuple[int, ...]
) -> None:
    monkeypatch.setattr(networks, "CALIBRATED_CLIPS", 1)  # scales change no kernel
    asked = Asked("generic", precision)
    parts = parts_of(StageCache(tmp_path), source_of(asked), asked, "tensorrt-rtx", sm)
    for role, clips in ((ENCODER, [1, 4]), (HEAD, [1, 1])):
        (plan,) = parts.plans[role]
        assert plan.fingerprint.sm == sm
        assert plan.plan.stat().st_size > 1 << 16
        assert [profile.opt[0] for profile in plan.fingerprint.profiles] == clips
    counts = json.loads(parts.plans[ENCODER][0].layers.read_text())["counts"]
    assert ("int8" in counts["layers"]) is (precision == "int8")
