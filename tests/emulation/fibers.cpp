// Fibers on x86-64 and aarch64: see fibers.hpp.
#include "fibers.hpp"

#include <pthread.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <new>

#include "sanitizers.hpp"

// Saves the registers a function must keep on the running stack and its top in *save; takes up those on `load`.
extern "C" void cathrt_switch_stack(void** save, void* load);
#if defined(__x86_64__)
asm(R"(
.text
.type cathrt_switch_stack, @function
cathrt_switch_stack:
    push %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, (%rdi)
    mov %rsi, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    ret
)");
#elif defined(__aarch64__)
asm(R"(
.text
.type cathrt_switch_stack, %function
cathrt_switch_stack:
    sub sp, sp, #160
    stp x19, x20, [sp]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp x19, x20, [sp]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #160
    ret
)");
#else
#error "fibers are written for x86-64 and aarch64"
#endif

namespace cathrt::emulation {
namespace {

constexpr std::size_t guard_bytes = 4096;
#if defined(CATHRT_ADDRESS_SANITIZER) || defined(CATHRT_THREAD_SANITIZER)
constexpr std::size_t usable_bytes = 256 << 10;  // red zones and spilled shadow cost stack
#else
constexpr std::size_t usable_bytes = 64 << 10;
#endif

}  // namespace

Fiber::Fiber(void (*body)()) : stack_bytes_(usable_bytes) {
    void* mapped = mmap(nullptr, guard_bytes + usable_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) throw std::bad_alloc();
    mprotect(mapped, guard_bytes, PROT_NONE);
    stack_ = static_cast<std::byte*>(mapped) + guard_bytes;
    // What cathrt_switch_stack takes up: fresh memory is zero, so only the address to return to need be written.
    auto** top = reinterpret_cast<void**>(stack_ + usable_bytes);
#if defined(__x86_64__)
    top -= 8;  // six registers, the address, and one more that keeps the stack aligned as after a call
    top[6] = reinterpret_cast<void*>(body);
#else
    top -= 20;
    top[11] = reinterpret_cast<void*>(body);  // x30
#endif
    stack_pointer_ = top;
#if defined(CATHRT_THREAD_SANITIZER)
    thread_sanitizer_ = __tsan_create_fiber(0);
#endif
}

Fiber::~Fiber() {
    if (stack_ == nullptr) return;
    munmap(stack_ - guard_bytes, guard_bytes + stack_bytes_);
#if defined(CATHRT_THREAD_SANITIZER)
    __tsan_destroy_fiber(thread_sanitizer_);
#endif
}

void Fiber::switch_to(Fiber& next) {
#if defined(CATHRT_ADDRESS_SANITIZER)
    if (next.stack_ == nullptr && next.stack_bytes_ == 0) {  // the first thread: ask where its stack is
        pthread_attr_t attributes;
        void* lowest = nullptr;
        pthread_getattr_np(pthread_self(), &attributes);
        pthread_attr_getstack(&attributes, &lowest, &next.stack_bytes_);
        pthread_attr_destroy(&attributes);
        __sanitizer_start_switch_fiber(&address_sanitizer_, lowest, next.stack_bytes_);
        next.stack_bytes_ = 0;
    } else {
        __sanitizer_start_switch_fiber(&address_sanitizer_, next.stack_, next.stack_bytes_);
    }
#endif
#if defined(CATHRT_THREAD_SANITIZER)
    if (thread_sanitizer_ == nullptr) thread_sanitizer_ = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(next.thread_sanitizer_, 1 /* no order between the two */);
#endif
    cathrt_switch_stack(&stack_pointer_, next.stack_pointer_);
#if defined(CATHRT_ADDRESS_SANITIZER)
    __sanitizer_finish_switch_fiber(address_sanitizer_, nullptr, nullptr);
#endif
}

void Fiber::began() {
#if defined(CATHRT_ADDRESS_SANITIZER)
    __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
}

}  // namespace cathrt::emulation
