// Runs the decoder's linear layers in every variant that the CPU has, and a whole decoder, on buffers of exactly the
// size that they need. Prints how many cases it ran. Built with sanitizers by test_memory_safety.py.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "decoder.hpp"

namespace {

using namespace cathrt::decoder;

std::uint32_t state = 1;
std::uint32_t drawn() { return state = state * 1664525u + 1013904223u; }
float drawn_float() { return static_cast<float>(static_cast<std::int32_t>(drawn())) / 2147483648.0f; }

std::vector<float> floats(std::size_t count) {
    std::vector<float> values(count);
    for (float& value : values) value = drawn_float();
    return values;
}

// Weights of a layer and the memory that they are in.
struct Owned {
    std::vector<std::uint8_t> weights;
    std::vector<std::uint16_t> scales;
    StoredLinear layer;

    Owned(int outputs, int inputs, int group, int bits)
        : weights(static_cast<std::size_t>(outputs) * static_cast<std::size_t>(inputs) *
                  static_cast<std::size_t>(bits) / 8),
          scales(static_cast<std::size_t>(outputs) * static_cast<std::size_t>(inputs / group)),
          layer{weights.data(), scales.data(), outputs, inputs, group, bits} {
        for (auto& byte : weights) byte = static_cast<std::uint8_t>(drawn() >> 24);
        for (auto& scale : scales) scale = static_cast<std::uint16_t>(0x2000u + (drawn() >> 24));
    }
};

int linear_cases() {
    int ran = 0;
    const int shapes[][3] = {{16, 8, 8}, {48, 24, 8}, {272, 64, 32}, {32, 1024, 128}, {64, 640, 64}};
    for (const auto& shape : shapes) {
        for (const int bits : {4, 8}) {
            const Owned owned(shape[0], shape[1], shape[2], bits);
            for (const int rows : {1, 2, 8, 33}) {
                const auto in = floats(static_cast<std::size_t>(rows * shape[1]));
                for (int variant = 0; variant <= static_cast<int>(widest_variant()); ++variant) {
                    Threads threads(1 + variant);
                    std::vector<float> out(static_cast<std::size_t>(rows * shape[0]));
                    apply(owned.layer, in.data(), rows, out.data(), threads, static_cast<Variant>(variant));
                    ++ran;
                }
            }
        }
    }
    return ran;
}

int decoder_cases() {
    const Shape shape{64, 128, 4, 2, 32, 48, 1e-6f, 0.2f};
    constexpr int kLayers = 2, kPositions = 40, kCapacity = 24;
    int ran = 0;
    for (const int bits : {4, 8}) {
        std::vector<Owned> owned;
        std::vector<std::vector<float>> norms;
        for (int layer = 0; layer < kLayers; ++layer) {
            for (const auto& [outputs, inputs] :
                 {std::pair{128, 64}, {64, 64}, {64, 64}, {64, 128}, {128, 64}, {128, 64}, {64, 128}}) {
                owned.emplace_back(outputs, inputs, 32, bits);
            }
            for (const int length : {64, 64, 64, 64, 32, 32}) norms.push_back(floats(static_cast<std::size_t>(length)));
        }
        const Owned head(48, 64, 32, bits);
        const auto last_norm = floats(64), cosines = floats(kPositions * 16), sines = floats(kPositions * 16);
        for (int variant = 0; variant <= static_cast<int>(widest_variant()); ++variant) {
            Network network{shape,
                            {},
                            last_norm.data(),
                            head.layer,
                            {cosines.data(), sines.data()},
                            {cosines.data(), sines.data()},
                            kPositions};
            for (std::size_t layer = 0; layer < kLayers; ++layer) {
                const Owned* w = owned.data() + layer * 7;
                const auto* n = norms.data() + layer * 6;
                network.layers.push_back({w[0].layer, w[1].layer, w[2].layer, w[3].layer, w[4].layer, w[5].layer,
                                          w[6].layer, n[0].data(), n[1].data(), n[2].data(), n[3].data(), n[4].data(),
                                          n[5].data(), layer == 0});
            }
            Decoder decoder(network, 2, static_cast<Variant>(variant));
            for (const int rows : {1, 7, 8, 19}) {
                const auto size = static_cast<std::size_t>(rows);
                std::vector<std::vector<float>> old, fresh;
                std::vector<const float*> old_keys, old_values;
                std::vector<float*> new_keys, new_values;
                for (int layer = 0; layer < 2 * kLayers; ++layer) {
                    old.push_back(floats(2 * kCapacity * 32));
                    fresh.emplace_back(2 * size * 32);
                }
                for (std::size_t layer = 0; layer < kLayers; ++layer) {
                    old_keys.push_back(old[2 * layer].data());
                    old_values.push_back(old[2 * layer + 1].data());
                    new_keys.push_back(fresh[2 * layer].data());
                    new_values.push_back(fresh[2 * layer + 1].data());
                }
                const auto embeddings = floats(size * 64);
                // Positions behind the table are what padded rows may have; masks are drawn, some rows see nothing.
                std::vector<std::int64_t> positions(size, kPositions + 100);
                positions[0] = 0;
                std::vector<std::uint8_t> mask(size * (kCapacity + size)), sliding(mask.size());
                for (auto& one : mask) one = drawn() >> 31;
                std::vector<float> logits(48);
                decoder.run({rows, kCapacity, rows - 1, embeddings.data(), positions.data(), mask.data(),
                             sliding.data(), old_keys, old_values, new_keys, new_values, logits.data()});
                ++ran;
            }
        }
    }
    return ran;
}

}  // namespace

int main(int count, char** arguments) {
    if (count > 1 && std::string(arguments[1]) == "step outside") {
        const Owned owned(16, 64, 32, 4);
        const auto in = floats(63);
        std::vector<float> out(16);
        Threads threads(1);
        apply(owned.layer, in.data(), 1, out.data(), threads, Variant::plain);
    }
    std::printf("%d\n", linear_cases() + decoder_cases());
    return EXIT_SUCCESS;
}
