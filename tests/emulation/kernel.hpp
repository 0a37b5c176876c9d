// Kernels by name, with the types of their arguments: what the runner launches. Each unit registers its own.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>

namespace cathrt::emulation {

// The types the host may pass, as kernels/cuda/stream.py names them.
enum class Argument : std::uint8_t { pointer, int32, uint32, int64, uint64, float32, float64 };

template <class T>
constexpr Argument argument_type() {
    if constexpr (std::is_pointer_v<T>)
        return Argument::pointer;
    else if constexpr (std::is_same_v<T, int>)
        return Argument::int32;
    else if constexpr (std::is_same_v<T, unsigned int>)
        return Argument::uint32;
    else if constexpr (std::is_same_v<T, long> || std::is_same_v<T, long long>)
        return Argument::int64;
    else if constexpr (std::is_same_v<T, unsigned long> || std::is_same_v<T, unsigned long long>)
        return Argument::uint64;
    else if constexpr (std::is_same_v<T, float>)
        return Argument::float32;
    else {
        static_assert(std::is_same_v<T, double>,
                      "a kernel takes pointers, int, unsigned int, (unsigned) long long, float or double: the host can "
                      "pass nothing else");
        return Argument::float64;
    }
}

template <class T>
T argument_from_bits(std::uint64_t bits) {
    T value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

struct Kernel {
    const char* name;
    unsigned threads_allowed;  // its __launch_bounds__, 0 when it has none
    const Argument* arguments;
    std::size_t argument_count;
    void (*run_thread)(const std::uint64_t* arguments);
    Kernel* next = nullptr;
};

Kernel*& all_kernels();

template <auto kernel>
class Registered;

template <class... A, void (*kernel)(A...)>
class Registered<kernel> {
  public:
    Registered(const char* name, unsigned threads_allowed)
        : kernel_{name, threads_allowed, types_, sizeof...(A), run_thread, all_kernels()} {
        all_kernels() = &kernel_;
    }

  private:
    static void run_thread(const std::uint64_t* bits) { run(bits, std::index_sequence_for<A...>()); }

    template <std::size_t... I>
    static void run([[maybe_unused]] const std::uint64_t* bits, std::index_sequence<I...>) {
        kernel(argument_from_bits<A>(bits[I])...);
    }

    static constexpr Argument types_[sizeof...(A) + 1] = {argument_type<A>()..., Argument::pointer};
    Kernel kernel_;
};

}  // namespace cathrt::emulation
