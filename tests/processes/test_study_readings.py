"""The study process reads a study with the graphs of a signed bundle, over a kill, beside the demonstration's line."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from cathrt.export.bundle.sign import public_key
from cathrt.runtime.alert import StudyFindings
from tests.models.study.tiny_bundle import KEY, tiny_study_bundle
from tests.processes.test_study import Lab, lab_in, phantom_run
from tests.study.confirming import Sender, report_of

__all__ = ["phantom_run"]  # a fixture


def readings(lab: Lab) -> list[StudyFindings]:
    return [record for record in lab.records() if isinstance(record, StudyFindings)]


def test_a_study_is_read_provisionally_and_at_its_end_after_a_kill(tmp_path: Path, phantom_run: Path) -> None:
    bundle = tiny_study_bundle(tmp_path).path
    config = f'[trust]\nkeys = ["{public_key(KEY)}"]\n'
    (tmp_path / "state" / "store").mkdir(parents=True)
    with closing(Sender(tmp_path / "state" / "store")) as sender:
        sender.send("1.2.1", phantom_run.read_bytes())
        with lab_in(tmp_path, config, [bundle]) as lab:
            lab.until(lambda: len(readings(lab)) == 1)  # lab_in kills it
        sender.end_study("1.2", 1)
        with lab_in(tmp_path, config, [bundle]) as lab:
            lab.until(lambda: len(readings(lab)) == 2)
            assert lab.end() == 0
    first, last = readings(lab)
    assert (first.provisional, last.provisional, last.ended) == (True, False, 1)
    assert first.reading.findings == last.reading.findings
    assert [run.counted for run in last.runs] == [1.0]
    assert last.reading.engine == "openvino"
    assert report_of(lab.state.study_journal).sound
