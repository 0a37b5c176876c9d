"""The host side of CUDA ingest and histogram on a stream that only takes notes: tiles, weights, refusals, launches.

What the kernels compute: tests/emulation/.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cathrt.kernels._kernels import History, TensorLayout, Window
from cathrt.kernels.cuda.exposure import Exposure
from cathrt.kernels.cuda.frames import DeviceFrame, frame_in
from cathrt.kernels.cuda.histogram import DeviceHistogram, DevicePercentileWindow
from cathrt.kernels.cuda.ingest import DeviceIngest
from cathrt.kernels.cuda.resize import resize_axis
from cathrt.kernels.cuda.stream import DeviceMemory, Extent, Scalar
from cathrt.kernels.cuda.tiles import SHARED_BYTES, Tile, tile_of
from cathrt.kernels.reference import ingest as reference

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass
class Notes:
    """A Stream without a device: notes in `calls` what it was asked for."""

    calls: list[tuple[Any, ...]] = field(default_factory=list)
    free: int = 0x10000

    def allocate(self, nbytes: int) -> DeviceMemory:
        self.calls.append(("allocate",))
        self.free += nbytes + -nbytes % 256
        return DeviceMemory(self.free - (nbytes + -nbytes % 256), nbytes)

    def upload(self, array: NDArray[Any], memory: DeviceMemory) -> None:
        assert array.nbytes == memory.nbytes
        self.calls.append(("upload", memory))

    def download(self, memory: DeviceMemory, array: NDArray[Any]) -> None:
        self.calls.append(("download", memory, array))

    def zero(self, memory: DeviceMemory) -> None:
        self.calls.append(("zero", memory))

    def launch(
        self, kernel: str, grid: Extent, block: Extent, *arguments: DeviceMemory | Scalar, shared_bytes: int = 0
    ) -> None:
        assert shared_bytes <= SHARED_BYTES
        self.calls.append(("launch", kernel, grid, block, *arguments))

    def synchronise(self) -> None:
        self.calls.append(("synchronise",))

    def close(self) -> None: ...


def percentile() -> Window:
    return Window.percentile(0.5, 99.5, False, False)


def layout(height: int = 224, width: int = 224, **more: Any) -> TensorLayout:
    return TensorLayout(height, width, False, MEAN, STD, 0.0, **more)


def frame_of(shape: tuple[int, int], dtype: Any = np.uint16) -> DeviceFrame:
    return frame_in(DeviceMemory(0x1000, shape[0] * shape[1] * np.dtype(dtype).itemsize), shape, dtype)


SIZES = [(1, 1), (1, 224), (7, 1), (64, 224), (1024, 224), (1021, 509), (509, 1021), (512, 513), (513, 512), (5, 3)]


@pytest.mark.parametrize(("size_in", "size_out"), SIZES)
def test_weights_are_those_of_the_reference(size_in: int, size_out: int) -> None:
    axis = resize_axis(size_in, size_out)
    matrix = np.zeros((size_out, size_in))
    for i, first in enumerate(axis.first):
        matrix[i, first : first + axis.taps] = axis.weights[i]
    np.testing.assert_allclose(matrix, reference.resize_weights(size_in, size_out), rtol=0, atol=6e-8)


@pytest.mark.parametrize(("size_in", "size_out"), [*SIZES, (65535, 224), (65535, 65535), (2, 65535)])
def test_taps_stay_within_the_frame_and_never_go_back(size_in: int, size_out: int) -> None:
    axis = resize_axis(size_in, size_out)
    assert axis.first.dtype == np.int32
    assert axis.first.min() >= 0
    assert axis.first.max() + axis.taps <= size_in
    assert (np.diff(axis.first) >= 0).all()
    np.testing.assert_allclose(axis.weights.sum(axis=1, dtype=np.float64), 1.0, rtol=0, atol=1e-6)


@pytest.mark.parametrize("rows", [1, 3, 512, 1024, 4096, 65535])
@pytest.mark.parametrize("columns", [1, 5, 512, 1023, 4096, 65535])
@pytest.mark.parametrize("size", [(224, 224), (22, 22), (1, 37), (640, 23)], ids=str)
@pytest.mark.parametrize("shared_bytes", [SHARED_BYTES, 48 * 1024 - 1], ids=str)
def test_every_tile_has_room_for_what_lies_under_it(rows, columns, size, shared_bytes):
    vertical, horizontal = resize_axis(rows, size[0]), resize_axis(columns, size[1])
    tile = tile_of(vertical, horizontal, shared_bytes)
    assert tile.shared_bytes <= shared_bytes
    assert tile.chunk_rows >= 1
    for left in range(0, size[1], tile.width):
        first, last = horizontal.reach(left, min(left + tile.width, size[1]))
        assert last - first // 4 * 4 <= 4 * tile.quads


def test_a_frame_of_the_usual_size_is_read_in_one_chunk_with_few_pixels_read_twice() -> None:
    tile = tile_of(resize_axis(1024, 224), resize_axis(1024, 224))
    assert tile == Tile(height=8, width=32, chunk_rows=42, quads=39)
    assert 28 * 42 * 7 * 39 * 4 / 1024**2 < 1.25


def test_a_frame_too_wide_for_its_tensor_is_refused_with_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"65536 columns under one .* at most 49152; crop the frame or take a wider"):
        DeviceIngest(Notes(), (4, 65535), 12, None, percentile(), layout(224, 1))


@pytest.mark.parametrize("line", [None, (2000.0, 1e-3, 0.5)], ids=["percentile", "linear"])
def test_a_call_only_launches(line: tuple[float, float, float] | None) -> None:
    notes = Notes()
    ingest = DeviceIngest(
        notes, (512, 512), 12, None, percentile() if line is None else Window.linear(*line, False), layout()
    )
    out = notes.allocate(3 * 224 * 224 * 4)
    notes.calls.clear()
    assert ingest(frame_of((512, 512)), out)
    first = list(notes.calls)
    assert {call[0] for call in first} <= {"zero", "launch"}
    # The very same again: a CUDA graph can hold it.
    notes.calls.clear()
    assert ingest(frame_of((512, 512)), out)
    assert notes.calls == first


HISTORY = History(("grey", "contrast", "change"), 0.25, 0.5, 0.125)


@pytest.mark.parametrize(("dtype", "infix"), [(np.uint8, "u8"), (np.uint16, "u16")])
def test_a_history_adds_its_memory_and_weights_to_the_launch(dtype: Any, infix: str) -> None:
    launches = {}
    for name, history in {"": None, "history_": HISTORY}.items():
        notes = Notes()
        ingest = DeviceIngest(notes, (64, 64), 8, None, Window.linear(0.0, 1.0, 0.0, False), layout(history=history))
        out = notes.allocate(3 * 224 * 224 * 4)
        notes.calls.clear()
        assert ingest(frame_of((64, 64), dtype), out)
        (launches[name],) = notes.calls
        assert launches[name][1] == f"ingest_{name}{infix}_kernel"
    plain, with_history = launches[""], launches["history_"]
    assert with_history[2:4] == plain[2:4]
    assert [type(argument) for argument in with_history[: len(plain)]] == [type(argument) for argument in plain]
    memory, covered, covered_before, quantities, *weights = with_history[len(plain) :]
    assert (memory.nbytes, quantities.nbytes) == (224 * 224 * 2 * 4, 3 * 4)
    assert covered.address == covered_before.address == 0  # what is covered never changes in this run
    assert weights == [0.25, 0.5, 0.125]
    assert {type(weight) for weight in weights} == {np.float32}


def test_a_reset_uploads_an_empty_memory_and_leaves_the_launches_as_they_are() -> None:
    notes = Notes()
    ingest = DeviceIngest(notes, (64, 64), 12, None, percentile(), layout(history=HISTORY))
    out = notes.allocate(3 * 224 * 224 * 4)
    notes.calls.clear()
    ingest(frame_of((64, 64)), out)
    before = list(notes.calls)
    notes.calls.clear()
    ingest.reset()
    ((call, memory),) = notes.calls
    assert (call, memory) == ("upload", before[-1][-7])
    notes.calls.clear()
    ingest(frame_of((64, 64)), out)
    assert notes.calls == before


def test_views_share_what_is_the_same_object_and_launch_with_their_own() -> None:
    spans = [np.tile(np.array([[0, right]], np.int32), (64, 1)) for right in (20, 40)]
    windows = [Window.linear(0.0, slope, 0.0, False) for slope in (1.0, 2.0)]
    notes, views = Notes(), [(spans[0], windows[0]), (spans[1], windows[0]), (spans[1], windows[1])]
    ingest = DeviceIngest(notes, (64, 64), 8, *views[0], layout(history=HISTORY), views[1:])
    out = notes.allocate(3 * 224 * 224 * 4)
    notes.calls.clear()
    for view in range(3):
        assert ingest(frame_of((64, 64), np.uint8), out, view)
    first, second, third = (call[4:] for call in notes.calls)  # the arguments
    assert first[2] != second[2] == third[2]  # spans
    assert first[-6] != second[-6] == third[-6]  # what is covered
    assert first[-7] == second[-7] == third[-7]  # the memory
    assert first[-5] == second[-5] != DeviceMemory(0, 0)  # what was covered


@pytest.mark.parametrize("view", [-1, 2])
def test_a_view_that_the_plan_has_not_is_refused(view: int) -> None:
    window = Window.linear(0.0, 1.0, 0.0, False)
    ingest = DeviceIngest(Notes(), (4, 4), 8, None, window, layout(), [(None, window)])
    with pytest.raises(ValueError, match=f"view is {view}: expected one of the 2 that this plan was made for"):
        ingest(frame_of((4, 4), np.uint8), DeviceMemory(0x9000, 3 * 224 * 224 * 4), view)


def test_without_a_history_nothing_is_allocated_for_it_and_a_reset_does_nothing() -> None:
    allocations = {}
    for history in (None, HISTORY):
        notes = Notes()
        ingest = DeviceIngest(notes, (64, 64), 12, None, percentile(), layout(history=history))
        allocations[history] = notes.calls.count(("allocate",))
        notes.calls.clear()
        ingest.reset()
        assert [call[0] for call in notes.calls] == (["upload"] if history else [])
    assert allocations[HISTORY] == allocations[None] + 2


def test_a_history_of_a_run_without_an_exposed_pixel_has_no_memory() -> None:
    notes = Notes()
    nowhere = np.zeros((4, 2), dtype=np.int32)
    ingest = DeviceIngest(notes, (4, 4), 12, nowhere, percentile(), layout(history=HISTORY))
    notes.calls.clear()
    assert not ingest(frame_of((4, 4)), DeviceMemory(0x9000, 3 * 224 * 224 * 4))
    ingest.reset()
    assert [call[1] for call in notes.calls] == ["ingest_u16_kernel"]


@pytest.mark.parametrize(
    ("dtype", "bits", "kernel"),
    [
        (np.uint8, 8, "count_values_u8_kernel"),
        (np.uint16, 8, "count_values_u16_kernel"),
        (np.uint16, 12, "count_values_u16_kernel"),
        (np.uint16, 13, "count_deep_values_u16_kernel"),
    ],
)
def test_tables_that_do_not_fit_into_shared_memory_are_counted_outside(dtype: Any, bits: int, kernel: str) -> None:
    notes = Notes()
    DeviceHistogram(notes, Exposure(notes, None, (64, 64)), bits)(frame_of((64, 64), dtype))
    assert notes.calls[-1][1] == kernel


def test_a_run_without_an_exposed_pixel_says_so_and_ranks_nothing() -> None:
    notes = Notes()
    ingest = DeviceIngest(notes, (4, 4), 12, np.zeros((4, 2), dtype=np.int32), percentile(), layout())
    notes.calls.clear()
    assert not ingest(frame_of((4, 4)), DeviceMemory(0x9000, 3 * 224 * 224 * 4))
    assert [call[1] for call in notes.calls] == ["ingest_u16_kernel"]


@pytest.mark.parametrize(
    ("element", "nbytes"), [("float32", 3 * 224 * 224 * 2), ("float16", 3 * 224 * 224), ("int8", 3 * 224 * 224 + 1)]
)
def test_an_output_of_the_wrong_size_is_refused(element: Any, nbytes: int) -> None:
    ingest = DeviceIngest(Notes(), (4, 4), 12, None, percentile(), layout(element=element))
    with pytest.raises(ValueError, match=f"out has {nbytes} bytes: expected .* {element} .1, 3, 224, 224. or the same"):
        ingest(frame_of((4, 4)), DeviceMemory(0x9000, nbytes))


def test_a_frame_the_plan_was_not_made_for_is_refused() -> None:
    ingest = DeviceIngest(Notes(), (4, 6), 12, None, percentile(), layout())
    with pytest.raises(ValueError, match=r"frame is \(6, 4\): this plan was made for \(4, 6\)"):
        ingest(frame_of((6, 4)), DeviceMemory(0x9000, 3 * 224 * 224 * 4))
    with pytest.raises(ValueError, match="uint8 but bits_stored is 12"):
        ingest(frame_of((4, 6), np.uint8), DeviceMemory(0x9000, 3 * 224 * 224 * 4))


def test_a_table_of_another_depth_is_refused() -> None:
    table = np.zeros(1 << 10, dtype=np.float32)
    with pytest.raises(ValueError, match="table has 1024 entries: expected 4096"):
        DeviceIngest(Notes(), (4, 4), 12, None, Window.table(table, False), layout())


@pytest.mark.parametrize("shared_bytes", [0, SHARED_BYTES + 1])
def test_more_shared_memory_than_a_block_gets_is_refused(shared_bytes: int) -> None:
    with pytest.raises(ValueError, match=f"shared_bytes is {shared_bytes}: expected 1 to 49152"):
        DeviceIngest(Notes(), (4, 4), 12, None, percentile(), layout(), shared_bytes=shared_bytes)


@pytest.mark.parametrize("bits", [0, 17])
def test_a_depth_no_stored_value_has_is_refused(bits: int) -> None:
    with pytest.raises(ValueError, match=f"bits_stored is {bits}: expected 1 to 16"):
        DeviceIngest(Notes(), (4, 4), bits, None, Window.linear(0.0, 1.0, 0.0, False), layout())
    with pytest.raises(ValueError, match=f"bits_stored is {bits}: expected 1 to 16"):
        DeviceHistogram(Notes(), Exposure(Notes(), None, (4, 4)), bits)


@pytest.mark.parametrize(
    ("exposed", "message"),
    [
        (np.zeros((4, 2), dtype=np.int64), r"exposed is int64 \(4, 2\): expected int32 \(4, 2\)"),
        (np.zeros((3, 2), dtype=np.int32), r"exposed is int32 \(3, 2\): expected int32 \(4, 2\)"),
        (np.array([[0, 6]] * 3 + [[0, 7]], dtype=np.int32), r"exposed\[3\] is \[0, 7\): expected .* columns = 6"),
        (np.array([[0, 6], [4, 3]] * 2, dtype=np.int32), r"exposed\[1\] is \[4, 3\)"),
        (np.array([[-1, 6]] * 4, dtype=np.int32), r"exposed\[0\] is \[-1, 6\)"),
    ],
    ids=str,
)
def test_spans_outside_the_frame_are_refused(exposed: NDArray[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Exposure(Notes(), exposed, (4, 6))


@pytest.mark.parametrize("shape", [(0, 4), (4, 65536)])
def test_frames_dicom_cannot_describe_are_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="expected 1 to 65535"):
        Exposure(Notes(), None, shape)


def test_the_window_refuses_what_cannot_be_ranked() -> None:
    notes = Notes()
    counting = DeviceHistogram(notes, Exposure(notes, None, (4, 4)), 10)
    nothing = DeviceHistogram(notes, Exposure(notes, np.zeros((4, 2), dtype=np.int32), (4, 4)), 10)
    short = np.zeros(5, dtype=np.float32)
    with pytest.raises(ValueError, match=r"percentiles are \(99.0, 1.0\): expected 0 <= low < high <= 100"):
        DevicePercentileWindow(notes, counting, (99.0, 1.0), modality=None, descending=False, invert=False)
    with pytest.raises(ValueError, match="no pixel is exposed"):
        DevicePercentileWindow(notes, nothing, (1.0, 99.0), modality=None, descending=False, invert=False)
    with pytest.raises(ValueError, match=r"modality is float32 \(5,\): expected float32 \(1024,\)"):
        DevicePercentileWindow(notes, counting, (1.0, 99.0), modality=short, descending=False, invert=False)
