// How one source serves every CPU: the compiler vectorises each hot function for several instruction sets and the
// loader picks the widest the CPU has. Not for hand-written intrinsics; there are none.
#pragma once

// GCC with glibc on x86-64 resolves function clones when the library is loaded (ifunc). The sanitizers run before their
// own start-up in such a resolver, so sanitized builds take the plain version of the same source. aarch64 needs no
// clones: NEON is its baseline.
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) && \
    __GNUC__ >= 12 && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define CATHRT_MULTIVERSION __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CATHRT_MULTIVERSION
#endif

// What a multiversioned function calls must be inlined into it to be compiled for its instruction set.
#define CATHRT_INLINE [[gnu::always_inline]] inline
