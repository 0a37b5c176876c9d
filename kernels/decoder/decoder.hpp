// A Gemma3 decoder on the CPU: embeddings, masks and a cache of keys and values to the next token's logits.
//
// The same inputs and outputs as the ONNX decoder has (docs/decoder.md). All memory is the caller's but scratch.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "linear.hpp"
#include "threads.hpp"

namespace cathrt::decoder {

struct Shape {
    int hidden, intermediate, heads, kv_heads, head_dim, vocabulary;
    float norm_eps, query_scale;
};

// One layer. Norms: weights as stored, to which 1 is added. angles: which of the two tables of angles.
struct Layer {
    StoredLinear query, key, value, out, gate, up, down;
    const float *before_attention, *after_attention, *before_mlp, *after_mlp, *query_norm, *key_norm;
    bool sliding;
};

// (positions, head_dim / 2) each.
struct Angles {
    const float *cosines, *sines;
};

// The network. outputs are written whole; old rows that no mask lets through may hold anything.
struct Network {
    Shape shape;
    std::vector<Layer> layers;
    const float* last_norm;
    StoredLinear head;
    Angles angles, sliding_angles;
    int positions;  // of the tables of angles
};

struct Call {
    int rows, capacity, last;                      // new positions, rows of the cache, the row whose logits are wanted
    const float* embeddings;                       // (rows, hidden)
    const std::int64_t* positions;                 // (rows)
    const std::uint8_t *mask, *sliding_mask;       // (rows, capacity + rows), 1 where a row sees a position
    std::span<const float* const> keys, values;    // by layer, (kv_heads, capacity, head_dim)
    std::span<float* const> new_keys, new_values;  // by layer, (kv_heads, rows, head_dim)
    float* logits;                                 // (vocabulary)
};

class Decoder {
  public:
    Decoder(Network network, int threads, Variant variant);

    // One at a time.
    void run(const Call& call);

  private:
    void attention(const Layer& layer, int number, const Call& call);

    Network network_;
    Threads threads_;
    Variant variant_;
    std::vector<float> stream_, normed_, queries_, keys_, values_, mixed_, out_, gate_, up_;
};

}  // namespace cathrt::decoder
