// Runs the threads of a launch, block after block, each thread on a fiber; they meet at barriers and warp operations.
// Not for: how CUDA spells them (cuda_emu.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "kernel.hpp"
#include "sites.hpp"

struct uint3 {
    unsigned int x, y, z;
};

// The thread that runs, in CUDA's words.
extern uint3 threadIdx, blockIdx, blockDim, gridDim;

namespace cathrt::emulation {

// What CUDA forbids and the emulator saw. The text names kernel, place and threads.
struct Error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct Shape {
    uint3 grid, block;
    std::size_t shared_bytes;  // dynamic
};

// Runs a whole launch. Throws Error: shapes the driver would refuse, deadlocks, wrong masks, misused barriers.
void launch(const Kernel& kernel, const Shape& shape, const std::uint64_t* arguments);

// 0: threads start in ascending order; otherwise every block starts them in another order drawn from it.
void set_seed(std::uint32_t seed);

// ---- called by a running thread -----------------------------------------------------------------------------------

struct Votes {
    int count, all, any;
};

// __syncthreads and its kin. Mutated: nobody waits.
Votes barrier(Site& site, bool vote);

// Lets every other thread of the block that can run go first.
void give_way();

// __threadfence. Mutated: orders nothing.
void fence(Site& site);

// To be told of every atomic in the ThreadSanitizer build, where fences have a meaning.
void touched(void* address);

enum class WarpOperation : unsigned char { shuffle, vote, synchronise };

// What the lanes that met gave: those of `mask` that have not exited. Valid until the lane's next warp operation.
struct Lanes {
    const std::uint64_t* given;
    unsigned int present;
    unsigned int self;
};

Lanes meet(WarpOperation operation, unsigned int mask, std::uint64_t given);

// Throws Error, the text beginning with kernel, block and thread.
[[noreturn]] void fail(const std::string& what);
[[noreturn]] void fail(const char* what, int lane);

void* dynamic_shared();

}  // namespace cathrt::emulation
