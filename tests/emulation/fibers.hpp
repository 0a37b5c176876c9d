// Fibers: stacks of their own on one operating-system thread, switched by hand. A CUDA thread runs on one.
// Not for: which of them runs next (block.cpp).
#pragma once

#include <cstddef>

namespace cathrt::emulation {

class Fiber {
  public:
    Fiber() noexcept = default;      // the thread that is already running
    explicit Fiber(void (*body)());  // runs body, which never returns, when first switched to
    ~Fiber();
    Fiber(const Fiber&) = delete;
    Fiber& operator=(const Fiber&) = delete;

    // Suspends this fiber, which must be the running one, and goes on with another.
    void switch_to(Fiber& next);

    // To be called first of all by the body of a fiber.
    static void began();

  private:
    void* stack_pointer_ = nullptr;
    std::byte* stack_ = nullptr;  // lowest usable byte; the page below it is a guard
    std::size_t stack_bytes_ = 0;
    void* address_sanitizer_ = nullptr;
    void* thread_sanitizer_ = nullptr;
};

}  // namespace cathrt::emulation
