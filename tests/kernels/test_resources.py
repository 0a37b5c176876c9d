"""Every CUDA kernel compiles for every SM, spills nothing, and takes no more of a multiprocessor than was accepted.

The figures are NVRTC's of the version that pyproject.toml pins. Not for: results (tests/emulation).
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks import kernel_resources
from benchmarks.kernel_resources import MULTIPROCESSORS, CompileError, Resources

pytestmark = pytest.mark.timeout(600)

SPILLING = """
extern "C" __global__ void __launch_bounds__(1024, 2) spilling_kernel(const float* in, float* out) {
    float kept[64];
#pragma unroll
    for (int i = 0; i < 64; ++i) kept[i] = in[i * 1024 + threadIdx.x];
    __syncthreads();
#pragma unroll
    for (int i = 0; i < 64; ++i) out[threadIdx.x + i * 1024] = kept[63 - i] * kept[i / 2];
}
"""
ACCEPTED = Resources(registers=40, shared_bytes=4096, spill_bytes=0, stack_bytes=0, occupancy=0.75)


@pytest.mark.slow
def test_no_kernel_spills_or_takes_more_than_was_accepted():
    found = kernel_resources.compile_all()
    told = kernel_resources.complaints(found, kernel_resources.kept())
    assert not told, "\n".join([*told, "to accept it: python -m benchmarks.kernel_resources --write"])
    assert all(set(by_sm) == set(MULTIPROCESSORS) for by_sm in found.values())


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"registers": 41}, "registers: found 41, allowed 40"),
        ({"shared_bytes": 4097}, "shared_bytes: found 4097, allowed 4096"),
        ({"stack_bytes": 8}, "stack_bytes: found 8, allowed 0"),
        ({"spill_bytes": 4}, "spill_bytes: found 4, allowed 0"),
        ({"occupancy": 0.5}, "occupancy: found 0.5, allowed 0.75"),
    ],
)
def test_whatever_got_worse_is_named_with_kernel_and_sm(changed, said):
    found = {"blur_kernel": {86: ACCEPTED, 90: replace(ACCEPTED, **changed)}}
    allowed = {"blur_kernel": {86: ACCEPTED, 90: ACCEPTED}}
    assert kernel_resources.complaints(found, allowed) == [f"blur_kernel on sm_90: {said}"]


def test_a_spill_is_never_accepted():
    spills = {"blur_kernel": {86: replace(ACCEPTED, spill_bytes=4)}}
    assert kernel_resources.complaints(spills, spills) == ["blur_kernel on sm_86: spill_bytes: found 4, allowed 0"]


def test_a_kernel_in_only_one_of_source_and_table_is_named():
    told = kernel_resources.complaints({"new_kernel": {86: ACCEPTED}}, {"old_kernel": {86: ACCEPTED}})
    assert told == ["old_kernel: in no source, but in resources.json", "new_kernel on sm_86: not in resources.json"]


def test_what_got_better_is_no_complaint():
    found = {"blur_kernel": {86: replace(ACCEPTED, registers=32, shared_bytes=0, occupancy=1.0)}}
    assert kernel_resources.complaints(found, {"blur_kernel": {86: ACCEPTED}}) == []


def test_the_table_is_read_as_it_was_written(tmp_path):
    table = {"a_kernel": {75: ACCEPTED, 120: replace(ACCEPTED, occupancy=1.0)}, "b_kernel": {75: ACCEPTED}}
    kernel_resources.keep(table, tmp_path / "table.json")
    assert kernel_resources.kept(tmp_path / "table.json") == table


def test_the_compiler_tells_of_spills_and_of_shared_memory(tmp_path):
    (tmp_path / "spilling.cu").write_text(SPILLING)
    (tmp_path / "tiled.cu").write_text(
        'extern "C" __global__ void __launch_bounds__(16, 1) tiled_kernel(const float* in, float* out) {\n'
        "    __shared__ float tile[16][16];\n"
        "    for (int i = 0; i < 16; ++i) tile[i][threadIdx.x] = in[i * 16 + threadIdx.x];\n"
        "    __syncthreads();\n"
        "    for (int i = 0; i < 16; ++i) out[i * 16 + threadIdx.x] = tile[threadIdx.x][i];\n"
        "}\n"
    )
    table = kernel_resources.compile_all(tmp_path)
    assert all(resources.spill_bytes > 0 for resources in table["spilling_kernel"].values())
    assert {resources.shared_bytes for resources in table["tiled_kernel"].values()} == {1024}


def test_a_kernel_that_does_not_compile_or_states_no_launch_bounds_is_refused(tmp_path):
    source = tmp_path / "op.cu"
    source.write_text('extern "C" __global__ void op_kernel(float* out) { *out = nothing; }\n')
    with pytest.raises(CompileError, match=r"op.cu for compute_75: (.|\n)*nothing"):
        kernel_resources.compile_all(tmp_path)
    source.write_text('extern "C" __global__ void op_kernel(float* out) { *out = 1; }\n')
    with pytest.raises(CompileError, match="op_kernel has no __launch_bounds__"):
        kernel_resources.compile_all(tmp_path)


def test_an_empty_log_leaves_pythons_own_bytes_alone(tmp_path):
    # b" " exists once in Python; a compiler's terminator written into it would end up wherever print() sets a space
    (tmp_path / "op.cu").write_text(
        'extern "C" __global__ void __launch_bounds__(32) op_kernel(int* out) { *out = 1; }\n'
    )
    kernel_resources.compile_all(tmp_path)
    assert list(bytes([32])) == [32]


@pytest.mark.parametrize(
    ("sm", "threads", "registers", "shared_bytes", "expected"),
    [
        (86, 256, 40, 0, 1.0),  # 6 blocks of 8 warps: all of 48
        (80, 256, 40, 0, 0.75),  # 1280 registers a warp: 51 warps, 48 in whole quarters, 6 blocks of 64 warps
        (90, 1024, 65, 0, 0.0),  # does not fit once: 72 registers a thread are given
        (75, 128, 32, 20000, 0.375),  # three blocks of 20224 bytes in 64 KiB
        (120, 32, 32, 0, 0.5),  # at most 24 blocks
        (89, 256, 32, 49152, 0.3333),  # with the kilobyte reserved two blocks fit
    ],
)
def test_occupancy_follows_the_published_limits(sm, threads, registers, shared_bytes, expected):
    assert kernel_resources.occupancy(sm, threads, registers, shared_bytes) == expected
