"""A decoder lost in mid-run: one fresh one takes over, the books balance, each lost frame says whose fault it is."""

from __future__ import annotations

import os
import random
import re
import signal
from pathlib import Path

import av
import imagecodecs
import numpy as np
import pytest
from PIL import Image

from cathrt.runtime.alert import Outcome
from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame, LostFrame
from cathrt.runtime.line.pipeline import watch
from cathrt.runtime.sources.decoder.process import DecoderProcess
from cathrt.runtime.sources.decoder.sandbox import SandboxedSource, open_source
from cathrt.runtime.sources.discover import Input, discover
from cathrt.runtime.sources.messages import Request
from tests.lines import ListJournal, line
from tests.sources.dicom_bytes import JPEG_BASELINE, encapsulated, native, part10, pictures, xa_elements
from tests.sources.liars import SAY_RUN, liar
from tests.sources.reading import LIMITS, only_input
from tests.sources.stand_ins import server

FRAMES = 40
CRASH = "os.kill(os.getpid(), 11)\n"
KILLED = "os.kill(os.getpid(), 9)\n"


def native_run(folder: Path, pixels: np.ndarray | None = None) -> Input:
    path = folder / "run.dcm"
    path.write_bytes(part10(xa_elements(FRAMES), native(pictures(FRAMES) if pixels is None else pixels)))
    return only_input(path)


def compressed_run(folder: Path) -> Input:
    path = folder / "run.dcm"
    frames = [imagecodecs.jpeg8_encode(pixels) for pixels in pictures(FRAMES, stored=8).astype(np.uint8)]
    path.write_bytes(part10(xa_elements(FRAMES, allocated=8, stored=8), encapsulated(frames), JPEG_BASELINE))
    return only_input(path)


def video_run(folder: Path) -> Input:
    """Every picture but the first is drawn from the one before it."""
    path = folder / "run.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=15, options={"g": str(FRAMES), "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for pixels in pictures(FRAMES, 32, 32, stored=8).astype(np.uint8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="gray").reformat(format="yuv420p")))
        container.mux(stream.encode(None))
    return only_input(path)


def stills_run(folder: Path) -> Input:
    for index, pixels in enumerate(pictures(FRAMES, stored=8).astype(np.uint8)):
        if index != 7:
            Image.fromarray(pixels).save(folder / f"f{index:02}.png")
    (input_,) = discover([folder]).inputs
    return input_


def walked(source: SandboxedSource, kills: dict[int, int]) -> list[Frame | LostFrame]:
    """All items of a source; before frame `index` is asked for, its decoder gets the signal kills[index]."""
    items = []
    frames = source.frames()
    for index in range(FRAMES):
        if index in kills:
            os.kill(source.decoder_pid, kills[index])
        items.append(next(frames))
    assert next(frames, None) is None
    source.close()
    assert [item.index for item in items] == list(range(FRAMES))
    return items


def contents(items: list[Frame | LostFrame]) -> list[bytes | str]:
    return [item.pixels.tobytes() if isinstance(item, Frame) else item.reason for item in items]


@pytest.mark.parametrize("make", [native_run, compressed_run, video_run, stills_run])
def test_a_decoder_killed_anywhere_in_a_run_costs_no_frame(make: object, tmp_path: Path) -> None:
    assert callable(make)
    input_ = make(tmp_path)
    undisturbed = contents(walked(open_source(input_, LIMITS), {}))
    draw = random.Random(10)
    for at in (0, FRAMES - 1, *draw.sample(range(1, FRAMES - 1), 3)):
        items = walked(open_source(input_, LIMITS), {at: draw.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGXCPU])})
        assert contents(items) == undisturbed, f"killed before frame {at}"


def test_a_decoder_killed_twice_costs_the_rest_of_the_run_and_says_that_it_is_ours(tmp_path: Path) -> None:
    input_ = native_run(tmp_path)
    draw = random.Random(11)
    for _ in range(3):
        first = draw.randrange(10)
        second = first + draw.randrange(10, 20)  # by then the fresh decoder is at work
        items = walked(open_source(input_, LIMITS), {first: signal.SIGKILL, second: signal.SIGKILL})
        lost = [item for item in items if isinstance(item, LostFrame)]
        assert [item.index for item in lost] == list(range(lost[0].index, FRAMES))
        assert second <= lost[0].index <= second + 8, "what the ring and the pipe held"
        assert all(item.failed and item.ours and "SIGKILL: killed from outside" in item.reason for item in lost)


def test_a_fresh_start_that_costs_no_frame_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    walked(open_source(native_run(tmp_path), LIMITS), {20: signal.SIGKILL})
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert re.fullmatch(
        r"run\.dcm: the decoder stopped: SIGKILL: .*: a fresh decoder goes on with frame 2\d", record.message
    )


