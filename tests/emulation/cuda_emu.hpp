// CUDA C++ as the kernels use it, spelt for a C++20 compiler: the same .cu runs on the CPU, every CUDA thread a fiber.
// Seen: deadlocks and misused barriers and warp masks, launches the driver refuses, shared memory read before it is
// written; with sanitizers also steps outside memory, misaligned vectors and races. Not modelled: time, memory weaker
// than the order CUDA promises, textures, cooperative groups, tensor cores, asynchronous copies. What cathrt never uses
// is absent.
#pragma once

#if !defined(CATHRT_EMULATED)
#error "CATHRT_EMULATED must be defined before gpu.cuh is read: build with -DCATHRT_EMULATED"
#endif

#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "block.hpp"
#include "kernel.hpp"
#include "sites.hpp"

// ---- keywords -----------------------------------------------------------------------------------------------------

#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __restrict__ __restrict
#define __shared__ static  // build.py gathers them in one section, which block.cpp poisons before every block

#define CU_BOUND(condition) ::cathrt::emulation::within(CATHRT_SITE(bound), (condition))
#define CU_DYN_SHARED(T, name) T* name = static_cast<T*>(::cathrt::emulation::dynamic_shared())

namespace cathrt::emulation {

// Mutated: every thread is taken to be within its arrays.
inline bool within(Site& site, bool condition) { return goes_wrong(site) || condition; }

}  // namespace cathrt::emulation

// ---- vector types, aligned as CUDA aligns them --------------------------------------------------------------------

#define CATHRT_VECTOR(T, name)                                                         \
    struct alignas(2 * sizeof(T)) name##2 { T x, y; };                                 \
    struct name##3 { T x, y, z; };                                                     \
    struct alignas(4 * sizeof(T) < 16 ? 4 * sizeof(T) : 16) name##4 { T x, y, z, w; }; \
    inline name##2 make_##name##2(T x, T y) { return {x, y}; }                         \
    inline name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; }                 \
    inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
#define uint3 cathrt_uint3  // block.hpp has it
CATHRT_VECTOR(unsigned int, uint)
#undef uint3
CATHRT_VECTOR(signed char, char)
CATHRT_VECTOR(unsigned char, uchar)
CATHRT_VECTOR(short, short)
CATHRT_VECTOR(unsigned short, ushort)
CATHRT_VECTOR(int, int)
CATHRT_VECTOR(float, float)
#undef CATHRT_VECTOR

// ---- block and warp -----------------------------------------------------------------------------------------------

inline constexpr int warpSize = 32;

#define __syncthreads() static_cast<void>(::cathrt::emulation::barrier(CATHRT_SITE(barrier), false))
#define __syncthreads_count(vote) (::cathrt::emulation::barrier(CATHRT_SITE(barrier), (vote) != 0).count)
#define __syncthreads_and(vote) (::cathrt::emulation::barrier(CATHRT_SITE(barrier), (vote) != 0).all)
#define __syncthreads_or(vote) (::cathrt::emulation::barrier(CATHRT_SITE(barrier), (vote) != 0).any)
#define __syncwarp(...) ::cathrt::emulation::synchronise_warp(CATHRT_SITE(barrier) __VA_OPT__(, ) __VA_ARGS__)
#define __threadfence() ::cathrt::emulation::fence(CATHRT_SITE(fence))
#define __threadfence_block() ::cathrt::emulation::fence(CATHRT_SITE(fence))

namespace cathrt::emulation {

inline void synchronise_warp(Site& site, unsigned int mask = 0xFFFFFFFFu) {
    if (!goes_wrong(site)) meet(WarpOperation::synchronise, mask, 0);
}

inline int lane() {
    return static_cast<int>((threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) % warpSize);
}

// The value of lane `from`, or the thread's own when `from` lies outside its segment.
template <class T>
T shuffle(unsigned int mask, T value, int from, bool inside) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "CUDA shuffles 4 or 8 bytes");
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof value);
    const Lanes lanes = meet(WarpOperation::shuffle, mask, bits);
    if (!inside) return value;
    if (!(lanes.present >> from & 1)) fail("a shuffle reads a lane that is not in the mask or has exited: ", from);
    std::memcpy(&value, &lanes.given[from], sizeof value);
    return value;
}

}  // namespace cathrt::emulation

