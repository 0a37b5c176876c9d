// What the emulator tells the sanitizer it is built with: which fiber runs, and what orders memory. Without a sanitizer
// all of it is nothing. Not for: what a fiber is (fibers.hpp) or when CUDA synchronises (block.cpp).
#pragma once

#include <cstddef>

#if defined(CATHRT_ADDRESS_SANITIZER)
#include <sanitizer/common_interface_defs.h>
#endif

#if defined(CATHRT_THREAD_SANITIZER)
#include <sanitizer/tsan_interface.h>
extern "C" {
void AnnotateIgnoreReadsBegin(const char*, int);
void AnnotateIgnoreReadsEnd(const char*, int);
void AnnotateIgnoreWritesBegin(const char*, int);
void AnnotateIgnoreWritesEnd(const char*, int);
void __tsan_java_init(unsigned long, unsigned long);
void __tsan_java_alloc(unsigned long, unsigned long);
void __tsan_java_free(unsigned long, unsigned long);
}
#endif

namespace cathrt::emulation {

// Memory of different threads of a block is ordered by CUDA's synchronisation alone, so fibers are switched without any
// order between them, and the ThreadSanitizer build needs every thread of a block to have a fiber of its own.
#if defined(CATHRT_THREAD_SANITIZER)
inline constexpr bool one_fiber_a_thread = true;
inline void release(void* what) { __tsan_release(what); }
inline void acquire(void* what) { __tsan_acquire(what); }

// Shared memory is new to every block: forgets what earlier blocks did to it.
inline void forget(void* memory, std::size_t bytes) {
    static bool known = false;
    const auto begin = (reinterpret_cast<unsigned long>(memory) + 7) & ~7ul;
    const auto end = (reinterpret_cast<unsigned long>(memory) + bytes) & ~7ul;
    if (end <= begin) return;
    if (known) {
        __tsan_java_free(begin, end - begin);
    } else {
        __tsan_java_init(begin, end - begin);
        known = true;
    }
    __tsan_java_alloc(begin, end - begin);
}

// The emulator's own memory is no part of the kernel under test.
struct Quiet {
    Quiet() {
        AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
        AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
    }
    ~Quiet() {
        AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
        AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
    }
    Quiet(const Quiet&) = delete;
    Quiet& operator=(const Quiet&) = delete;
};
#else
inline constexpr bool one_fiber_a_thread = false;
inline void release(void*) {}
inline void acquire(void*) {}
inline void forget(void*, std::size_t) {}
struct Quiet {
    Quiet() {}  // not defaulted: an unused variable would be warned about
    ~Quiet() {}
    Quiet(const Quiet&) = delete;
    Quiet& operator=(const Quiet&) = delete;
};
#endif

}  // namespace cathrt::emulation
