// The variants for x86-64 with AVX-512 VNNI and AMX. Written with intrinsics: no compiler makes these instructions of
// plain loops. Compiled for every x86-64 and called where the CPU has them.
#pragma once

#include "linear.hpp"

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__)
#define CATHRT_WIDE 1
#else
#define CATHRT_WIDE 0
#endif

#if CATHRT_WIDE
#define CATHRT_VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")))
#define CATHRT_AMX \
    __attribute__((target("amx-tile,amx-int8,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")))

namespace cathrt::decoder {

constexpr int kFewestAmxRows = 8;  // fewer rows leave most of a tile empty

bool has_vnni();
bool amx_granted();  // the CPU has AMX and the kernel lets this process use its registers

// Inputs that share a scale of their activations in the AMX variant; 0 where that variant cannot take the layer.
int block_of(const StoredLinear& layer);

// Rounds inputs values of one row to 8 bits, group by group of `group` (a multiple of 8): rounded, their scales, and,
// if asked, the sum of each group.
void round_row(const float* activations, int inputs, int group, std::int8_t* rounded, float* scales,
               std::int32_t* sums);

void apply_vnni(const StoredLinear& layer, const float* activations, int rows, float* results, Threads& threads);
void apply_amx(const StoredLinear& layer, const float* activations, int rows, float* results, Threads& threads);

}  // namespace cathrt::decoder
#endif
