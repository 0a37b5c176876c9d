"""Inputs that fuzzing kept end as they may, and the check notices an end that is not allowed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from cathrt.runtime.bundle.onnx_file import OnnxFile
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame, Grayscale, LostFrame, Run, Timing
from cathrt.runtime.sources.decoder.child import READERS
from tests.fuzz import corpus, targets
from tests.fuzz.targets import TARGETS
from tests.golden import conv_model


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")  # its opinion of a value is no end
@pytest.mark.parametrize("name", sorted(TARGETS))
def test_every_kept_input_ends_as_it_may(name: str) -> None:
    kept = corpus.read_corpus(name)
    assert len(kept) >= 15
    for digest, data in kept.items():
        try:
            TARGETS[name].check(data)
        except Exception as exc:  # whatever it is, the input must be named
            raise AssertionError(f"{name} {digest}") from exc


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_no_seed_is_a_finding(name: str) -> None:
    seeds = list(TARGETS[name].seeds())
    assert seeds
    for seed in seeds:
        TARGETS[name].check(seed)


RUN = Run("8c0e1f4a-6f2b-5a10-9d4e-0123456789ab", "f", 2, 4, 6, Grayscale(8), Timing(15.0, "default"))
GOOD = Frame(np.zeros((4, 6), np.uint8), 0, 0)
WRONG_ENDS: dict[str, tuple[Sequence[Run | Frame | LostFrame], str]] = {
    "frames are missing": ([RUN, GOOD], "1 items, 2 declared"),
    "an index is left out": ([RUN, LostFrame(1, 0, "why", failed=True)], "frame 1, expected 0"),
    "another size": ([RUN, Frame(np.zeros((5, 6), np.uint8), 0, 0)], "another size"),
    "another type": ([RUN, Frame(np.zeros((4, 6), np.uint16), 0, 0)], "another type"),
    "no reason": ([RUN, LostFrame(0, 0, "", failed=True)], "without a reason"),
    "no run": ([GOOD], "no run"),
    "a second run": ([RUN, RUN], "second run"),
}


@pytest.mark.parametrize("name", WRONG_ENDS)
def test_a_reader_that_ends_otherwise_is_a_finding(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    items, complaint = WRONG_ENDS[name]
    monkeypatch.setitem(READERS, "dicom", lambda: lambda _request, _contents: iter(items))
    with pytest.raises(AssertionError, match=complaint):
        TARGETS["dicom"].check(b"whatever")


@pytest.mark.parametrize("raised", [KeyError("x"), SourceError("")])
def test_a_reader_that_raises_anything_but_a_reason_is_a_finding(
    raised: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(_request: object, _contents: object) -> Iterator[Run]:
        raise raised
        yield RUN

    monkeypatch.setitem(READERS, "dicom", lambda: read)
    with pytest.raises((KeyError, AssertionError)):
        TARGETS["dicom"].check(b"whatever")


def test_a_tensor_outside_the_file_that_the_walk_misses_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    model = conv_model()
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    monkeypatch.setattr(targets, "check_onnx", lambda _name, _data: OnnxFile(frozenset()))
    with pytest.raises(AssertionError, match="1 tensors lie outside, 0 were found"):
        TARGETS["onnx"].check(model.SerializeToString())


def test_a_kept_corpus_is_small_and_the_same_inputs_make_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "FOLDER", tmp_path)
    inputs = [np.random.default_rng(seed).bytes(4000) for seed in range(60)]
    kept = corpus.write_corpus("some", [b"a", *inputs])
    first = (tmp_path / "some.zip").read_bytes()
    assert kept < len(inputs)
    assert len(first) < corpus.MOST_KEPT_BYTES + 20_000
    assert b"a" in corpus.read_corpus("some").values(), "the shortest are kept first"
    assert len(corpus.read_corpus("some")) == kept
    corpus.write_corpus("some", [*inputs[::-1], b"a"])
    assert (tmp_path / "some.zip").read_bytes() == first
