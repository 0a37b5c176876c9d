"""`cathrt demo` with a writer and a reader: its three phantom runs are one study, drafted and read once judged."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from cathrt.runtime.bundle.shipped import demonstration_bundle, demonstration_studies_bundle, shipped_keys
from cathrt.runtime.commands.demo import demo
from cathrt.runtime.config import Config, EngineConfig
from cathrt.runtime.models import open_bundle, open_reader
from tests.models.report.scripted_model import ScriptedModel, scripted_writer
from tests.passes import Shown

_BOTH = {
    "facts": '{"sides":["left","right"],"lesions":[],"dominance":null,"grafts":null}',
    "en": "The left and right coronary arteries were shown. "
    "No significant stenosis was seen in the left coronary artery. "
    "No significant stenosis was seen in the right coronary artery.",
    "ja": "左冠動脈と右冠動脈が造影されている。左冠動脈に有意狭窄を認めない。右冠動脈に有意狭窄を認めない。",
}


@pytest.mark.slow
def test_the_demo_ends_with_a_draft_of_its_phantom_study(tmp_path: Path) -> None:
    shown, model = Shown(), ScriptedModel(_BOTH)
    bundle = open_bundle(demonstration_bundle(), shipped_keys())
    done = demo(tmp_path, bundle, Config(), (shown,), seed=7, writer=scripted_writer(model))
    assert done.draft is not None
    assert (done.draft.study, done.draft.draft.withheld) == ("phantom study 7", None)
    assert (done.draft.draft.text, done.draft.draft.text_ja) == (_BOTH["en"], _BOTH["ja"])
    assert len(done.draft.run_ids) == 3
    assert len(model.pictures) == 2  # the best key frame of each side
    assert shown.records[-1] == done.draft


@pytest.mark.slow
def test_the_demo_ends_with_findings_of_its_phantom_study(tmp_path: Path) -> None:
    shown, config = Shown(), Config(engine=EngineConfig("openvino"))
    with (
        open_bundle(demonstration_bundle(), shipped_keys()) as bundle,
        open_bundle(demonstration_studies_bundle(), shipped_keys()) as studies,
        closing(open_reader(studies, config)) as reader,
    ):
        done = demo(tmp_path, bundle, config, (shown,), seed=7, reader=reader)
    assert done.reading is not None
    assert shown.records[-1] == done.reading
    assert (done.reading.study, done.reading.reading.withheld) == ("phantom study 7", None)
    assert [run.why for run in done.reading.runs] == ["counts", "counts", "no_side"]
    assert {one.segment for one in done.reading.reading.findings} == {
        "prox_lad", "mid_lad", "prox_lcx", "dist_lcx", "prox_rca", "mid_rca", None,
    }  # fmt: skip
