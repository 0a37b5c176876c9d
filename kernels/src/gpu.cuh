// The few spellings that let one kernel source compile with nvcc, with NVRTC and, for tests, as plain C++ under
// tests/emulation/cuda_emu.hpp, which defines the same macros. No header of CUDA's is needed, so NVRTC alone compiles
// every kernel. Not for: anything that an op means.
#pragma once

#if !defined(CATHRT_EMULATED)

// Every test that keeps a thread within its arrays. Under emulation each can be switched off, one at a time, to see
// that a test notices.
#define CU_BOUND(condition) (condition)

#define CU_DYN_SHARED(T, name)                                     \
    extern __shared__ __align__(16) unsigned char cu_dyn_shared[]; \
    T* name = reinterpret_cast<T*>(cu_dyn_shared)

// The bits of the nearest half float, ties to even, beyond its range infinity.
__device__ __forceinline__ unsigned short cu_half_bits(float value) {
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
}

#endif
