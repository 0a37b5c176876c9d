"""The ring of live pictures: newest wins, nothing torn is ever read, and no file, writer or reader harms the other."""

from __future__ import annotations

import errno
import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cathrt.runtime.errors import SinkError
from cathrt.runtime.frame import Grayscale, LookupTable, Rescale, VoiWindow
from cathrt.runtime.pictures.layout import ABOUT_BYTES, NUMBER, PAGE, ring_bytes, slot_at
from cathrt.runtime.pictures.reader import RingReader
from cathrt.runtime.pictures.writer import PictureRing
from cathrt.runtime.ports import Picture

SLOT = 8192
GREY = Grayscale(8)
S = 1_000_000_000


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    ns: int = 10 * S

    def __call__(self) -> int:
        return self.ns


@dataclass
class Pair:
    """A ring and its reader on one file."""

    path: Path
    clock: Clock
    ring: PictureRing
    reader: RingReader

    def put(self, value: int = 1, **changes: Any) -> bool:
        return self.ring.put(picture(value, **changes))

    def seen(self) -> int:
        """The value of the newest picture's first pixel; -1 where there is none."""
        found = self.reader.read()
        return -1 if found is None else int(found.pixels[0, 0])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pictures"


@pytest.fixture
def pair(path: Path) -> Iterator[Pair]:
    clock = Clock()
    with closing(PictureRing(path, "A", SLOT, clock)) as ring, closing(RingReader(path, "A", clock)) as reader:
        yield Pair(path, clock, ring, reader)


def picture(value: int = 1, shape: tuple[int, int] = (16, 20), dtype: Any = np.uint8, **changes: Any) -> Picture:
    pixels: NDArray[Any] = np.full(shape, value, dtype)
    pixels.flags.writeable = False
    told: dict[str, Any] = {"grayscale": GREY, "captured_ns": value} | changes
    return Picture(pixels, **told)


@pytest.mark.parametrize(
    "grayscale",
    [
        Grayscale(12, "MONOCHROME1", Rescale(2.0, -5.0), VoiWindow(40.0, 80.0, "SIGMOID")),
        Grayscale(16),
        Grayscale(10, voi=VoiWindow(512.0, 1024.0)),
    ],
)
def test_a_picture_comes_out_as_it_was_put(pair: Pair, grayscale: Grayscale) -> None:
    pixels = np.random.default_rng(3).integers(0, 1 << grayscale.bits_stored, (31, 47)).astype(np.uint16)
    assert pair.ring.put(Picture(pixels, grayscale, 77, None, -30.5, None))
    found = pair.reader.read()
    assert found is not None
    np.testing.assert_array_equal(found.pixels, pixels)
    about = found.about
    assert (about.number, about.step, about.captured_ns, about.told) == (1, 1, 77, True)
    assert (about.positioner_primary_angle_deg, about.positioner_secondary_angle_deg) == (-30.5, None)
    assert about.grayscale.window_key == grayscale.window_key
    assert pair.reader.about() is not None


def test_a_table_is_left_out_and_that_is_said(pair: Pair) -> None:
    table = LookupTable(0, np.linspace(0, 255, 256, dtype=np.float32), 8)
    assert pair.ring.put(picture(grayscale=Grayscale(8, voi=table)))
    found = pair.reader.read()
    assert found is not None
    assert not found.about.told
    assert found.about.grayscale.voi is None


def test_the_newest_picture_wins_and_is_not_read_twice(pair: Pair) -> None:
    for value in range(1, 8):
        pair.put(value)
    found = pair.reader.read()
    assert found is not None
    assert (found.about.number, int(found.pixels[0, 0])) == (7, 7)
    assert pair.reader.read(after=7) is None
    pair.put(8)
    assert pair.seen() == 8


def test_of_a_picture_that_is_too_large_every_second_row_and_column_is_kept(pair: Pair) -> None:
    pixels = np.arange(100 * 101, dtype=np.uint16).reshape(100, 101)
    assert pair.ring.put(Picture(pixels, Grayscale(16), 5))
    found = pair.reader.read()
    assert found is not None
    assert found.about.step == 2
    np.testing.assert_array_equal(found.pixels, pixels[::2, ::2])


def test_pictures_are_wanted_as_long_as_a_reader_has_said(pair: Pair) -> None:
    assert not pair.ring.is_wanted
    assert pair.reader.want(pair.clock.ns + 2 * S)
    assert pair.ring.is_wanted
    pair.clock.ns += 3 * S  # the reader is dead
    assert not pair.ring.is_wanted