def test_a_stalled_decoder_costs_the_frame_it_stalled_on(tmp_path: Path) -> None:
    input_ = native_run(tmp_path)
    items = walked(
        open_source(input_, LimitsConfig(decoder_memory_mib=768, frame_s=0.3)), {FRAMES // 2: signal.SIGSTOP}
    )
    (lost,) = (item for item in items if isinstance(item, LostFrame))
    assert lost.failed
    assert lost.ours
    assert lost.reason == "decoding a frame took more than limits.frame_s = 0.3"


def test_a_decoder_that_stalls_twice_costs_the_rest(tmp_path: Path) -> None:
    limits = LimitsConfig(decoder_memory_mib=768, frame_s=0.3)
    items = walked(open_source(native_run(tmp_path), limits), {9: signal.SIGSTOP, 20: signal.SIGSTOP})
    lost = [item.index for item in items if isinstance(item, LostFrame)]
    assert len(lost) > 10
    assert lost[1:] == list(range(lost[1], FRAMES))
    assert all(item.failed and item.ours for item in items if isinstance(item, LostFrame))


def lost_of(behaviour: str, limits: LimitsConfig = LIMITS) -> dict[int, str]:
    """The lost frames of a three-frame run whose decoder behaves so, all of them ours."""
    source = liar(SAY_RUN + behaviour, limits)
    items = list(source.frames())
    source.close()
    assert [item.index for item in items] == [0, 1, 2]
    assert all(item.failed and item.ours for item in items if isinstance(item, LostFrame))
    assert all((item.pixels == item.index).all() for item in items if isinstance(item, Frame))
    return {item.index: item.reason for item in items if isinstance(item, LostFrame)}


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (CRASH, "the decoder stopped: SIGSEGV: crashed while decoding"),
        ("os.abort()\n", "the decoder stopped: SIGABRT: crashed while decoding"),
        ("os._exit(3)\n", "the decoder stopped: ended with status 3 and no word"),
        ("raise RuntimeError('odd')\n", "the decoder stopped: RuntimeError"),
        ("say(json.dumps({'refused': 'too much memory', 'ours': True}))\n", "too much memory"),
    ],
)
def test_a_frame_that_ends_its_decoder_costs_itself_only(fault: str, reason: str) -> None:
    assert lost_of(f"for i in range(first, 3):\n    if i == 1: {fault}    frame(i)") == {1: reason}


def test_a_second_frame_that_ends_its_decoder_costs_the_rest() -> None:
    assert list(lost_of(f"for i in range(first, 3):\n    if i < 2: {CRASH}    frame(i)")) == [0, 1, 2]


def test_a_frame_on_which_two_decoders_are_killed_costs_the_rest() -> None:
    reason = "the decoder stopped: SIGKILL: killed from outside, or by the system because memory ran out"
    assert lost_of(f"for i in range(first, 3):\n    if i == 1: {KILLED}    frame(i)") == {1: reason, 2: reason}


def test_a_decoder_that_used_up_its_cpu_time_is_followed_by_one_with_as_much() -> None:
    spin = (
        "from cathrt.runtime.sources.decoder.confinement import confine\n"
        "confine(memory_mib=512, cpu_s=1)\nwhile 1: pass\n"
    )
    assert (
        lost_of(f"if first == 0:\n    frame(0)\n    {spin.replace(chr(10), chr(10) + '    ')}\nframe(1); frame(2)")
        == {}
    )
    twice = lost_of(f"frame(first)\n{spin}")
    assert list(twice) == [2]
    assert twice[2] == "the decoder stopped: SIGXCPU: used up its CPU time, limits.decoder_cpu_s"


def test_a_decoder_that_lies_gets_no_second_chance() -> None:
    assert list(lost_of("say('no json')")) == [0, 1, 2]


def test_a_fresh_decoder_that_cannot_start_says_so() -> None:
    source = liar(f"if first: sys.exit('no such luck')\n{SAY_RUN}frame(0)\n{KILLED}")
    first, *lost = source.frames()
    source.close()
    assert isinstance(first, Frame)
    for item in lost:
        assert isinstance(item, LostFrame)
        assert item.failed
        assert item.ours
        assert "SIGKILL" in item.reason
        assert "a fresh decoder could not take over: liar: the decoder stopped: no such luck" in item.reason


