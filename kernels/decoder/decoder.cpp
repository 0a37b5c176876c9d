#include "decoder.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "dispatch.hpp"
#include "lane.hpp"

namespace cathrt::decoder {
namespace {

using Index = std::size_t;

constexpr int kQueryRows = 8;  // queries whose scores are computed together
constexpr float kUnseen = -1e30f;

Index at(int row, int width) { return static_cast<Index>(row) * static_cast<Index>(width); }

// e to the power of x for x <= 88, within 2 units of the last place; 0 below -87.
CATHRT_INLINE float power_of_e(float x) {
    const float bounded = x < -87.0f ? -87.0f : (x > 88.0f ? 88.0f : x);
    const float whole = std::nearbyint(bounded * 1.44269504f);
    const float rest = (bounded - whole * 0.693145752f) - whole * 1.42860677e-6f;
    float value = 1.9875691e-4f;
    value = value * rest + 1.3981999e-3f;
    value = value * rest + 8.3334519e-3f;
    value = value * rest + 4.1665795e-2f;
    value = value * rest + 1.6666665e-1f;
    value = value * rest + 5.0000001e-1f;
    value = value * rest * rest + rest + 1.0f;
    const std::int32_t bits = (static_cast<std::int32_t>(whole) + 127) << 23;
    float scale;
    __builtin_memcpy(&scale, &bits, sizeof scale);
    return x < -87.0f ? 0.0f : value * scale;
}

CATHRT_INLINE float sum_of_squares(const float* values, int count) {
    Lane sums = {};
    int i = 0;
    for (; i + kLane <= count; i += kLane) {
        const Lane lane = load(values + i);
        sums += lane * lane;
    }
    float sum = 0.0f;
    for (; i < count; ++i) sum += values[i] * values[i];
    return sum + sum_of(sums);
}

// The norm of one row, times 1 + weight and `factor`. values and result may be the same.
CATHRT_MULTIVERSION void norm_row(const float* values, const float* weight, int count, float eps, float factor,
                                  float* result) {
    const float scale = factor / std::sqrt(sum_of_squares(values, count) / static_cast<float>(count) + eps);
    for (int i = 0; i < count; ++i) result[i] = values[i] * scale * (1.0f + weight[i]);
}

// stream + norm(out), row by row.
CATHRT_MULTIVERSION void add_normed_row(const float* out, const float* weight, int count, float eps, float* stream) {
    const float scale = 1.0f / std::sqrt(sum_of_squares(out, count) / static_cast<float>(count) + eps);
    for (int i = 0; i < count; ++i) stream[i] += out[i] * scale * (1.0f + weight[i]);
}

CATHRT_MULTIVERSION void rotate(float* values, const float* cosines, const float* sines, int half) {
    for (int i = 0; i < half; ++i) {
        const float first = values[i], second = values[half + i];
        values[i] = first * cosines[i] - second * sines[i];
        values[half + i] = second * cosines[i] + first * sines[i];
    }
}

// gate := gelu(gate) * up, with the tanh form of GELU: x / (1 + e^(-2u)).
CATHRT_MULTIVERSION void gate_row(float* gate, const float* up, int count) {
    for (int i = 0; i < count; ++i) {
        const float x = gate[i];
        const float u = 0.7978845608f * (x + 0.044715f * x * x * x);
        gate[i] = x / (1.0f + power_of_e(-2.0f * u)) * up[i];
    }
}

// The positions that one of a block of rows sees: [first, last) of `count`, from `start` of each mask row on.
struct Seen {
    int first, last;
};

Seen seen_by(const std::uint8_t* mask, int stride, int rows, int start, int count) {
    Seen seen{count, 0};
    for (int row = 0; row < rows; ++row) {
        const std::uint8_t* read = mask + at(row, stride) + start;
        int first = 0;
        while (first < seen.first && read[first] == 0) ++first;
        seen.first = std::min(seen.first, first);
        int last = count;
        while (last > seen.last && read[last - 1] == 0) --last;
        seen.last = std::max(seen.last, last);
    }
    return seen.first < seen.last ? seen : Seen{0, 0};
}

// (count, dim) rows to (dim, padded) columns.
CATHRT_MULTIVERSION void turn(const float* rows, int count, int dim, int padded, float* turned) {
    for (int start = 0; start < count; start += kLane) {
        const int stop = std::min(count, start + kLane);
        for (int d = 0; d < dim; ++d) {
            for (int c = start; c < stop; ++c)
                turned[at(d, padded) + static_cast<Index>(c)] = rows[at(c, dim) + static_cast<Index>(d)];
        }
    }
}

// scores (kRows, padded) of rows' queries with turned keys, columns first to last, both multiples of kLane.
template <int kRows>
CATHRT_INLINE void score(const float* const* queries, const float* turned, int dim, int padded, int first, int last,
                         float* scores) {
    for (int c = first; c < last; c += 2 * kLane) {
        const int second = c + kLane < last ? c + kLane : c;
        Lane a[kRows] = {}, b[kRows] = {};
        for (int d = 0; d < dim; ++d) {
            const float* key = turned + at(d, padded);
            const Lane left = load(key + c), right = load(key + second);
            for (int r = 0; r < kRows; ++r) {
                a[r] += queries[r][d] * left;
                b[r] += queries[r][d] * right;
            }
        }
        for (int r = 0; r < kRows; ++r) {
            store(a[r], scores + at(r, padded) + c);
            store(b[r], scores + at(r, padded) + second);
        }
    }
}
CATHRT_MULTIVERSION void score_many(const float* const* queries, const float* turned, int dim, int padded, int first,
                                    int last, float* scores) {
    score<kQueryRows>(queries, turned, dim, padded, first, last, scores);
}
CATHRT_MULTIVERSION void score_one(const float* const* queries, const float* turned, int dim, int padded, int first,
                                   int last, float* scores) {
    score<1>(queries, turned, dim, padded, first, last, scores);
}

// One query with keys as they are stored, for when turning them would cost more than it saves.
CATHRT_MULTIVERSION void score_stored(const float* query, const float* keys, int dim, int first, int last,
                                      float* scores) {
    for (int c = first; c < last; ++c) {
        const float* key = keys + at(c, dim);
        Lane sums = {};
        for (int d = 0; d < dim; d += kLane) sums += load(query + d) * load(key + d);
        scores[c] = sum_of(sums);
    }
}

// result (kRows, dim) += chances (kRows, padded) x values (count, dim).
template <int kRows>
CATHRT_INLINE void mix(const float* chances, int padded, const float* values, int dim, int first, int last,
                       float* result) {
    for (int d = 0; d < dim; d += 2 * kLane) {
        const int second = d + kLane < dim ? d + kLane : d;
        Lane a[kRows], b[kRows];
        for (int r = 0; r < kRows; ++r) {
            a[r] = load(result + at(r, dim) + d);
            b[r] = load(result + at(r, dim) + second);
        }
        for (int c = first; c < last; ++c) {
            const Lane left = load(values + at(c, dim) + d), right = load(values + at(c, dim) + second);
            for (int r = 0; r < kRows; ++r) {
                const float chance = chances[at(r, padded) + static_cast<Index>(c)];
                a[r] += chance * left;
                b[r] += chance * right;
            }
        }
        for (int r = 0; r < kRows; ++r) {
            store(a[r], result + at(r, dim) + d);
            store(b[r], result + at(r, dim) + second);
        }
    }
}
CATHRT_MULTIVERSION void mix_many(const float* chances, int padded, const float* values, int dim, int first, int last,
                                  float* result) {
    mix<kQueryRows>(chances, padded, values, dim, first, last, result);
}
CATHRT_MULTIVERSION void mix_one(const float* chances, int padded, const float* values, int dim, int first, int last,
                                 float* result) {
    mix<1>(chances, padded, values, dim, first, last, result);
}

// Masked scores to their exponentials; returns the largest score first found in `most`, adds to `sum`.
CATHRT_MULTIVERSION float most_of(const float* scores, const std::uint8_t* mask, int first, int last) {
    float most = kUnseen;
    for (int c = first; c < last; ++c) {
        const float score = mask[c] != 0 ? scores[c] : kUnseen;
        most = score > most ? score : most;
    }
    return most;
}
CATHRT_MULTIVERSION float to_chances(float* scores, const std::uint8_t* mask, int first, int last, float most) {
    float sum = 0.0f;
    for (int c = first; c < last; ++c) {
        const float chance = mask[c] != 0 ? power_of_e(scores[c] - most) : 0.0f;
        scores[c] = chance;
        sum += chance;
    }
    return sum;
}

int up_to_lane(int value) { return (value + kLane - 1) / kLane * kLane; }

// One part of the positions, old or new: its keys, values, and where it begins in a row of the mask.
struct Part {
    const float *keys, *values, *turned;
    int count, padded, start;
};

}  // namespace

Decoder::Decoder(Network network, int threads, Variant variant)
    : network_(std::move(network)), threads_(threads), variant_(variant) {}

void Decoder::attention(const Layer& layer, int number, const Call& call) {
    const Shape& shape = network_.shape;
    const int dim = shape.head_dim, rows = call.rows, group = shape.heads / shape.kv_heads, width = shape.heads * dim;
    const int stride = call.capacity + rows;
    const std::uint8_t* mask = layer.sliding ? call.sliding_mask : call.mask;
    float* new_keys = call.new_keys[static_cast<Index>(number)];
    float* new_values = call.new_values[static_cast<Index>(number)];
    const Angles& angles = layer.sliding ? network_.sliding_angles : network_.angles;
    threads_.run([&](int part) {
        for (int row = rows * part / threads_.count(); row < rows * (part + 1) / threads_.count(); ++row) {
            const auto position = std::min(std::max<std::int64_t>(call.positions[row], 0),
                                           static_cast<std::int64_t>(network_.positions - 1));
            const float* cosines = angles.cosines + static_cast<Index>(position) * static_cast<Index>(dim / 2);
            const float* sines = angles.sines + static_cast<Index>(position) * static_cast<Index>(dim / 2);
            for (int head = 0; head < shape.heads; ++head) {
                float* query = queries_.data() + at(row, width) + at(head, dim);
                norm_row(query, layer.query_norm, dim, shape.norm_eps, shape.query_scale, query);
                rotate(query, cosines, sines, dim / 2);
            }
            for (int head = 0; head < shape.kv_heads; ++head) {
                const Index from = at(row, shape.kv_heads * dim) + at(head, dim), to = at(head * rows + row, dim);
                norm_row(keys_.data() + from, layer.key_norm, dim, shape.norm_eps, 1.0f, new_keys + to);
                rotate(new_keys + to, cosines, sines, dim / 2);
                std::copy_n(values_.data() + from, dim, new_values + to);
            }
        }
    });
    // The old rows that anybody sees; what lies behind them may hold anything.
    const Seen old_rows = seen_by(mask, stride, rows, 0, call.capacity);
    const bool turned = rows >= kQueryRows;
    threads_.run([&](int part) {
        std::vector<float> old_turned, new_turned;
        const int old_padded = up_to_lane(old_rows.last), new_padded = up_to_lane(rows);
        std::vector<float> scores(at(kQueryRows, old_padded + new_padded));
        std::vector<float> mixed(at(kQueryRows, dim));
        // A part takes blocks of rows in turn, since later rows see more.
        const int blocks = (rows + kQueryRows - 1) / kQueryRows, parts = threads_.count();
        for (int kv_head = 0; kv_head < shape.kv_heads; ++kv_head) {
            const Index cached = at(kv_head * call.capacity, dim), fresh = at(kv_head * rows, dim);
            Part sides[2] = {{call.keys[static_cast<Index>(number)] + cached,
                              call.values[static_cast<Index>(number)] + cached, nullptr, old_rows.last, old_padded, 0},
                             {new_keys + fresh, new_values + fresh, nullptr, rows, new_padded, call.capacity}};
            if (turned) {
                old_turned.assign(at(dim, old_padded), 0.0f);
                new_turned.assign(at(dim, new_padded), 0.0f);
                turn(sides[0].keys, sides[0].count, dim, old_padded, old_turned.data());
                turn(sides[1].keys, sides[1].count, dim, new_padded, new_turned.data());
                sides[0].turned = old_turned.data();
                sides[1].turned = new_turned.data();
            }
            for (int item = part; item < blocks * group; item += parts) {
                const int first_row = item / group * kQueryRows, head = kv_head * group + item % group;
                const int count = std::min(kQueryRows, rows - first_row);
                const std::uint8_t* row_mask = mask + at(first_row, stride);
                const float* queries[kQueryRows];
                for (int r = 0; r < kQueryRows; ++r) {
                    queries[r] = queries_.data() + at(first_row + std::min(r, count - 1), width) + at(head, dim);
                }
                float most[kQueryRows], sum[kQueryRows] = {};
                std::fill(most, most + kQueryRows, kUnseen);
                Seen seen[2];
                float* side_scores[2] = {scores.data(), scores.data() + at(kQueryRows, old_padded)};
                for (int s = 0; s < 2; ++s) {
                    const Part& side = sides[s];
                    seen[s] = seen_by(row_mask, stride, count, side.start, side.count);
                    if (seen[s].first == seen[s].last) continue;
                    const int first = seen[s].first / kLane * kLane, last = up_to_lane(seen[s].last);
                    if (!turned) {
                        for (int r = 0; r < count; ++r) {
                            score_stored(queries[r], side.keys, dim, seen[s].first, seen[s].last,
                                         side_scores[s] + at(r, side.padded));
                        }
                    } else {
                        (count == 1 ? score_one : score_many)(queries, side.turned, dim, side.padded, first, last,
                                                              side_scores[s]);
                    }
                    for (int r = 0; r < count; ++r) {
                        most[r] = std::max(
                            most[r], most_of(side_scores[s] + at(r, side.padded), row_mask + at(r, stride) + side.start,
                                             seen[s].first, seen[s].last));
                    }
                }
                std::fill(mixed.begin(), mixed.end(), 0.0f);
                for (int s = 0; s < 2; ++s) {
                    if (seen[s].first == seen[s].last) continue;
                    const Part& side = sides[s];
                    for (int r = 0; r < count; ++r) {
                        sum[r] += to_chances(side_scores[s] + at(r, side.padded), row_mask + at(r, stride) + side.start,
                                             seen[s].first, seen[s].last, most[r]);
                    }
                    for (int r = count; r < kQueryRows; ++r)
                        std::fill_n(side_scores[s] + at(r, side.padded), side.padded, 0.0f);
                    (count == 1 ? mix_one : mix_many)(side_scores[s], side.padded, side.values, dim, seen[s].first,
                                                      seen[s].last, mixed.data());
                }
                for (int r = 0; r < count; ++r) {
                    float* result = mixed_.data() + at(first_row + r, width) + at(head, dim);
                    const float scale = sum[r] > 0.0f ? 1.0f / sum[r] : 0.0f;
                    for (int d = 0; d < dim; ++d) result[d] = mixed[at(r, dim) + static_cast<Index>(d)] * scale;
                }
            }
        }
    });
}

void Decoder::run(const Call& call) {
    const Shape& shape = network_.shape;
    const int rows = call.rows, hidden = shape.hidden;
    stream_.assign(call.embeddings, call.embeddings + at(rows, hidden));
    normed_.resize(at(rows, hidden));
    queries_.resize(at(rows, shape.heads * shape.head_dim));
    mixed_.resize(queries_.size());
    keys_.resize(at(rows, shape.kv_heads * shape.head_dim));
    values_.resize(keys_.size());
    out_.resize(at(rows, hidden));
    gate_.resize(at(rows, shape.intermediate));
    up_.resize(gate_.size());
    const auto by_row = [&](const auto& work) {
        threads_.run([&](int part) {
            for (int row = rows * part / threads_.count(); row < rows * (part + 1) / threads_.count(); ++row) work(row);
        });
    };
    const auto linear = [&](const StoredLinear& layer, const std::vector<float>& from, std::vector<float>& to) {
        apply(layer, from.data(), rows, to.data(), threads_, variant_);
    };
    const auto norm = [&](const float* weight) {
        by_row([&](int row) {
            norm_row(stream_.data() + at(row, hidden), weight, hidden, shape.norm_eps, 1.0f,
                     normed_.data() + at(row, hidden));
        });
    };
    const auto add = [&](const float* weight) {
        by_row([&](int row) {
            add_normed_row(out_.data() + at(row, hidden), weight, hidden, shape.norm_eps,
                           stream_.data() + at(row, hidden));
        });
    };
    for (int number = 0; number < static_cast<int>(network_.layers.size()); ++number) {
        const Layer& layer = network_.layers[static_cast<Index>(number)];
        norm(layer.before_attention);
        linear(layer.query, normed_, queries_);
        linear(layer.key, normed_, keys_);
        linear(layer.value, normed_, values_);
        attention(layer, number, call);
        linear(layer.out, mixed_, out_);
        add(layer.after_attention);
        norm(layer.before_mlp);
        linear(layer.gate, normed_, gate_);
        linear(layer.up, normed_, up_);
        by_row([&](int row) {
            gate_row(gate_.data() + at(row, shape.intermediate), up_.data() + at(row, shape.intermediate),
                     shape.intermediate);
        });
        linear(layer.down, gate_, out_);
        add(layer.after_mlp);
    }
    norm_row(stream_.data() + at(call.last, hidden), network_.last_norm, hidden, shape.norm_eps, 1.0f, normed_.data());
    apply(network_.head, normed_.data(), 1, call.logits, threads_, variant_);
}

}  // namespace cathrt::decoder