def test_no_picture_is_read_while_its_slot_is_written(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer laps the reader between its two looks at the slot's count, three times."""
    pair.put(1)
    plain, values = os.preadv, iter(range(2, 11))

    def lapped(descriptor: int, buffers: Any, at: int) -> int:
        taken = plain(descriptor, buffers, at)
        for value in islice(values, 3):
            pair.put(value)
        return taken

    monkeypatch.setattr(os, "preadv", lapped)
    found = pair.reader.read()
    assert next(values, None) is None
    assert found is not None
    assert found.about.number == 10
    assert set(np.unique(found.pixels)) == {10}


def test_nothing_torn_is_read_while_a_writer_writes_without_pause(path: Path) -> None:
    """Every pixel of a picture has one value, which its time has, too."""
    stop, slot = threading.Event(), 64 << 10
    with closing(PictureRing(path, "A", slot, time.monotonic_ns)) as ring:

        def hammer() -> None:
            value = 0
            while not stop.is_set():
                value = value % 250 + 1
                assert ring.put(picture(value, (256, 250)))

        writing = threading.Thread(target=hammer)
        writing.start()
        try:
            with closing(RingReader(path, "A", time.monotonic_ns)) as reader:
                last = read = 0
                until = time.monotonic() + 0.5
                while time.monotonic() < until or read < 20:
                    if (found := reader.read(after=last)) is None:
                        continue
                    assert found.about.number > last
                    last, read = found.about.number, read + 1
                    assert found.pixels.min() == found.pixels.max() == found.about.captured_ns
        finally:
            stop.set()
            writing.join()


def test_a_picture_that_a_killed_writer_left_half_is_not_read_and_the_next_writer_goes_on(pair: Pair) -> None:
    pair.put(1)
    at = slot_at(2, SLOT)
    with open(pair.path, "r+b") as file:
        file.seek(at)
        file.write(NUMBER.pack(3))
    assert pair.seen() == 1
    pair.ring.close()
    with closing(PictureRing(pair.path, "A", SLOT, pair.clock)) as next_ring:
        assert pair.seen() == 1
        next_ring.put(picture(9))
        found = pair.reader.read()
        assert found is not None
        assert (found.about.number, int(found.pixels[0, 0])) == (2, 9)


def test_a_file_that_was_unlinked_is_made_anew(pair: Pair) -> None:
    pair.put(1)
    assert pair.seen() == 1
    pair.path.unlink()
    pair.clock.ns += 2 * S
    assert pair.put(2)
    assert pair.seen() == 2


@pytest.mark.parametrize("left", [0, 5, PAGE, PAGE + 100])
def test_a_file_that_was_cut_short_harms_nobody(pair: Pair, left: int) -> None:
    pair.put(1)
    os.truncate(pair.path, left)
    assert pair.seen() == -1
    assert not pair.ring.is_wanted
    pair.clock.ns += 2 * S
    assert pair.put(2)
    assert pair.put(3)
    assert pair.seen() == 3


def test_whatever_a_file_holds_is_no_picture_and_is_written_anew(path: Path) -> None:
    chance = random.Random(7)
    for _ in range(30):
        path.write_bytes(chance.randbytes(ring_bytes(SLOT)))
        clock = Clock()
        with closing(RingReader(path, "A", clock)) as reader:
            assert reader.read() is None
            with closing(PictureRing(path, "A", SLOT, clock)) as ring:
                ring.put(picture(4))
                found = reader.read()
                assert found is not None
                assert int(found.pixels[0, 0]) == 4


def test_a_slot_of_random_bytes_is_no_picture(pair: Pair) -> None:
    chance = random.Random(5)
    for number in range(1, 60):
        pair.put(1)
        with open(pair.path, "r+b") as file:
            file.seek(slot_at(number, SLOT))
            count = NUMBER.pack(2 * number)  # as if it were whole
            file.write(count + NUMBER.pack(number) + chance.randbytes(ABOUT_BYTES - 16))
        found = pair.reader.read()
        assert found is None or found.about.pixel_bytes <= SLOT


@pytest.mark.parametrize("what", ["folder", "fifo", "link"])
def test_what_is_no_file_of_ours_is_refused_by_name_and_read_as_nothing(path: Path, tmp_path: Path, what: str) -> None:
    if what == "folder":
        path.mkdir()
    elif what == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SinkError, match=str(path)):
        PictureRing(path, "A", SLOT, Clock())
    with closing(RingReader(path, "A", Clock())) as reader:
        assert reader.read() is None
        assert not reader.want(5 * S)
    assert not (tmp_path / "elsewhere").exists()


def test_a_second_writer_is_refused(pair: Pair) -> None:
    with pytest.raises(SinkError, match="another process writes it"):
        PictureRing(pair.path, "A", SLOT, pair.clock)
    assert pair.put(1)


def test_the_pictures_of_another_source_are_none(pair: Pair) -> None:
    pair.put(1)
    with closing(RingReader(pair.path, "B", pair.clock)) as other:
        assert other.read() is None
        assert not other.want(20 * S)


def test_a_ring_of_another_size_is_made_anew(pair: Pair) -> None:
    pair.put(1)
    pair.ring.close()
    with closing(PictureRing(pair.path, "A", 2 * SLOT, pair.clock)) as larger:
        assert pair.seen() == -1
        larger.put(picture(2))
        assert pair.seen() == 2


def test_memory_that_is_full_is_refused_at_the_start_and_later_only_stops_the_pictures(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_what: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(SinkError, match="No space left"):
        PictureRing(tmp_path / "other", "A", SLOT, pair.clock)
    monkeypatch.setattr(os, "pwrite", full)
    assert not pair.put(1)
    assert "no pictures of A for the page" in caplog.text
    monkeypatch.undo()
    assert not pair.put(2), "it is not tried again at once"
    pair.clock.ns += 6 * S
    assert pair.put(3)
    assert pair.seen() == 3
