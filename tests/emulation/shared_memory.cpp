// Poisoning shared memory: see shared_memory.hpp.
#include "shared_memory.hpp"

#include <algorithm>
#include <new>

#include "sanitizers.hpp"

// Where every __shared__ array of the program lies (build.py); absent when there is none.
extern "C" {
extern std::byte __start_cathrt_shared[] __attribute__((weak));
extern std::byte __stop_cathrt_shared[] __attribute__((weak));
}

namespace cathrt::emulation {
namespace {

constexpr std::byte poison{0xCD};

}  // namespace

void SharedMemory::resize(std::size_t dynamic_bytes) {
    dynamic_.reset();
    dynamic_bytes_ = dynamic_bytes;
}

void SharedMemory::begin_block() {
    forget(__start_cathrt_shared, static_cast<std::size_t>(__stop_cathrt_shared - __start_cathrt_shared));
    // A loop that must stay one: memset is intercepted, and would complain of the red zones between the arrays.
    for (std::byte* at = __start_cathrt_shared; at != __stop_cathrt_shared; ++at) *at = poison;
    if (dynamic_bytes_ == 0) return;
    if (one_fiber_a_thread || !dynamic_) {  // new memory has no history
        void* memory = nullptr;
        if (posix_memalign(&memory, 16, dynamic_bytes_) != 0) throw std::bad_alloc();
        dynamic_.reset(static_cast<std::byte*>(memory));
    }
    std::fill_n(dynamic_.get(), dynamic_bytes_, poison);
}

}  // namespace cathrt::emulation
