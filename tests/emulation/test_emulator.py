"""The emulator itself, on kernels made for it: clean ones pass in every build, and each fault is found by the build
that claims to find it. Without this, an emulator that sees nothing would pass every test of the ops."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from cathrt.kernels.cuda.stream import CudaError
from tests.emulation import exercise_samples, mutation
from tests.emulation.build import BUILDS, BuildError, missing, program
from tests.emulation.exercise_samples import downloaded, uploaded
from tests.emulation.stream import EmulatedStream, EmulationError, emulated

SAMPLES = Path(__file__).resolve().parent / "samples"


@pytest.fixture(params=BUILDS)
def stream(request):
    with emulated(request.param, SAMPLES) as opened:
        yield opened


def failure(build: str, kernel: str, threads: int, *arguments: object, blocks: int = 1, shared_bytes: int = 0) -> str:
    """What is said when a faulty kernel is launched on 256 bytes, "" when nothing is."""
    with emulated(build, SAMPLES) as stream:
        values = uploaded(stream, np.zeros(64, np.uint32))
        given = [values if argument == "memory" else argument for argument in arguments]
        try:
            stream.launch(kernel, (blocks, 1, 1), (threads, 1, 1), *given, shared_bytes=shared_bytes)
        except EmulationError as error:
            return str(error)
    return ""


def test_clean_kernels_pass_in_every_build(stream):
    exercise_samples.small(stream)


@pytest.mark.parametrize("seed", [1, 2, 12345])
def test_clean_kernels_pass_in_any_order_of_threads(seed):
    with emulated("plain", SAMPLES, seed) as stream:
        exercise_samples.small(stream)


def test_a_seed_changes_the_order_of_threads_and_the_same_seed_does_not():
    orders = []
    for seed in (0, 1, 1, 2):
        with emulated("plain", SAMPLES, seed) as stream:
            taken, order = uploaded(stream, np.zeros(1, np.uint32)), stream.allocate(64 * 4)
            stream.launch("order_kernel", (1, 1, 1), (64, 1, 1), taken, order)
            orders.append(downloaded(stream, order, np.uint32).tolist())
    in_order, first, again, other = orders
    assert in_order == list(range(64))
    assert sorted(first) == sorted(other) == in_order
    assert first == again
    assert len({tuple(order) for order in orders}) == 3


# ---- faults ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("build", ["plain", "address"])
def test_shared_memory_read_too_early_is_poison(build):
    with emulated(build, SAMPLES) as stream:
        values = uploaded(stream, np.arange(64, dtype=np.uint32))
        stream.launch("missing_barrier_kernel", (1, 1, 1), (64, 1, 1), values)
        assert (downloaded(stream, values, np.uint32)[:32] == 0xCDCDCDCD).all()


def test_fresh_memory_is_poison(stream):
    assert (downloaded(stream, stream.allocate(5), np.uint8) == 0xCD).all()


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize(
    ("kernel", "threads", "said"),
    [
        (
            "divergent_barrier_kernel",
            64,
            r"waits at barrier faulty.cu:\d+:5 while others wait at barrier faulty.cu:\d+:27",
        ),
        (
            "barrier_beside_warp_kernel",
            32,
            r"deadlock: 16 threads wait at barrier faulty.cu:\d+:9, 16 in a warp operation",
        ),
        ("foreign_mask_kernel", 8, "its own lane 0 is not in the mask"),
        ("gone_lane_kernel", 32, "a lane that is not in the mask or has exited: 20"),
        ("different_masks_kernel", 16, "lanes of one warp meet with different masks"),
        ("different_operations_kernel", 16, "lanes of one warp meet in different operations"),
    ],
)
def test_what_cuda_forbids_is_refused_by_every_build(build, kernel, threads, said):
    complaint = failure(build, kernel, threads, "memory")
    assert re.search(said, complaint), complaint
    assert complaint.startswith(f"{kernel}, block (0, 0, 0)")


@pytest.mark.parametrize(
    ("kernel", "threads", "arguments", "shared_bytes", "said"),
    [
        ("outside_global_kernel", 257, ("memory", np.int32(256)), 0, "heap-buffer-overflow"),
        ("outside_shared_kernel", 32, ("memory",), 0, "index 32 out of bounds"),
        ("outside_shared_pointer_kernel", 32, ("memory",), 0, "global-buffer-overflow"),
        ("outside_dynamic_kernel", 33, ("memory",), 128, "heap-buffer-overflow"),
        ("misaligned_kernel", 1, ("memory", "memory"), 0, "misaligned address"),
    ],
)
def test_steps_outside_memory_are_found_by_the_address_build(kernel, threads, arguments, shared_bytes, said):
    complaint = failure("address", kernel, threads, *arguments, shared_bytes=shared_bytes)
    assert said in complaint
    assert "faulty.cu" in complaint


@pytest.mark.parametrize(
    ("kernel", "threads", "blocks", "arguments"),
    [
        ("missing_barrier_kernel", 64, 1, ("memory",)),
        ("race_between_threads_kernel", 2, 1, ("memory",)),
        ("race_between_blocks_kernel", 1, 2, ("memory",)),
        ("missing_fence_kernel", 1, 3, ("memory", "memory", "memory")),
    ],
)
def test_races_are_found_by_the_thread_build(kernel, threads, blocks, arguments):
    complaint = failure("thread", kernel, threads, *arguments, blocks=blocks)
    assert "ThreadSanitizer: data race" in complaint
    assert "faulty.cu" in complaint


def test_a_stream_works_on_after_the_emulator_refused_a_launch(stream):
    with pytest.raises(EmulationError, match="deadlock"):
        stream.launch("barrier_beside_warp_kernel", (2, 1, 1), (32, 1, 1), uploaded(stream, np.zeros(64, np.uint32)))
    exercise_samples.small(stream)


# ---- the host's side -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grid", "block", "shared_bytes", "said"),
    [
        ((0, 1, 1), (1, 1, 1), 0, "at least 1"),
        ((1, 1, 1), (1, 0, 1), 0, "at least 1"),
        ((1, 65536, 1), (1, 1, 1), 0, "a grid has at most"),
        ((1, 1, 1), (1025, 1, 1), 0, "at most 1024 threads"),
        ((1, 1, 1), (1, 1, 65), 0, "64 of them in z"),
        ((1, 1, 1), (1, 1, 1), 49153, "at most 49152 bytes"),
    ],
)
def test_launches_the_driver_refuses_are_refused(grid, block, shared_bytes, said):
    with emulated("plain", SAMPLES) as stream, pytest.raises(CudaError, match=said):
        stream.launch("race_between_threads_kernel", grid, block, stream.allocate(4), shared_bytes=shared_bytes)


def test_more_threads_than_the_launch_bounds_allow_are_refused():
    with emulated("plain", SAMPLES) as stream, pytest.raises(CudaError, match="__launch_bounds__ allow 32 threads"):
        stream.launch("rotate_kernel", (1, 1, 1), (33, 1, 1), stream.allocate(4 * 33))


def test_arguments_that_do_not_fit_name_kernel_found_and_expected():
    with emulated("plain", SAMPLES) as stream:
        memory = stream.allocate(4)
        for given in [(memory, np.uint32(1), memory), (memory, np.int32(1)), (np.int32(1), memory, memory)]:
            with pytest.raises(
                CudaError, match=r"count_kernel: found .*, expected \(DeviceMemory, int32, DeviceMemory\)"
            ):
                stream.launch("count_kernel", (1, 1, 1), (1, 1, 1), *given)
        with pytest.raises(TypeError, match="found an argument 1 of int"):
            stream.launch("count_kernel", (1, 1, 1), (1, 1, 1), memory, 1, memory)
        with pytest.raises(CudaError, match=r"no kernel blur; there are: .*rotate_kernel"):
            stream.launch("blur", (1, 1, 1), (1, 1, 1))


def test_a_part_of_memory_is_where_it_says():
    with emulated("plain", SAMPLES) as stream:
        values = np.arange(64, dtype=np.uint32)
        memory = uploaded(stream, values)
        stream.launch("rotate_kernel", (1, 1, 1), (32, 1, 1), memory.part(16 * 4, 32 * 4))
        expected = np.concatenate([values[:16], np.roll(values[16:48], -1), values[48:]])
        np.testing.assert_array_equal(downloaded(stream, memory, np.uint32), expected)
        with pytest.raises(ValueError, match="of memory that has 256"):
            memory.part(200, 57)


def test_copies_that_do_not_fit_are_refused():
    with emulated("plain", SAMPLES) as stream:
        memory = stream.allocate(8)
        with pytest.raises(ValueError, match="12 bytes for memory of 8"):
            stream.upload(np.zeros(3, np.float32), memory)
        with pytest.raises(ValueError, match="not C-contiguous"):
            stream.upload(np.zeros((2, 2), np.uint16)[:, :1], memory)
        with pytest.raises(CudaError, match="0 bytes"):
            stream.allocate(0)


def test_what_the_port_forbids_before_synchronise_is_seen():
    with emulated("plain", SAMPLES) as stream:
        array = np.arange(4, dtype=np.float32)
        memory = uploaded(stream, array)
        back = np.zeros(4, np.float32)
        stream.download(memory, back)
        assert not back.any()
        stream.synchronise()
        np.testing.assert_array_equal(back, array)
        stream.upload(array, memory)
        array[0] = 7
        with pytest.raises(EmulationError, match="changed between its upload and synchronise"):
            stream.synchronise()


def test_memory_is_freed_by_close_and_a_stream_may_be_closed_twice():
    with emulated("plain", SAMPLES) as stream:
        memory = uploaded(stream, np.zeros(4, np.uint8))
        stream.close()
        stream.close()
        with pytest.raises(EmulationError, match="lie in nothing that was allocated"):
            stream.zero(memory)


def test_a_kernel_that_does_not_compile_is_told(tmp_path):
    (tmp_path / "broken.cu").write_text('extern "C" __global__ void broken_kernel(int count) { count = nothing; }\n')
    with pytest.raises(BuildError, match="was not declared in this scope"):
        program("plain", tmp_path)


def test_an_argument_the_host_cannot_pass_does_not_compile(tmp_path):
    (tmp_path / "wide.cu").write_text('extern "C" __global__ void wide_kernel(short count) {}\n')
    with pytest.raises(BuildError, match="the host can pass nothing else"):
        program("plain", tmp_path)


# ---- mutations -------------------------------------------------------------------------------------------------------


def test_every_site_of_the_clean_kernels_is_needed_and_its_loss_noticed():
    for build in BUILDS:
        if (why := missing(build)) is not None:
            pytest.skip(f"emulation build {build!r}: {why}")
    sites = mutation.sites_of([SAMPLES / "clean.cu"])
    assert {site.split()[0] for site in sites.tested} == {"barrier", "bound", "atomic", "fence"}
    assert set(mutation.executed_sites(exercise_samples.small, SAMPLES)) == {*sites.tested, *sites.equivalent}
    outcomes = mutation.try_all(exercise_samples.small, sites.tested, SAMPLES)
    assert [outcome for outcome in outcomes if not outcome.noticed_by] == []


def test_what_nothing_tests_survives():
    def lazy(stream: EmulatedStream) -> None:
        stream.launch("rotate_kernel", (1, 1, 1), (32, 1, 1), uploaded(stream, np.zeros(32, np.uint32)))
        stream.launch("reverse_kernel", (1, 1, 1), (1, 1, 1), stream.allocate(4), shared_bytes=4)

    (site,) = [name for name, count in mutation.executed_sites(lazy, SAMPLES).items() if count == 1]
    (outcome,) = mutation.try_all(lazy, [site], SAMPLES)
    assert outcome.noticed_by == ""


def test_sites_are_read_off_the_source_without_comments(tmp_path):
    source = tmp_path / "op.cu"
    source.write_text(
        "// CU_BOUND(x)\n"
        "/* __syncthreads();\n */ __syncthreads();\n"
        "if (CU_BOUND(a) && CU_BOUND(b)) atomicMax(p, 1);\n"
        "__syncwarp();  // mutation: equivalent, lanes of one warp\n"
        "// mutation: equivalent, written twice\n"
        "__threadfence_block();\n"
    )
    sites = mutation.sites_of([source])
    assert sites.tested == ["barrier op.cu:3:5", "bound op.cu:4:5", "bound op.cu:4:20", "atomic op.cu:4:33"]
    assert sites.equivalent == {"barrier op.cu:5:1": "lanes of one warp", "fence op.cu:7:1": "written twice"}
