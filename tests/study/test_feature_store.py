"""What runs were encoded to is kept once, found again by run and by pixels, and goes by its last use."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cathrt.runtime.frame import TakenAt
from cathrt.runtime.retention.kept_features import FeatureLimits, KeptFeatures
from cathrt.runtime.retention.kept_journal import Moment
from cathrt.runtime.study.feature_store import FeatureStore, FeatureStoreError, pixels_sha256
from tests.models.study.test_choosing import run
from tests.models.study.test_clips import source

HOUR_S = 3600.0


class Clock:
    now_s = 1_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "features.db"


@pytest.fixture
def store(path: Path, clock: Clock) -> Iterator[FeatureStore]:
    with closing(FeatureStore(path, clock)) as store:
        yield store


def features(seed: int, rows: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, 4), np.float32)


def test_features_are_found_again_to_the_last_bit_by_run_and_by_pixels(store: FeatureStore, path: Path) -> None:
    store.keep("run", "pixels", "encoder", features(1))
    store.close()
    with closing(FeatureStore(path)) as later:
        for found in (later.of_run("run", "encoder"), later.of_pixels("pixels", "encoder")):
            assert found is not None
            np.testing.assert_array_equal(found, features(1))
        assert later.of_run("run", "another encoder") is None
        assert later.of_run("another run", "encoder") is None
        later.keep("another run", "pixels", "encoder", None)
        assert later.of_run("another run", "encoder") is not None
        assert later.held().clips == 1


def test_damaged_features_are_dropped_and_encoded_again(store: FeatureStore, path: Path) -> None:
    store.keep("run", "pixels", "encoder", features(1))
    with closing(sqlite3.connect(path)) as database, database:
        (body,) = database.execute("SELECT features FROM clip").fetchone()
        database.execute("UPDATE clip SET features = ?", (body[:-1] + bytes([body[-1] ^ 1]),))
    assert store.of_run("run", "encoder") is None
    assert store.held().clips == 0


def test_the_hash_of_pixels_is_of_values_size_depth_and_order() -> None:
    given = source(20)
    frames = [given.render(index) for index in (0, 5)]
    base = pixels_sha256(given.run, frames)
    assert base == pixels_sha256(given.run, [frame.copy() for frame in frames])
    deeper = replace(given.run, grayscale=replace(given.run.grayscale, bits_stored=16))
    others = [
        pixels_sha256(given.run, frames[::-1]), pixels_sha256(given.run, frames[:1]),
        pixels_sha256(deeper, frames), pixels_sha256(given.run, [frames[0], frames[1] ^ 1]),
    ]  # fmt: skip
    assert len({base, *others}) == 5


def test_what_is_known_of_a_run_comes_back_as_it_was(store: FeatureStore) -> None:
    first, second = run("a", 1, 3.25), run("b", 2, side=None, modality=None)
    store.note_run("study", second)
    store.note_run("study", first)
    store.note_run("another", run("c", 3))
    assert store.runs_of_study("study") == [first, second]
    assert store.run_of_pass("pass a") == ("study", first)
    assert first.taken_at == TakenAt(3.25)
    assert store.run_of_pass("pass x") is None


def test_revisions_are_found_by_what_they_rest_on(store: FeatureStore) -> None:
    assert store.last_revision("model", "study") == 0
    store.note_reading("model", "study", 1, "this")
    store.note_reading("model", "study", 2, "that")
    store.note_reading("other model", "study", 5, "this")
    assert store.last_revision("model", "study") == 2
    assert store.revision_of("model", "study", "this") == 1
    assert store.revision_of("model", "study", "nothing") is None


def test_over_the_limit_the_clips_go_that_were_not_used_for_the_longest_time(store: FeatureStore, clock: Clock) -> None:
    rows = (1 << 20) // 16  # a MiB each
    for number in range(4):
        store.keep(f"run {number}", f"pixels {number}", "encoder", features(number, rows))
        clock.now_s += HOUR_S
    store.of_run("run 0", "encoder")  # used again
    kept = KeptFeatures(store, FeatureLimits(2, 0.0, 0.0))
    looked = kept.look(Moment(clock.now_s + 1.0))
    assert (looked.removed, looked.bytes) == (2, 2 << 20)
    assert [store.of_run(f"run {number}", "encoder") is not None for number in range(4)] == [True, False, False, True]
    assert kept.look(Moment(clock.now_s + 1.0)).removed == 0


def test_room_comes_back_to_the_disk(store: FeatureStore, path: Path, clock: Clock) -> None:
    store.keep("run", "pixels", "encoder", features(1, 1 << 18))
    clock.now_s += HOUR_S
    assert store.forget_clips(1, clock.now_s, 10).bytes == 4 << 20
    store.close()
    assert path.stat().st_size < 1 << 20


def test_what_was_used_lately_stays_and_says_so(store: FeatureStore, clock: Clock) -> None:
    store.keep("run", "pixels", "encoder", features(1, 1 << 18))
    kept = KeptFeatures(store, FeatureLimits(1, 0.0, HOUR_S))
    looked = kept.look(Moment(clock.now_s + 10.0))
    assert (looked.removed, looked.note) == (0, "3 MiB over the limit stay: used within retention.keep_hours")
    short = KeptFeatures(store, FeatureLimits(0, 0.0, HOUR_S)).look(Moment(clock.now_s + 2 * HOUR_S, 1 << 30, True))
    assert (short.removed, short.note) == (1, "clips are removed before their time: the disk is short")


def test_what_is_known_of_old_studies_is_forgotten(store: FeatureStore, clock: Clock) -> None:
    store.note_run("study", run("a", 1))
    store.note_reading("model", "study", 1, "this")
    KeptFeatures(store, FeatureLimits(0, 2.0, 0.0)).look(Moment(clock.now_s + 3 * 86400.0))
    assert (store.runs_of_study("study"), store.last_revision("model", "study")) == ([], 0)


def test_a_file_that_is_none_or_of_a_later_version_says_that_it_may_be_removed(store: FeatureStore, path: Path) -> None:
    store.close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version=2")
    with pytest.raises(FeatureStoreError, match="has version 2, expected at most 1: remove it"):
        FeatureStore(path)
    path.write_bytes(b"no database at all, but long enough to be taken for one" * 100)
    with pytest.raises(FeatureStoreError, match="remove it: runs are then encoded again"):
        FeatureStore(path)
