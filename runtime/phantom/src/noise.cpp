// Gaussian noise: sixteen xoshiro128++ generators side by side, seeded from one number by splitmix64, and the
// Box-Muller transform in polynomials. No pixel is drawn twice or rejected, so the k-th pixel's noise depends on seed
// and k alone. Largest magnitude 6.66 SD.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "dispatch.hpp"
#include "frame.hpp"

namespace cathrt::phantom {
namespace {

constexpr std::size_t kLanes = 16;
constexpr std::size_t kPixels = 2 * kLanes;  // a pair of uniform numbers makes a pair of normal ones

struct Lanes {
    alignas(64) std::array<std::array<std::uint32_t, kLanes>, 4> state;

    explicit Lanes(std::uint64_t seed) {
        for (std::size_t lane = 0; lane < kLanes; ++lane)
            for (std::size_t word = 0; word < 4; word += 2) {
                seed += 0x9E3779B97F4A7C15U;
                std::uint64_t mixed = seed;
                mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9U;
                mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBU;
                mixed ^= mixed >> 31;
                state[word][lane] = static_cast<std::uint32_t>(mixed);
                state[word + 1][lane] = static_cast<std::uint32_t>(mixed >> 32);
            }
    }
};

CATHRT_INLINE void draw(Lanes& lanes, std::uint32_t* __restrict bits) {
    auto& [a, b, c, d] = lanes.state;
    for (std::size_t i = 0; i < kLanes; ++i) {
        bits[i] = std::rotl(a[i] + d[i], 7) + a[i];
        const std::uint32_t shifted = b[i] << 9;
        c[i] ^= a[i];
        d[i] ^= b[i];
        b[i] ^= c[i];
        a[i] ^= d[i];
        c[i] ^= shifted;
        d[i] = std::rotl(d[i], 11);
    }
}

// -2 ln of a number from 2^-32 to 1: its exponent, and a series in (m - 1) / (m + 1) for its mantissa m.
CATHRT_INLINE float minus_twice_log(float uniform) {
    // Adding this moves mantissas from sqrt(2) upwards into the next exponent.
    const std::int32_t raised = std::bit_cast<std::int32_t>(uniform) + (0x3F800000 - 0x3F3504F3);
    const std::int32_t exponent = (raised >> 23) - 127;
    const float mantissa = std::bit_cast<float>((raised & 0x007FFFFF) + 0x3F3504F3);
    const float z = (mantissa - 1.0F) / (mantissa + 1.0F);
    const float t = z * z;
    const float series = z * (1.0F + t * (0.333333333F + t * (0.2F + t * (0.142857143F + t * 0.111111111F))));
    return std::max(-4.0F * series - 1.38629436F * static_cast<float>(exponent), 0.0F);
}

// Adds noise to kPixels pixels.
CATHRT_INLINE void add_to_block(Lanes& lanes, const Noise& noise, float* __restrict signal) {
    alignas(64) std::uint32_t radial[kLanes], angular[kLanes];
    draw(lanes, radial);
    draw(lanes, angular);
    for (std::size_t i = 0; i < kLanes; ++i) {
        const float uniform = (static_cast<float>(static_cast<std::int32_t>(radial[i] >> 1)) + 0.5F) * 0x1p-31F;
        const float square = minus_twice_log(uniform);
        // Two bits choose the quarter of the circle, the other thirty the angle within it, pi/4 to either side.
        const float angle = static_cast<float>(static_cast<std::int32_t>(angular[i] << 2)) * (0.785398163F * 0x1p-31F);
        const float t = angle * angle;
        const float sine =
            angle * (1.0F - t * (0.166666667F - t * (8.33333333e-3F - t * (1.98412698e-4F - t * 2.75573192e-6F))));
        const float cosine =
            1.0F - t * (0.5F - t * (4.16666667e-2F - t * (1.38888889e-3F - t * (2.48015873e-5F - t * 2.75573192e-7F))));
        const float sided = (angular[i] & 0x40000000U) != 0 ? -cosine : cosine;
        const bool swapped = (angular[i] & 0x80000000U) != 0;
        const float first = signal[i], second = signal[i + kLanes];
        const float first_variance = std::max(first * noise.per_photon + noise.electronic_square, 0.0F);
        const float second_variance = std::max(second * noise.per_photon + noise.electronic_square, 0.0F);
        signal[i] = first + std::sqrt(square * first_variance) * noise.share * (swapped ? sine : sided);
        signal[i + kLanes] = second + std::sqrt(square * second_variance) * noise.share * (swapped ? sided : sine);
    }
}

CATHRT_MULTIVERSION void add_to_blocks(Lanes& shared, const Noise& noise, float* __restrict signal,
                                       std::size_t blocks) {
    Lanes lanes = shared;
    for (std::size_t k = 0; k < blocks; ++k) add_to_block(lanes, noise, signal + k * kPixels);
    shared = lanes;
}

}  // namespace

void add_noise(std::span<float> signal, const Noise& noise) {
    Lanes lanes(noise.seed);
    const std::size_t blocks = signal.size() / kPixels;
    add_to_blocks(lanes, noise, signal.data(), blocks);
    const std::span<float> rest = signal.subspan(blocks * kPixels);
    std::array<float, kPixels> padded{};
    std::copy(rest.begin(), rest.end(), padded.begin());
    add_to_blocks(lanes, noise, padded.data(), 1);
    std::copy_n(padded.begin(), rest.size(), rest.begin());
}

}  // namespace cathrt::phantom