template <class T>
T __shfl_sync(unsigned int mask, T value, int from, int width = 32) {
    const int lane = cathrt::emulation::lane();
    return cathrt::emulation::shuffle(mask, value, lane / width * width + (from & (width - 1)), true);
}
template <class T>
T __shfl_xor_sync(unsigned int mask, T value, int lane_mask, int width = 32) {
    const int lane = cathrt::emulation::lane(), from = lane ^ lane_mask;
    return cathrt::emulation::shuffle(mask, value, from, from / width <= lane / width);
}
template <class T>
T __shfl_down_sync(unsigned int mask, T value, unsigned int delta, int width = 32) {
    const int lane = cathrt::emulation::lane(), from = lane + static_cast<int>(delta);
    return cathrt::emulation::shuffle(mask, value, from, from / width == lane / width);
}
template <class T>
T __shfl_up_sync(unsigned int mask, T value, unsigned int delta, int width = 32) {
    const int lane = cathrt::emulation::lane(), from = lane - static_cast<int>(delta);
    return cathrt::emulation::shuffle(mask, value, from, from >= lane / width * width);
}
inline unsigned int __ballot_sync(unsigned int mask, int vote) {
    const cathrt::emulation::Lanes lanes = meet(cathrt::emulation::WarpOperation::vote, mask, vote != 0);
    unsigned int votes = 0;
    for (unsigned int lane = 0; lane < 32; ++lane) {
        if ((lanes.present >> lane & 1) && lanes.given[lane] != 0) votes |= 1u << lane;
    }
    return votes;
}
inline int __any_sync(unsigned int mask, int vote) { return __ballot_sync(mask, vote) != 0; }
inline int __all_sync(unsigned int mask, int vote) { return __ballot_sync(mask, vote == 0) == 0; }

// ---- atomics ------------------------------------------------------------------------------------------------------

namespace cathrt::emulation {

// Mutated: a read, every other thread that can run, then a write, so that what happened in between is lost.
template <class T, class Change>
T read_change_write(Site& site, T* address, Change change) {
    if (goes_wrong(site)) {
        const T before = *address;
        give_way();
        *address = change(before);
        return before;
    }
#if defined(CATHRT_THREAD_SANITIZER)
    touched(address);
#endif
    T before, after;
    __atomic_load(address, &before, __ATOMIC_RELAXED);
    do {
        after = change(before);
    } while (!__atomic_compare_exchange(address, &before, &after, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return before;
}

// The overloads CUDA has from SM 7.5 on.
template <class T, class... U>
concept one_of = (std::same_as<T, U> || ...);
template <class T>
concept Added = one_of<T, int, unsigned int, unsigned long long, float, double>;
template <class T>
concept Word = one_of<T, int, unsigned int>;
template <class T>
concept Ordered = one_of<T, int, unsigned int, long long, unsigned long long>;
template <class T>
concept Bits = one_of<T, int, unsigned int, unsigned long long>;
template <class T>
concept Exchanged = one_of<T, int, unsigned int, unsigned long long, float>;
template <class T>
concept Compared = one_of<T, int, unsigned int, unsigned long long, unsigned short>;

template <class T>
using Value = std::type_identity_t<T>;

template <Added T>
T atomic_add(Site& site, T* address, Value<T> value) {
    return read_change_write(site, address, [=](T before) {
        if constexpr (std::same_as<T, int>)
            return static_cast<int>(static_cast<unsigned>(before) + static_cast<unsigned>(value));
        else
            return static_cast<T>(before + value);
    });
}
template <Word T>
T atomic_sub(Site& site, T* address, Value<T> value) {
    return read_change_write(site, address, [=](T before) {
        return static_cast<T>(static_cast<unsigned>(before) - static_cast<unsigned>(value));
    });
}
template <Ordered T>
T atomic_max(Site& site, T* address, Value<T> value) {
    return read_change_write(site, address, [=](T before) { return before > value ? before : value; });
}
template <Ordered T>
T atomic_min(Site& site, T* address, Value<T> value) {
    return read_change_write(site, address, [=](T before) { return before < value ? before : value; });
}
template <Bits T>
T atomic_and(Site& site, T* address, Value<T> value) {
    return read_change_write(site, address, [=](T before) { return before & value; });
}
template <Bits T>
T atomic_or(Site& site, T* address, Value<T> value) {
    return read_change_write(site, address, [=](T before) { return before | value; });
}
template <Bits T>
T atomic_xor(Site& site, T* address, Value<T> value) {
    return read_change_write(site, address, [=](T before) { return before ^ value; });
}
template <Exchanged T>
T atomic_exch(Site& site, T* address, Value<T> value) {
    return read_change_write(site, address, [=](T) { return value; });
}
template <Compared T>
T atomic_cas(Site& site, T* address, Value<T> compare, Value<T> value) {
    return read_change_write(site, address, [=](T before) { return before == compare ? value : before; });
}

}  // namespace cathrt::emulation

#define atomicAdd(...) ::cathrt::emulation::atomic_add(CATHRT_SITE(atomic), __VA_ARGS__)
#define atomicSub(...) ::cathrt::emulation::atomic_sub(CATHRT_SITE(atomic), __VA_ARGS__)
#define atomicMax(...) ::cathrt::emulation::atomic_max(CATHRT_SITE(atomic), __VA_ARGS__)
#define atomicMin(...) ::cathrt::emulation::atomic_min(CATHRT_SITE(atomic), __VA_ARGS__)
#define atomicAnd(...) ::cathrt::emulation::atomic_and(CATHRT_SITE(atomic), __VA_ARGS__)
#define atomicOr(...) ::cathrt::emulation::atomic_or(CATHRT_SITE(atomic), __VA_ARGS__)
#define atomicXor(...) ::cathrt::emulation::atomic_xor(CATHRT_SITE(atomic), __VA_ARGS__)
#define atomicExch(...) ::cathrt::emulation::atomic_exch(CATHRT_SITE(atomic), __VA_ARGS__)
#define atomicCAS(...) ::cathrt::emulation::atomic_cas(CATHRT_SITE(atomic), __VA_ARGS__)

// ---- arithmetic ---------------------------------------------------------------------------------------------------

#define CATHRT_MIN_MAX(A, B, T)                                                                                      \
    inline T min(A a, B b) { return static_cast<T>(a) < static_cast<T>(b) ? static_cast<T>(a) : static_cast<T>(b); } \
    inline T max(A a, B b) { return static_cast<T>(a) > static_cast<T>(b) ? static_cast<T>(a) : static_cast<T>(b); }
CATHRT_MIN_MAX(int, int, int)
CATHRT_MIN_MAX(unsigned int, unsigned int, unsigned int)
CATHRT_MIN_MAX(int, unsigned int, unsigned int)
CATHRT_MIN_MAX(unsigned int, int, unsigned int)
CATHRT_MIN_MAX(long long, long long, long long)
CATHRT_MIN_MAX(unsigned long long, unsigned long long, unsigned long long)
#undef CATHRT_MIN_MAX
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }

inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline float __saturatef(float x) { return x > 0.0f ? fminf(x, 1.0f) : 0.0f; }  // NaN gives 0
inline float __fdividef(float a, float b) { return a / b; }
inline float __expf(float x) { return expf(x); }
inline float __fadd_rn(float a, float b) { return a + b; }  // never contracted: the builds have no -ffp-contract=fast
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }

