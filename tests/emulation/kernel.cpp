// The list of kernels, and what the driver would refuse: see kernel.hpp.
#include "kernel.hpp"

#include <algorithm>
#include <iterator>

namespace cathrt::emulation {
namespace {

constexpr std::size_t shared_allowed = 48 * 1024;

std::string names_of(std::span<const Argument> types) {
    static constexpr const char* names[] = {"DeviceMemory", "int32", "uint32", "int64", "uint64", "float32", "float64"};
    std::string listed;
    for (const Argument type : types) {
        const auto at = static_cast<std::size_t>(type);
        listed += (listed.empty() ? "" : ", ") + std::string(at < std::size(names) ? names[at] : "unknown");
    }
    return "(" + listed + ")";
}

}  // namespace

Kernel*& all_kernels() {
    static Kernel* first = nullptr;
    return first;
}

std::string text(const uint3& extent) {
    return "(" + std::to_string(extent.x) + ", " + std::to_string(extent.y) + ", " + std::to_string(extent.z) + ")";
}

const Kernel& kernel_named(std::string_view name) {
    std::string known;
    for (const Kernel* kernel = all_kernels(); kernel != nullptr; kernel = kernel->next) {
        if (name == kernel->name) return *kernel;
        known += std::string(" ") + kernel->name;
    }
    throw Error("no kernel " + std::string(name) + "; there are:" + known);
}

void check_arguments(const Kernel& kernel, std::span<const Argument> given) {
    if (std::ranges::equal(given, kernel.arguments)) return;
    throw Error(std::string(kernel.name) + ": found arguments " + names_of(given) + ", expected " +
                names_of(kernel.arguments));
}

void check_shape(const Kernel& kernel, const Shape& shape) {
    const uint3 &grid = shape.grid, &block = shape.block;
    const std::uint64_t threads = std::uint64_t{block.x} * block.y * block.z;
    const auto refuse = [&](const std::string& why) {
        throw Error(std::string(kernel.name) + ": grid " + text(grid) + " of " + text(block) + " threads with " +
                    std::to_string(shape.shared_bytes) + " dynamic shared bytes: " + why);
    };
    if (grid.x == 0 || grid.y == 0 || grid.z == 0 || threads == 0) refuse("every extent must be at least 1");
    if (grid.x > 0x7FFFFFFF || grid.y > 65535 || grid.z > 65535) refuse("a grid has at most 2^31 - 1, 65535, 65535");
    if (threads > 1024 || block.x > 1024 || block.y > 1024 || block.z > 64) {
        refuse("a block has at most 1024 threads, 64 of them in z");
    }
    if (kernel.threads_allowed != 0 && threads > kernel.threads_allowed) {
        refuse("its __launch_bounds__ allow " + std::to_string(kernel.threads_allowed) + " threads");
    }
    if (shape.shared_bytes > shared_allowed) refuse("at most 49152 bytes of shared memory");
}

}  // namespace cathrt::emulation
