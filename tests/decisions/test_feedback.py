"""`cathrt feedback`: decisions as labelled data, with nothing in it that names a patient or a person."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

from cathrt.runtime.alert import NOTICE, Correction, Thing
from cathrt.runtime.listener.object_store import ObjectStore
from cathrt.runtime.processes.state_folder import StateFolder
from tests.decisions.deciding import MORI, deciding, state_with_study
from tests.e2e.commands import cathrt
from tests.listener.listening import LIMITS

CANARIES = ("Yamada", "山田", "P00003", "A3", "19500101", "佐藤", "Sato", "sato", "mori", "カルテ7", "2026-12-01")


def written(state: StateFolder, out: Path) -> list[dict[str, Any]]:
    done = cathrt("feedback", state.path, "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (out / "decisions.jsonl").read_text(encoding="utf-8").splitlines()]
    (told,) = done.records
    assert (told["decisions"], told["counting"]) == (len(lines), sum(line["counts"] for line in lines))
    return lines


def test_a_line_has_what_the_model_and_the_person_said_and_where_the_picture_is(tmp_path: Path) -> None:
    state = state_with_study(tmp_path / "state")
    with deciding(state) as on:
        frame, run = on.key_frame(), on.now.runs[0]
        on.decide(frame, "rejected", text="患者 山田 カルテ7")
        on.decide(frame, "corrected", Correction(frame_index=on.unmarked()), by=MORI)
        on.decide(on.side(), "rejected")
        on.decide(Thing("finding", bundle="reader", finding="lad_mid_stenosis"), "corrected", Correction(value=30.0))
        on.decide(Thing("finding", bundle="reader", finding="lad_mid_cto"))
        on.decide(Thing("results"))
        on.finish(text="カルテ7")
        unmarked = on.unmarked()
    lines = written(state, tmp_path / "out")
    text = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "out").iterdir())
    assert [canary for canary in CANARIES if canary in text] == []
    assert NOTICE in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")

    rejected, instead, side, amount, called, whole = lines
    assert (rejected["stands"], rejected["counts"], rejected["reader"], instead["reader"]) == (False, False, 1, 2)
    assert (instead["sop_instance_uid"], instead["frame_number"]) == (run.source, (frame.frame_index or 0) + 1)
    assert len(instead["content_sha256"]) == 64
    assert instead["person"] == {"key_frame": False, "instead_frame_index": unmarked}
    assert (instead["model"]["score"], instead["model"]["score_instead"]) == (0.95, unmarked % 10 / 10)
    assert (instead["model"]["marked"], instead["model"]["manifest_sha256"]) == (True, "0" * 64)
    assert side["person"] == {"side": "unknown"}
    assert amount["person"] == {"value": 30.0, "positive": None, "label": None}
    assert (amount["model"]["value"], amount["model"]["finding"]) == (71.25, "lad_mid_stenosis")
    assert called["person"]["value"] == 0.12
    assert (whole["model"], whole["person"], whole["frame_number"]) == (None, {"accepted": True}, None)
    assert {line["study"] for line in lines} == {"study a"}
    assert all(set(line) == set(rejected) for line in lines)
    readme = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert all(f"`{key}`" in readme for key in rejected if key != "notice")


def test_pictures_that_are_gone_keep_the_identity_of_their_run(tmp_path: Path) -> None:
    state = state_with_study(tmp_path / "state")
    with deciding(state) as on:
        run = on.now.runs[0]
        on.decide(on.key_frame())
    with closing(ObjectStore(state.store, LIMITS)) as store:
        store.remove(store.received())
    (line,) = written(state, tmp_path / "out")
    assert (line["sop_instance_uid"], line["content_sha256"], line["run_id"]) == (None, None, run.run_id)


def test_a_folder_without_decisions_is_refused_with_what_was_expected(tmp_path: Path) -> None:
    done = cathrt("feedback", tmp_path, "--out", tmp_path / "out")
    assert done.returncode == 4
    assert "no gateway.journal, expected the state folder of a `cathrt run`" in done.stderr
    assert not (tmp_path / "out").exists()
