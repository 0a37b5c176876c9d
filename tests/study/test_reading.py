"""Each run of a study is encoded once and its study read: after each run, at its end, over stops, kills and losses."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cathrt.runtime.alert import NO_BETTER_NOTICE
from cathrt.runtime.bundle.manifest import NO_BETTER
from cathrt.runtime.errors import EngineError, SourceError
from cathrt.runtime.failpoints import READING_POINTS
from cathrt.runtime.model_kind import RunFacts
from cathrt.runtime.models.study.policy import StudyPolicy
from cathrt.runtime.study import confirm, drafting, model_thread, reading, study_ends
from cathrt.runtime.study.clips_read import clips_of
from tests.conftest import ROOT
from tests.models.study.numpy_networks import NumpyNetworks, clips_reader
from tests.models.study.test_choosing import run
from tests.sources.dicom_bytes import text
from tests.study.confirming import Study, report_of, study_in
from tests.study.scripted_writer import ScriptedWriter
from tests.study.studies_read import STUDY, counted, left, networks_of, order, run_file, send


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    with study_in(tmp_path) as study:
        study.compute = left
        study.readers = (clips_reader(NumpyNetworks()),)
        yield study


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for a second try, or for a look."""
    for module in (confirm, drafting, reading):
        monkeypatch.setattr(module, "RETRY_AFTER_S", (0.0, 0.0))
    for module in (confirm, model_thread):
        monkeypatch.setattr(module, "POLL_S", 0.001)
    monkeypatch.setattr(study_ends, "LOOK_S", 0.0)


def test_a_study_is_read_after_each_run_and_at_its_end_and_each_run_is_encoded_once(study: Study) -> None:
    send(study, 1)
    study.confirm(1, readings=1)
    send(study, 2)
    study.confirm(1, readings=1)
    study.sender.end_study(STUDY, 1, 2)
    study.confirm(0, readings=1)
    assert order(study) == ["1.2.1", "provisional 1", "1.2.2", "provisional 2", "final 3"]
    assert len(networks_of(study).encoded) == 2
    first, second, last = study.readings
    assert (first.ended, second.ended, last.ended) == (None, None, 1)
    assert [counted(study, record) for record in study.readings] == [["1.2.1"], ["1.2.1", "1.2.2"], ["1.2.1", "1.2.2"]]
    assert first.reading.findings != second.reading.findings == last.reading.findings
    assert sum(run.counted or 0.0 for run in last.runs) == pytest.approx(1.0)
    assert first.after_study_s is None
    assert last.after_study_s is not None
    assert STUDY not in last.study
    assert report_of(study.journal).readings == 3


def test_a_late_run_makes_a_new_revision_and_nothing_is_changed(study: Study) -> None:
    send(study, 1)
    study.sender.end_study(STUDY, 1)
    study.confirm(1, readings=1)
    before = study.readings[0]
    send(study, 2)
    study.confirm(1, readings=1)
    study.sender.end_study(STUDY, 2, revision=2)
    study.confirm(0, readings=1)
    assert study.readings[0] == before
    assert [(one.revision, one.provisional, one.ended) for one in study.readings] == [
        (1, False, 1), (2, True, None), (3, False, 2),
    ]  # fmt: skip
    assert len({one.id for one in study.readings}) == 3


def test_the_first_runs_in_time_count_in_whatever_order_they_came(study: Study) -> None:
    send(study, 5, 3, 1, 4, 2)
    study.sender.end_study(STUDY, 1, 2, 3, 4, 5)
    study.confirm(5, readings=1)
    (record,) = study.readings
    assert counted(study, record) == ["1.2.1", "1.2.2", "1.2.3", "1.2.4"]
    assert [(run.place, run.why) for run in record.runs][4:] == [(None, "beyond")]
    assert len(networks_of(study).encoded) == 4  # the fifth is nowhere needed


def test_a_run_without_an_artery_is_named_and_does_not_count(study: Study) -> None:
    study.readers = (clips_reader(NumpyNetworks(), StudyPolicy(fluoroscopy=True)),)
    send(study, 1)
    study.sender.send("1.2.2", run_file("1.2.2", 2, _00080060=text("CS", "XA"), _00181155=text("CS", "SC")))
    study.sender.end_study(STUDY, 1, 2)
    study.confirm(2, readings=1)
    assert counted(study, study.readings[0]) == ["1.2.1", "1.2.2"]


def test_what_does_not_count_is_not_encoded_and_a_study_of_nothing_else_says_so_at_its_end(study: Study) -> None:
    study.sender.send("1.2.1", run_file("1.2.1", 1, _00181155=text("CS", "SC")))
    study.confirm(1)
    study.sender.end_study(STUDY, 1)
    study.confirm(0, readings=1)
    (record,) = study.readings
    assert (record.provisional, record.reading.withheld) == (False, "no run of it counts")
    assert [run.why for run in record.runs] == ["fluoroscopy"]
    assert networks_of(study).encoded == []