AT_FRAME_FIVE = """
import sys
from cathrt.runtime.sources.decoder import child, fork_server
from cathrt.runtime.sources.dicom.reader import read_dicom
def read(request, contents):
    for item in read_dicom(request, contents):
        if getattr(item, "index", None) == 5:
            FAULT
        yield item
child.READERS["dicom"] = lambda: read
fork_server.main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("fault", "lost", "reason"),
    [
        ("bytearray(1 << 40)", [5], "needs more than limits.decoder_memory_mib = 768"),
        ("raise KeyError('odd')", [5], "the decoder stopped: KeyError"),
        ("import ctypes; ctypes.string_at(0)", [5], "the decoder stopped: SIGSEGV: crashed while decoding"),
        (
            "while True: pass",
            list(range(5, FRAMES)),
            "the decoder stopped: SIGXCPU: used up its CPU time, limits.decoder_cpu_s",
        ),
    ],
)
def test_what_a_frame_does_to_the_real_decoder_behind_its_walls(
    fault: str, lost: list[int], reason: str, tmp_path: Path
) -> None:
    input_ = native_run(tmp_path)
    limits = LimitsConfig(decoder_memory_mib=768, decoder_cpu_s=1, frame_s=60.0)
    paths = tuple(path and str(path) for path in input_.paths)

    def start(first_frame: int) -> DecoderProcess:
        request = Request(input_.kind, input_.name, paths, limits, first_frame)
        return DecoderProcess(request, server("dicom", "-c", AT_FRAME_FIVE.replace("FAULT", fault)))

    items = walked(SandboxedSource(start, input_.name, limits, lambda: 0), {})
    missing = [item for item in items if isinstance(item, LostFrame)]
    assert [item.index for item in missing] == lost
    assert {(item.failed, item.ours, item.reason) for item in missing} == {(True, True, reason)}


def killing(input_: Input, times: int, fate: int, limits: LimitsConfig = LIMITS) -> SandboxedSource:
    """A source whose first `times` decoders get a signal at once, before they can describe the run."""
    paths = tuple(path and str(path) for path in input_.paths)
    started: list[DecoderProcess] = []

    def start(first_frame: int) -> DecoderProcess:
        decoder = DecoderProcess(Request(input_.kind, input_.name, paths, limits, first_frame))
        started.append(decoder)
        if len(started) <= times:
            os.kill(decoder.pid, fate)
        return decoder

    return SandboxedSource(start, input_.name, limits, lambda: 0)


def test_a_decoder_killed_while_it_starts_is_started_once_more(tmp_path: Path) -> None:
    items = walked(killing(native_run(tmp_path), 1, signal.SIGKILL), {})
    assert all(isinstance(item, Frame) for item in items)


def test_that_was_the_one_fresh_start_of_the_run(tmp_path: Path) -> None:
    items = walked(killing(native_run(tmp_path), 1, signal.SIGKILL), {5: signal.SIGKILL})
    assert isinstance(items[-1], LostFrame)


def test_a_decoder_killed_twice_while_it_starts_is_no_fault_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"SIGKILL: killed from outside.*: open it again$"):
        killing(native_run(tmp_path), 2, signal.SIGKILL)


def test_a_decoder_that_stalls_while_it_starts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"limits.first_frame_s = 0.4"):
        killing(native_run(tmp_path), 1, signal.SIGSTOP, LimitsConfig(first_frame_s=0.4))


def test_an_input_that_changed_since_is_not_read_on(tmp_path: Path) -> None:
    input_ = native_run(tmp_path)
    source = open_source(input_, LIMITS)
    frames = source.frames()
    items = [next(frames)]
    native_run(tmp_path, pictures(FRAMES)[::-1])
    os.kill(source.decoder_pid, signal.SIGKILL)
    items += frames
    source.close()
    last = items[-1]
    assert [item.index for item in items] == list(range(FRAMES))
    assert isinstance(last, LostFrame)
    assert last.ours
    assert last.reason.endswith("the input has changed since")


def test_the_books_of_a_run_balance_and_its_duplicates_stay_duplicates(tmp_path: Path) -> None:
    """Every third frame repeats the one before it, on both sides of the kill."""
    pixels = pictures(FRAMES)
    pixels[2::3] = pixels[1::3]
    input_ = native_run(tmp_path, pixels)

    class Killed:
        def __init__(self, at: int) -> None:
            self._source, self._at = open_source(input_, LIMITS), at

        run = property(lambda self: self._source.run)

        def frames(self):  # type: ignore[no-untyped-def]
            for item in self._source.frames():
                if item.index == self._at:
                    os.kill(self._source.decoder_pid, signal.SIGKILL)
                yield item

        def close(self) -> None:
            self._source.close()

    expected = [Outcome.DUPLICATE if index % 3 == 2 else Outcome.MET for index in range(FRAMES)]
    for at in (10, 11, 12):
        source, journal = Killed(at), ListJournal()
        summary = watch(source, line(), journal)
        source.close()
        assert [verdict.outcome for verdict in journal.verdicts] == expected
        assert sum(summary.verdicts.values()) == summary.frames == FRAMES
