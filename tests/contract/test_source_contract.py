"""What every Source keeps to, whatever it reads. A new one passes by adding one line to SOURCES.

The port is cathrt.runtime.ports.Source. What a single format means is tested in tests/sources/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
from PIL import Image

from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame, LostFrame
from cathrt.runtime.phantom import PhantomSource, sample_scene
from cathrt.runtime.phantom.live import LiveSource
from cathrt.runtime.phantom.renderer_process import RendererProcess
from cathrt.runtime.phantom.study import SceneRecipe
from cathrt.runtime.ports import Source
from cathrt.runtime.sources.array import ArrayRun
from cathrt.runtime.sources.decoder.sandbox import open_source
from cathrt.runtime.sources.discover import discover
from tests.sources.dicom_bytes import native, part10, pictures, xa_elements
from tests.sources.reading import LIMITS

FRAMES = 9  # more than the ring has slots
Open = Callable[[], Source]


def dicom(folder: Path) -> Open:
    path = folder / "run.dcm"
    path.write_bytes(part10(xa_elements(FRAMES), native(pictures(FRAMES))))
    return _opener(path)


def video(folder: Path) -> Open:
    path = folder / "run.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=15)
        stream.width, stream.height, stream.pix_fmt = 24, 16, "gray"
        for pixels in pictures(FRAMES, stored=8).astype(np.uint8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="gray")))
        container.mux(stream.encode(None))
    return _opener(path)


def stills(folder: Path) -> Open:
    for index, pixels in enumerate(pictures(FRAMES, stored=8).astype(np.uint8)):
        Image.fromarray(pixels).save(folder / f"f{index}.png")
    return _opener(folder)


def array(folder: Path) -> Open:
    frames = np.stack(list(pictures(FRAMES, stored=8))).astype(np.uint8)
    return lambda: ArrayRun(frames, 15.0, clock=Ticks())


def phantom(folder: Path) -> Open:
    scene = replace(sample_scene(1, matrix=64), frame_count=FRAMES)
    return lambda: PhantomSource(scene, clock=Ticks())


def live(folder: Path) -> Open:
    recipe = SceneRecipe(1, matrix=64, frame_rate_hz=1e8, most_frames=FRAMES)  # a frame is due every ten ticks

    def open_() -> Source:
        renderer = RendererProcess(recipe, LIMITS)
        return LiveSource(renderer, Unhurried(renderer))

    return open_


def _opener(path: Path) -> Open:
    (input_,) = discover([path]).inputs
    return lambda: open_source(input_, LIMITS, clock=Ticks())


class Ticks:
    """A clock that moves on by one at each reading."""

    def __init__(self) -> None:
        self._now = 0

    def __call__(self) -> int:
        self._now += 1
        return self._now


class Unhurried(Ticks):
    """Ticks that stand still until the renderer has done all that it was asked for."""

    def __init__(self, renderer: RendererProcess) -> None:
        super().__init__()
        self._renderer = renderer

    def now_ns(self) -> int:
        return self()

    def wait_until(self, deadline_ns: int) -> None:  # noqa: ARG002 - it is always due
        assert self._renderer.settle(LIMITS.first_frame_s)


# Each writes or seeds one run of FRAMES frames and gives what opens it, as often as asked.
SOURCES: dict[str, Callable[[Path], Open]] = {
    "dicom": dicom,
    "video": video,
    "stills": stills,
    "array": array,
    "phantom": phantom,
    "live phantom": live,
}


@pytest.fixture(params=SOURCES)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the same run anew at each call."""
    opened: list[Source] = []
    open_run = SOURCES[request.param](tmp_path)

    def once() -> Source:
        opened.append(open_run())
        return opened[-1]

    yield once
    for source in opened:
        source.close()


def test_frames_come_whole_in_order_and_read_only(make: Open) -> None:
    source = make()
    run = source.run
    items = list(source.frames())
    assert [item.index for item in items] == list(range(FRAMES))
    assert run.frame_count == FRAMES
    for item in items:
        assert isinstance(item, Frame), item
        assert item.pixels.shape == (run.rows, run.columns)
        assert item.pixels.dtype == (np.uint8 if run.grayscale.bits_stored <= 8 else np.uint16)
        assert item.pixels.flags.c_contiguous
        assert not item.pixels.flags.writeable
        assert int(item.pixels.max()) < 1 << run.grayscale.bits_stored


def test_frames_are_copies_that_later_frames_do_not_touch(make: Open) -> None:
    source = make()
    frames = [item for item in source.frames() if isinstance(item, Frame)]
    source.close()
    assert len({frame.pixels.tobytes() for frame in frames}) == FRAMES


def test_frames_are_stamped_by_the_clock_that_was_passed(make: Open) -> None:
    stamps = [item.acquired_ns for item in make().frames()]
    assert stamps == sorted(set(stamps))
    assert stamps[-1] < 1000  # ticks, not nanoseconds of the machine


def test_the_same_content_is_the_same_run(make: Open) -> None:
    first, second = make(), make()
    assert first.run.run_id == second.run.run_id
    assert [np.asarray(a.pixels).tobytes() for a in first.frames() if isinstance(a, Frame)] == [
        np.asarray(b.pixels).tobytes() for b in second.frames() if isinstance(b, Frame)
    ]


def test_frames_may_be_walked_once(make: Open) -> None:
    source = make()
    assert len(list(source.frames())) == FRAMES
    with pytest.raises(SourceError, match="open it again"):
        source.frames()


def test_close_is_idempotent_and_ends_every_process(make: Open) -> None:
    before = set(psutil.Process().children())
    source = make()
    source.close()
    source.close()
    assert set(psutil.Process().children()) == before


def test_a_source_closed_early_still_accounts_for_every_frame(make: Open) -> None:
    source = make()
    frames = source.frames()
    items = [next(frames), next(frames)]
    source.close()
    items += frames
    assert [item.index for item in items] == list(range(FRAMES))
    lost = [item for item in items if isinstance(item, LostFrame)]
    assert len(lost) == FRAMES - 2
    assert {item.failed for item in lost} == {False}
