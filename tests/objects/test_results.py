"""Results out of records and received runs: what they hold, whose they are, which edition they are."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import dcmread

from cathrt.runtime.alert import NO_BETTER_NOTICE, RunSummary, StudyEnded
from cathrt.runtime.errors import SourceError
from cathrt.runtime.objects.identity import uid_for, uid_of
from cathrt.runtime.objects.results import Decision, results_from
from tests.objects.dicom.generated_studies import CHARACTER_SETS, CharacterSet, Files, generated_study
from tests.passes import draft

UTF_8 = CHARACTER_SETS[-1]
ACCEPTED = Decision("accepted", "Dr. 山田", datetime(2026, 12, 1, 9, 0, tzinfo=UTC))


@pytest.mark.parametrize("character_set", CHARACTER_SETS, ids=lambda one: "+".join(one.declared) or "none")
def test_names_are_those_of_the_runs_in_every_character_set(tmp_path: Path, character_set: CharacterSet) -> None:
    results = generated_study(tmp_path, 1, "ended", character_set).results
    assert results.patient["PatientName"] == character_set.name
    header = results.evidence[0].header
    assert (str(header.PatientName), header.StudyDescription) == (character_set.name, character_set.text)
    assert header.SpecificCharacterSet == "ISO_IR 192"
    assert "PixelData" not in header


def test_bytes_that_are_no_text_in_their_character_set_are_flagged_and_not_dropped(tmp_path: Path) -> None:
    study = generated_study(tmp_path, 1, "ended", UTF_8)
    path = next(iter(study.store.paths.values()))
    path.write_bytes(path.read_bytes().replace("太郎".encode(), b"\xff\xfe\xff\xfe\xff\xfe"))
    results = results_from(study.records, study.store)
    assert "patient_text_unreadable" in results.evidence[0].flags
    assert "patient_text_unreadable" not in results.evidence[1].flags


def test_key_frames_are_counted_from_one_and_stay_best_first(tmp_path: Path) -> None:
    study = generated_study(tmp_path, 3, "ended", UTF_8)
    summaries = [record for record in study.records if isinstance(record, RunSummary)]
    for run, summary in zip(study.results.evidence, summaries, strict=True):
        (told,) = summary.results
        assert [key.frame_number - 1 for key in run.key_frames] == list(told.marked_frames)
        assert [key.score for key in run.key_frames] == list(told.marked_scores)
        assert (run.sop_instance_uid, run.record_id) == (summary.source, summary.id)
        assert all(key.readability in (None, key.score) for key in run.key_frames)


def test_words_count_frames_from_one_as_viewers_do(tmp_path: Path) -> None:
    run = generated_study(tmp_path, 3, "ended", UTF_8).results.evidence[0]
    listed = ", ".join(f"{key.frame_number} ({key.score:.2f})" for key in run.key_frames)
    assert run.text.endswith(f"key frames, counted from 1, best first: {listed}")
    assert run.text_ja.endswith(f"キーフレーム（1から数える） {listed}")
    assert min(key.frame_number for key in run.key_frames) >= 1


def test_what_a_model_warns_of_is_a_flag_of_the_run(tmp_path: Path) -> None:
    study = generated_study(tmp_path, 3, "ended", UTF_8)
    first, *others = study.records
    assert isinstance(first, RunSummary)
    (told,) = first.results
    poor = replace(told, best_is_poor=True, laterality_mismatch=True, filter_prefers=2)  # type: ignore[call-arg]
    flags = results_from([replace(first, results=(poor,)), *others], study.store).evidence[0].flags
    assert flags[-3:] == ("best_key_frame_is_poor", "angle_unusual_for_side", "filter_prefers_another_frame")


def test_a_study_that_has_not_ended_has_revision_zero_and_an_edition_of_its_own(tmp_path: Path) -> None:
    running = generated_study(tmp_path, 2, "open", UTF_8)
    assert (running.results.revision, running.results.replaces) == (0, None)
    ended = generated_study(tmp_path, 2, "ended", UTF_8).results
    assert ended.revision == 1
    assert uid_of(ended.edition, "report") != uid_of(running.results.edition, "report")


def test_a_late_run_makes_a_revision_that_names_the_one_before(tmp_path: Path) -> None:
    study = generated_study(tmp_path, 6, "second revision", UTF_8)
    first = results_from([record for record in study.records if getattr(record, "revision", 1) == 1], study.store)
    assert len(study.results.evidence) == len(first.evidence) + 1
    assert study.results.replaces == first.edition
    assert study.results.edition != first.edition


def test_a_draft_changes_no_edition_so_that_its_objects_are_added_to_those_before(tmp_path: Path) -> None:
    study = generated_study(tmp_path, 4, "ended", UTF_8)
    written = replace(draft(1), run_ids=tuple(run.run_id for run in study.results.evidence))
    drafted = results_from([*study.records, written], study.store)
    assert drafted.draft == written
    assert (drafted.edition, drafted.made_at) == (study.results.edition, study.results.made_at)


def test_a_decision_makes_an_edition_that_takes_the_place_of_the_undecided_one(tmp_path: Path) -> None:
    results = generated_study(tmp_path, 4, "ended", UTF_8).results
    decided = results.decided(ACCEPTED)
    assert decided.replaces == results.edition
    assert decided.edition != results.edition
    assert decided.made_at == ACCEPTED.at
    run = results.evidence[0]
    corrected = results.decided(ACCEPTED, [replace(run, laterality="right", key_frames=()), *results.evidence[1:]])
    assert corrected.edition not in (decided.edition, results.edition)


def test_the_gravest_notice_of_all_runs_is_that_of_the_results(tmp_path: Path) -> None:
    study = generated_study(tmp_path, 4, "ended", UTF_8)
    first, *others = study.records
    assert isinstance(first, RunSummary)
    assert results_from([replace(first, notice=NO_BETTER_NOTICE), *others], study.store).notice == NO_BETTER_NOTICE


def test_runs_of_two_patients_make_no_object(tmp_path: Path) -> None:
    study = generated_study(tmp_path, 4, "ended", UTF_8)
    path = list(study.store.paths.values())[-1]
    run = dcmread(path)
    run.PatientID = "another"
    run.save_as(path)
    with pytest.raises(SourceError, match="name 2 patients"):
        results_from(study.records, study.store)


def test_runs_of_two_studies_make_no_object(tmp_path: Path) -> None:
    study = generated_study(tmp_path, 4, "ended", UTF_8)
    path = list(study.store.paths.values())[-1]
    run = dcmread(path)
    run.StudyInstanceUID = "1.2.3"
    run.save_as(path)
    with pytest.raises(SourceError, match="name 2 studies"):
        results_from(study.records, study.store)


def test_a_run_that_has_left_the_store_is_said_and_not_left_out(tmp_path: Path) -> None:
    study = generated_study(tmp_path, 4, "ended", UTF_8)
    kept = Files(dict(list(study.store.paths.items())[1:]))
    with pytest.raises(SourceError, match="1 received runs of this study are not in the store any more"):
        results_from(study.records, kept)
    path = next(iter(study.store.paths.values()))
    path.unlink()
    with pytest.raises(SourceError, match="a received object cannot be read"):
        results_from(study.records, study.store)


def test_an_end_whose_runs_the_journal_lacks_makes_nothing(tmp_path: Path) -> None:
    study = generated_study(tmp_path, 4, "ended", UTF_8)
    with pytest.raises(SourceError, match="no confirmed run"):
        results_from([record for record in study.records if isinstance(record, StudyEnded)], study.store)


def test_uids_are_uids_and_no_two_lists_of_parts_share_one() -> None:
    assert uid_for("a", "b") == uid_for("a", "b")
    apart = {
        uid_for("a", "b"),
        uid_for("a|b"),
        uid_for("a\\", "b"),
        uid_for("a", "|b"),
        uid_for("b", "a"),
        uid_for("ab"),
    }
    assert len(apart) == 6
    assert all(uid.startswith("2.25.") and uid[5] != "0" and len(uid) <= 64 for uid in apart)
