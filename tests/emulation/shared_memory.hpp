// The shared memory of the block that runs: what it holds when a block begins. Not for: threads (block.cpp).
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>

namespace cathrt::emulation {

class SharedMemory {
  public:
    // Dynamic bytes for every block of a launch: memory of exactly that size.
    void resize(std::size_t dynamic_bytes);

    // Poison for a new block, without a history for ThreadSanitizer.
    void begin_block();

    std::byte* dynamic() { return dynamic_.get(); }

  private:
    struct Freed {
        void operator()(std::byte* memory) const { std::free(memory); }
    };
    std::unique_ptr<std::byte, Freed> dynamic_;
    std::size_t dynamic_bytes_ = 0;
};

}  // namespace cathrt::emulation
