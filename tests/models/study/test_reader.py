"""The study model's part in studies: clips to features, features of the runs that count to a reading."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

from cathrt.runtime.config import EngineConfig
from cathrt.runtime.errors import ConfigError, EngineError
from cathrt.runtime.model_kind import RunFacts
from cathrt.runtime.models.study.reader import ClipsReader
from cathrt.runtime.models.study.records import ClipsReading
from tests.models.study.numpy_networks import SECTION, NumpyNetworks, clips_reader, study_bundle
from tests.models.study.test_choosing import run
from tests.models.study.test_clips import source

TEN = replace(SECTION, runs=10)


def encoded(reader: ClipsReader, frames: int) -> np.ndarray:
    phantom = source(frames)
    pictures = [phantom.render(index) for index in reader.wanted(phantom.run)]
    features = reader.encode(phantom.run, pictures, threading.Event())
    assert features is not None
    return features


def four() -> tuple[list[RunFacts], list[np.ndarray]]:
    reader = clips_reader()
    return [run(str(number), number) for number in range(4)], [encoded(reader, 20 + number) for number in range(4)]


def test_places_that_no_run_fills_change_nothing() -> None:
    """Ten places with four clips answer as four places with the same four clips do, to the last bit."""
    runs, features = four()
    ten = clips_reader(NumpyNetworks(TEN), section=TEN).read(runs, features)
    alone = clips_reader().read(runs, features)
    assert ten.reading.findings == alone.reading.findings
    assert ten.counted == alone.counted
    assert sum(ten.counted) == pytest.approx(1.0)


def test_empty_places_that_are_attended_hold_the_features_of_a_clip_of_zeros_encoded_once() -> None:
    section = replace(TEN, empty="attended")
    runs, features = four()
    networks = NumpyNetworks(section)
    reader = clips_reader(networks, section=section)
    first = reader.read(runs, features)
    assert sum(first.counted) < 0.99
    assert reader.read(runs, features) == first
    assert len(networks.encoded) == 1
    (asked, _) = networks.asked
    assert asked["there"].all()
    assert np.ptp(asked["features"][0, 4:], axis=0).max() == 0.0
    assert not np.array_equal(asked["features"][0, 3], asked["features"][0, 4])


def test_the_views_of_the_runs_go_to_a_head_that_has_a_table_of_them() -> None:
    section = replace(SECTION, views=13)
    networks = NumpyNetworks(section)
    _, features = four()
    reader = clips_reader(networks, section=section)
    reader.read([run("a", 1, positioner_primary_angle_deg=None), run("b", 2)], features[:2])
    assert networks.asked[0]["views"].tolist() == [[12, 9, 12, 12]]  # unknown, RAO cranial, empty places


def test_an_answer_carries_its_threshold_label_segment_artery_and_model() -> None:
    runs, features = four()
    reading = clips_reader().read(runs, features).reading
    assert isinstance(reading, ClipsReading)
    assert (reading.product, reading.manifest_sha256, reading.engine) == ("made up", "5" * 64, "fake")
    percent, stenosis, syntax, dominance = reading.findings
    assert (percent.artery, percent.segment, percent.unit, percent.label) == ("LAD", "prox_lad", "%", "")
    assert stenosis.threshold == 0.1145
    assert stenosis.positive is (stenosis.value > 0.1145)
    assert stenosis.label == ("significant stenosis" if stenosis.positive else "no significant stenosis")
    assert (syntax.artery, syntax.segment, syntax.threshold) == (None, None, 16.9)
    assert dominance.label in ("right", "left")
    assert "SYNTAX score" in reading.text
    assert reading.text_ja


def test_a_run_too_long_or_too_short_gives_frames_that_are_there() -> None:
    reader = clips_reader()
    assert reader.wanted(source(2).run) == (0, 1, 1, 1)
    assert reader.wanted(source(40).run)[-1] == 39


def test_a_clip_that_is_left_keeps_nothing() -> None:
    reader = clips_reader()
    stop = threading.Event()
    stop.set()
    phantom = source(20)
    assert reader.encode(phantom.run, [phantom.render(index) for index in reader.wanted(phantom.run)], stop) is None


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("logits", np.full((1, 5), np.nan, np.float32), "NaN or infinite"),
        ("logits", np.zeros((1, 4), np.float32), "found outputs"),
        ("counted", np.full((1, 4), 0.5, np.float32), "shares sum to 2.0000"),
        ("counted", np.array([[2.0, -1.0, 0.0, 0.0]], np.float32), "is no share"),
    ],
)
def test_outputs_that_mean_nothing_are_no_reading(
    name: str, value: np.ndarray, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, features = four()
    networks = NumpyNetworks()
    whole = networks.ask
    monkeypatch.setattr(networks, "ask", lambda feeds: {**whole(feeds), name: value})
    with pytest.raises(EngineError, match=says):
        clips_reader(networks).read(runs, features)


def test_features_that_are_not_finite_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    networks = NumpyNetworks()
    monkeypatch.setattr(networks, "encode", lambda feeds, stop: {"features": np.full((1, 3, 4), np.inf, np.float32)})
    with pytest.raises(EngineError, match="features are NaN or infinite"):
        encoded(clips_reader(networks), 20)


def test_a_bundle_for_another_engine_is_refused_before_anything_is_loaded() -> None:
    with pytest.raises(ConfigError, match=r"is for fake, found .openvino.: name one of these in policy\.study\.engine"):
        ClipsReader(study_bundle(), EngineConfig(), None)


def test_two_products_with_the_same_encoder_share_what_was_encoded_and_others_do_not() -> None:
    files = {"encoder.onnx": "1" * 64, "head.onnx": "2" * 64}
    one = clips_reader(files=files)
    other_head = clips_reader(sha256="6" * 64, files=files | {"head.onnx": "3" * 64})
    other_encoder = clips_reader(files=files | {"encoder.onnx": "3" * 64})
    clip = replace(SECTION, clip=replace(SECTION.clip, stride=2))
    other_clips = clips_reader(section=clip, files=files)
    assert one.encoder == other_head.encoder
    assert len({one.encoder, other_encoder.encoder, other_clips.encoder}) == 3


def test_networks_are_loaded_at_their_first_use_and_anew_after_they_were_given_back() -> None:
    networks = NumpyNetworks()
    reader = clips_reader(networks)
    assert (reader.withheld("why").withheld, networks.opened) == ("why", 0)
    encoded(reader, 20)
    reader.close()
    reader.close()
    encoded(reader, 20)
    assert (networks.opened, networks.closed) == (2, 1)
