// Scratch of a plan, its first element where vector loads want it: a load that spans two cache lines costs two.
#pragma once

#include <new>
#include <vector>

namespace cathrt {

template <typename T>
struct AlignedAllocator {
    using value_type = T;
    static constexpr std::align_val_t kAlignment{64};
    AlignedAllocator() = default;
    template <typename U>
    explicit AlignedAllocator(const AlignedAllocator<U>&) {}
    T* allocate(std::size_t count) { return static_cast<T*>(::operator new(count * sizeof(T), kAlignment)); }
    void deallocate(T* pointer, std::size_t) noexcept { ::operator delete(pointer, kAlignment); }
    bool operator==(const AlignedAllocator&) const = default;
};
template <typename T>
using Scratch = std::vector<T, AlignedAllocator<T>>;

}  // namespace cathrt