namespace cathrt::emulation {

// As the hardware converts: beyond the range its end, NaN to 0. A double holds every float and every int.
template <class T>
T saturated(double rounded) {
    if (rounded != rounded) return 0;
    constexpr double lowest = std::numeric_limits<T>::min(), highest = std::numeric_limits<T>::max();
    return static_cast<T>(fmin(fmax(rounded, lowest), highest));
}

}  // namespace cathrt::emulation

inline int __float2int_rn(float x) { return cathrt::emulation::saturated<int>(rintf(x)); }
inline int __float2int_rz(float x) { return cathrt::emulation::saturated<int>(truncf(x)); }
inline int __float2int_rd(float x) { return cathrt::emulation::saturated<int>(floorf(x)); }
inline int __float2int_ru(float x) { return cathrt::emulation::saturated<int>(ceilf(x)); }
inline unsigned int __float2uint_rn(float x) { return cathrt::emulation::saturated<unsigned int>(rintf(x)); }
inline unsigned int __float2uint_rz(float x) { return cathrt::emulation::saturated<unsigned int>(truncf(x)); }
inline float __int2float_rn(int x) { return static_cast<float>(x); }
inline float __uint2float_rn(unsigned int x) { return static_cast<float>(x); }
inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline unsigned int __float_as_uint(float x) { return std::bit_cast<unsigned int>(x); }
inline float __uint_as_float(unsigned int x) { return std::bit_cast<float>(x); }

inline int __popc(unsigned int x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(static_cast<unsigned int>(x)); }
inline int __clzll(long long x) { return x == 0 ? 64 : __builtin_clzll(static_cast<unsigned long long>(x)); }
inline unsigned int __brev(unsigned int x) {
    unsigned int reversed = 0;
    for (int bit = 0; bit < 32; ++bit) reversed |= (x >> bit & 1u) << (31 - bit);
    return reversed;
}
inline unsigned int __umulhi(unsigned int a, unsigned int b) {
    return static_cast<unsigned int>(static_cast<unsigned long long>(a) * b >> 32);
}

template <class T>
T __ldg(const T* address) {
    return *address;
}

// As kernels/src/gpu.cuh has it for the GPU.
inline unsigned short cu_half_bits(float value) { return std::bit_cast<unsigned short>(static_cast<_Float16>(value)); }
