"""What is kept from one qualification to the next: whole, found by what decides it, never damaged, never too much."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cathrt.export.qualify.kept import Kept, user_cache
from cathrt.export.qualify.kept_phantom import KeptPhantom
from cathrt.export.qualify.reference_answers import ReferenceAnswers
from cathrt.export.qualify.runs import FIRST_SEED
from cathrt.runtime.errors import SinkError
from cathrt.runtime.frame import Frame
from cathrt.runtime.phantom import PhantomSource, sample_scene

KEY = {"what": "a test", "number": 1}


def only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_what_was_put_is_got_and_anything_else_that_decides_it_finds_nothing(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "cache")
    assert kept.get(KEY) is None
    kept.put(KEY, b"content")
    assert Kept(tmp_path / "cache").get({"number": 1, "what": "a test"}) == b"content"
    assert kept.get({**KEY, "number": 2}) is None
    kept.put(KEY, b"another")
    assert kept.get(KEY) == b"another"


@pytest.mark.parametrize("damage", [lambda whole: whole[:-1], lambda whole: whole[:-1] + b"!", lambda whole: b""])
def test_a_damaged_file_is_noticed_and_removed(tmp_path: Path, damage: object) -> None:
    kept = Kept(tmp_path)
    kept.put(KEY, b"content")
    path = only_file(tmp_path)
    assert callable(damage)
    path.write_bytes(damage(path.read_bytes()))
    assert kept.get(KEY) is None
    assert list(tmp_path.iterdir()) == []


def test_the_files_used_longest_ago_go_where_there_is_too_much(tmp_path: Path) -> None:
    kept = Kept(tmp_path, limit_bytes=3 * 132)
    for number in range(3):
        kept.put({"number": number}, bytes(100))
    for age, path in enumerate(sorted(tmp_path.iterdir(), key=lambda path: path.stat().st_mtime_ns)):
        os.utime(path, ns=(age, age))
    assert kept.get({"number": 0}) is not None  # used: now the newest
    kept.put({"number": 3}, bytes(100))
    assert [kept.get({"number": number}) is not None for number in range(4)] == [True, False, True, True]


def test_a_write_that_fails_leaves_nothing_and_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(tmp_path)

    def full(*paths: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(SinkError, match="No space left on device"):
        kept.put(KEY, b"content")
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_its_owners_alone_and_lies_where_the_user_keeps_such_things(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Kept(tmp_path / "new")
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache() == tmp_path / "cathrt" / "qualify"
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    assert user_cache() == Path.home() / ".cache" / "cathrt" / "qualify"


def pixels(source: KeptPhantom | PhantomSource) -> list[NDArray[np.generic]]:
    return [item.pixels for item in source.frames() if isinstance(item, Frame)]


def phantom(seed: int = FIRST_SEED) -> PhantomSource:
    return PhantomSource(sample_scene(seed, kind=None, matrix=64))


def test_a_kept_phantom_run_is_the_rendered_one_and_is_not_rendered_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, rendered = Kept(tmp_path), pixels(phantom())
    first = KeptPhantom(phantom(), kept)
    assert first.run.run_id == phantom().run.run_id
    np.testing.assert_array_equal(pixels(first), rendered)
    monkeypatch.setattr(PhantomSource, "render", lambda self, index: pytest.fail("rendered again"))
    again = pixels(KeptPhantom(phantom(), kept))
    np.testing.assert_array_equal(again, rendered)
    assert again[0].dtype == rendered[0].dtype
    assert not again[0].flags.writeable


def test_a_damaged_phantom_run_is_rendered_anew(tmp_path: Path) -> None:
    kept, rendered = Kept(tmp_path), pixels(phantom())
    pixels(KeptPhantom(phantom(), kept))
    path = only_file(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    np.testing.assert_array_equal(pixels(KeptPhantom(phantom(), kept)), rendered)
    assert path.read_bytes() == whole


def test_a_phantom_run_that_is_closed_on_the_way_is_not_kept(tmp_path: Path) -> None:
    source = KeptPhantom(phantom(), Kept(tmp_path))
    frames = source.frames()
    next(frames)
    source.close()
    list(frames)
    assert list(tmp_path.iterdir()) == []


class Counting:
    """A reference that counts its calls: the mean of its tensor."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, tensors: object) -> dict[str, NDArray[np.float32]]:
        assert isinstance(tensors, dict)
        self.calls += 1
        return {"mean": tensors["image"].mean(keepdims=True).reshape(1, 1)}


def answered(network: Counting, kept: Kept | None, frames: list[float], **decided_by: object) -> list[float]:
    run = ReferenceAnswers(network, decided_by, kept).to_run("a run")
    found = [float(run({"image": np.full((1, 3, 4, 4), value, np.float32)})["mean"][0, 0]) for value in frames]
    run.keep()
    return found


def test_an_answer_that_is_kept_is_not_computed_again_and_is_the_same(tmp_path: Path) -> None:
    network, kept = Counting(), Kept(tmp_path)
    assert answered(network, kept, [1.0, 2.0], weights="a") == [1.0, 2.0]
    assert answered(network, kept, [1.0, 2.0], weights="a") == [1.0, 2.0]
    assert network.calls == 2


def test_other_tensors_of_a_run_of_the_same_name_are_computed(tmp_path: Path) -> None:
    network, kept = Counting(), Kept(tmp_path)
    answered(network, kept, [1.0, 2.0], weights="a")
    assert answered(network, kept, [1.0, 3.0], weights="a") == [1.0, 3.0]
    assert network.calls == 3
    assert answered(network, kept, [1.0, 3.0], weights="a") == [1.0, 3.0]
    assert network.calls == 3, "what was computed is kept with the rest"


def test_answers_of_other_weights_are_not_taken(tmp_path: Path) -> None:
    network, kept = Counting(), Kept(tmp_path)
    answered(network, kept, [1.0], weights="a")
    answered(network, kept, [1.0], weights="b")
    assert network.calls == 2


def test_damaged_answers_are_computed_anew(tmp_path: Path) -> None:
    network, kept = Counting(), Kept(tmp_path)
    answered(network, kept, [1.0], weights="a")
    path = only_file(tmp_path)
    path.write_bytes(path.read_bytes()[:-2] + b"xx")
    assert answered(network, kept, [1.0], weights="a") == [1.0]
    assert network.calls == 2
    assert answered(network, kept, [1.0], weights="a") == [1.0]
    assert network.calls == 2


def test_without_a_place_to_keep_them_answers_are_computed_each_time() -> None:
    network = Counting()
    for _ in range(2):
        answered(network, None, [1.0])
    assert network.calls == 2