def test_two_products_give_two_records_and_one_encoding(study: Study) -> None:
    first, second = NumpyNetworks(), NumpyNetworks()
    study.readers = (clips_reader(first), clips_reader(second, sha256="6" * 64))
    send(study, 1)
    study.sender.end_study(STUDY, 1)
    study.confirm(1, readings=2)
    assert [one.reading.manifest_sha256[0] for one in study.readings] == ["5", "6"]
    assert [one.revision for one in study.readings] == [1, 1]
    assert (len(first.encoded), len(second.encoded)) == (1, 0)


def test_two_runs_of_the_same_pixels_are_encoded_once(study: Study) -> None:
    study.sender.send("1.2.1", run_file("1.2.1", 1))
    study.sender.send("1.2.2", run_file("1.2.2", 1))
    study.sender.end_study(STUDY, 1, 2)
    study.confirm(2, readings=1)
    assert len(networks_of(study).encoded) == 1
    assert [run.counted for run in study.readings[0].runs] == pytest.approx([0.5, 0.5])


def test_a_received_run_goes_before_a_clip_which_is_left_and_encoded_afterwards(study: Study) -> None:
    def at_clip(number: int) -> None:
        if number == 1 and len(study.summaries) == 1:
            send(study, 2)
            networks.stop.wait(10.0)

    networks = networks_of(study)
    networks.at_clip = at_clip
    send(study, 1)
    study.confirm(2, readings=2)
    assert order(study)[:2] == ["1.2.1", "1.2.2"]
    assert len(networks.encoded) == 2


def test_studies_are_read_before_they_are_drafted(study: Study) -> None:
    study.writer = ScriptedWriter()
    send(study, 1)
    study.sender.end_study(STUDY, 1)
    study.confirm(1, drafts=1, readings=1)
    assert [record.type for record in study.records()][-2:] == ["study", "draft"]
    assert study.writer.readings == [[study.readings[-1].reading.findings]]


def test_a_draft_states_nothing_of_a_reader_that_is_no_better_than_chance(study: Study) -> None:
    study.readers, study.writer = (clips_reader(NumpyNetworks(), worth=NO_BETTER),), ScriptedWriter()
    send(study, 1)
    study.sender.end_study(STUDY, 1)
    study.confirm(1, drafts=1, readings=1)
    assert study.writer.readings == [[]]


def test_a_late_draft_has_the_reading_of_its_own_end(study: Study) -> None:
    study.writer = ScriptedWriter()
    send(study, 1)
    study.sender.end_study(STUDY, 1)
    study.confirm(1, drafts=1, readings=1)
    send(study, 2)
    study.confirm(1, readings=1)
    study.sender.end_study(STUDY, 2, revision=2)
    study.confirm(0, drafts=1, readings=1)
    finals = [record.reading.findings for record in study.readings if not record.provisional]
    assert study.writer.readings == [[finals[0]], [finals[1]]]


def test_a_study_of_two_patients_is_withheld_and_nothing_is_encoded_for_it(study: Study) -> None:
    networks_of(study).at_clip = lambda number: pytest.fail("a clip was encoded")
    send(study, 1)
    study.sender.end_study(STUDY, 1, flags=("patient_mismatch",))
    study.confirm(1, readings=1)
    (record,) = study.readings
    assert record.reading.withheld is not None
    assert "patient_mismatch" in record.reading.withheld
    assert record.reading.findings == ()


def test_a_late_run_of_a_study_whose_patient_is_not_settled_gives_nothing_before_that_is(study: Study) -> None:
    send(study, 1)
    study.sender.end_study(STUDY, 1, flags=("patient_mismatch",))
    study.confirm(1, readings=1)
    send(study, 2)
    study.confirm(1)
    study.sender.end_study(STUDY, 2, revision=2)
    study.confirm(0, readings=1)
    assert [(one.provisional, one.reading.withheld is None) for one in study.readings] == [
        (False, False),
        (False, True),
    ]


def test_an_engine_that_fails_is_tried_again_and_then_the_reading_says_why(study: Study) -> None:
    calls = 0

    def at_clip(number: int) -> None:
        nonlocal calls
        calls += 1
        raise EngineError("the device is busy")

    networks_of(study).at_clip = at_clip
    send(study, 1)
    study.sender.end_study(STUDY, 1)
    study.confirm(1, readings=1)
    (record,) = study.readings
    assert record.reading.withheld == "EngineError: the device is busy"
    assert calls == 3
    networks_of(study).at_clip = lambda number: None
    send(study, 2)
    study.confirm(1, readings=1)
    assert study.readings[-1].reading.withheld is None


def test_a_run_whose_file_is_gone_is_counted_as_one_that_could_not_be_judged(study: Study) -> None:
    readers, study.readers = study.readers, ()
    send(study, 1, 2)
    study.confirm(2)
    for path in (study.state.store / "objects").rglob("*.dcm"):
        if b"UI\6\0" + b"1.2.1\0" in path.read_bytes()[:1000]:
            path.unlink()
    study.readers = readers
    study.confirm(0)  # from now on the reader is there
    study.sender.end_study(STUDY, 1, 2)
    study.confirm(0, readings=1)
    (record,) = study.readings
    assert (counted(study, record), record.unjudged) == (["1.2.2"], 1)


