"""A signed bundle of real graphs: each CPU engine reads a study alike, whatever places no run fills."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cathrt.runtime.config import Config, EngineConfig
from cathrt.runtime.models import open_reader
from cathrt.runtime.models.study.reader import ClipsReader
from tests.models.study.numpy_networks import SECTION
from tests.models.study.test_choosing import run
from tests.models.study.test_clips import source
from tests.models.study.tiny_bundle import ENGINES, tiny_study_bundle


def reader_of(folder: Path, engine: str, runs: int = 4) -> ClipsReader:
    bundle = tiny_study_bundle(folder, replace(SECTION, runs=runs), f"tiny study {runs}")
    reader = open_reader(bundle, Config(engine=EngineConfig(name=engine, threads=1)))
    assert isinstance(reader, ClipsReader)
    return reader


def encoded(reader: ClipsReader, frames: int, stop: threading.Event | None = None) -> np.ndarray | None:
    phantom = source(frames)
    pictures = [phantom.render(index) for index in reader.wanted(phantom.run)]
    return reader.encode(phantom.run, pictures, stop or threading.Event())


@pytest.mark.parametrize("engine", ENGINES)
def test_ten_places_with_four_clips_answer_as_four_places_do(engine: str, tmp_path: Path) -> None:
    four, ten = reader_of(tmp_path, engine), reader_of(tmp_path, engine, runs=10)
    features = [found for number in range(4) if (found := encoded(four, 20 + 3 * number)) is not None]
    runs = [run(str(number), number) for number in range(4)]
    few, many = four.read(runs, features), ten.read(runs, features)
    assert [one.value for one in few.reading.findings] == [one.value for one in many.reading.findings]
    assert few.counted == pytest.approx(many.counted)
    assert len(set(few.counted)) == 4
    two = ten.read(runs[:2], features[:2])
    assert [one.value for one in two.reading.findings] != [one.value for one in many.reading.findings]
    four.close()
    ten.close()


def test_the_engines_agree(tmp_path: Path) -> None:
    found = []
    for engine in ENGINES:
        (tmp_path / engine).mkdir()
        reader = reader_of(tmp_path / engine, engine)
        features = encoded(reader, 25)
        assert features is not None
        found.append(features)
        reader.close()
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_clip_that_is_not_wanted_any_more_gives_nothing(engine: str, tmp_path: Path) -> None:
    reader = reader_of(tmp_path, engine)
    stop = threading.Event()
    stop.set()
    assert encoded(reader, 25, stop) is None
    assert encoded(reader, 25) is not None
    reader.close()