def test_a_run_that_cannot_be_read_again_makes_place_for_the_next() -> None:
    def features_of(facts: RunFacts) -> np.ndarray:
        if facts.run_id == "1":
            raise SourceError("frame 3 cannot be read again")
        return np.zeros((3, 4), np.float32)

    reader = clips_reader(NumpyNetworks(), StudyPolicy(most_runs=2))
    clips = clips_of(reader, [run(str(number), number) for number in range(1, 5)], features_of)
    assert [(one.run_id, one.why) for one in clips.runs] == [
        ("2", "counts"), ("3", "counts"), ("4", "beyond"), ("1", "unreadable"),
    ]  # fmt: skip
    assert [one.run_id for one in clips.facts] == ["2", "3"]


def test_the_gravest_notice_of_runs_and_reader_is_on_the_record(study: Study) -> None:
    reader = clips_reader(NumpyNetworks(), worth=NO_BETTER)
    study.readers = (reader,)
    send(study, 1)
    study.confirm(1, readings=1)
    assert study.readings[0].notice == NO_BETTER_NOTICE


def test_a_reader_that_comes_later_reads_what_ends_from_then_on(study: Study) -> None:
    readers, study.readers = study.readers, ()
    send(study, 1)
    study.sender.end_study(STUDY, 1)
    study.confirm(1)
    study.readers = readers
    send(study, 2)
    study.confirm(1, readings=1)
    assert [counted(study, record) for record in study.readings] == [["1.2.2"]]
    study.sender.end_study(STUDY, 2, revision=2)
    study.confirm(0, readings=1)
    assert counted(study, study.readings[-1]) == ["1.2.1", "1.2.2"]  # the end counts all runs of the study


@pytest.mark.parametrize("lost", ["intake", "features", "both"])
def test_lost_books_read_no_study_twice(study: Study, lost: str) -> None:
    send(study, 1)
    study.confirm(1, readings=1)
    study.sender.end_study(STUDY, 1)
    study.confirm(0, readings=1)
    before = study.readings
    for path in {"intake": [study.intake], "features": [study.state.features]}.get(
        lost, [study.intake, study.state.features]
    ):
        path.unlink()
    send(study, 2)
    study.confirm(1, readings=1)
    study.sender.end_study(STUDY, 2, revision=2)
    study.confirm(0, readings=1)
    assert study.readings[:2] == before
    assert [one.revision for one in study.readings] == [1, 2, 3, 4]
    assert len({one.rests_on for one in study.readings}) == 4


@pytest.mark.parametrize("point", READING_POINTS)
@pytest.mark.parametrize("after", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_anywhere_no_run_is_encoded_twice_in_the_end_and_no_reading_is_lost(
    study: Study, point: str, after: int
) -> None:
    send(study, 1, 2, 3)
    study.sender.end_study(STUDY, 1, 2)  # the third is late: a reading of its own
    command = [sys.executable, "-m", "tests.study.studies_read", str(study.state.path), point, str(after)]
    assert subprocess.run(command, cwd=ROOT, timeout=120.0, check=False).returncode == -signal.SIGKILL
    by_the_killed = (study.state.path / "encoded").read_text(encoding="utf-8").split()
    send(study, 4)
    study.confirm(1, readings=3 - len(study.readings))
    assert [(one.provisional, counted(study, one)) for one in study.readings] == [
        (False, ["1.2.1", "1.2.2"]),
        (True, ["1.2.1", "1.2.2", "1.2.3"]),
        (True, ["1.2.1", "1.2.2", "1.2.3", "1.2.4"]),
    ]
    assert [one.revision for one in study.readings] == [1, 2, 3]
    again = point == "study.encoded"  # that one clip was encoded and not yet kept
    assert len(by_the_killed) + len(networks_of(study).encoded) == 4 + again
    assert len(set(by_the_killed)) == len(by_the_killed)
    assert report_of(study.journal).sound


def test_a_clip_that_ends_the_process_again_and_again_is_left_out(study: Study) -> None:
    send(study, 1, 2)
    study.sender.end_study(STUDY, 1, 2)
    for _ in range(drafting.MOST_CRASHES):
        with pytest.raises(KeyboardInterrupt):
            networks_of(study).at_clip = interrupted
            study.confirm(2, readings=1)
    networks_of(study).at_clip = lambda number: None
    study.confirm(0, readings=1)
    (record,) = study.readings
    assert [run.why for run in record.runs] == ["counts", "unreadable"]
    assert counted(study, record) == ["1.2.2"]


def interrupted(_clip: int) -> None:
    """As an end of the process is for the books: nothing of it is put back."""
    raise KeyboardInterrupt
