// The Python module of the decoder: argument checks, and calls without the interpreter lock.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <string>
#include <utility>
#include <vector>

#include "decoder.hpp"

namespace cathrt::decoder {
namespace {

namespace nb = nanobind;
using nb::literals::operator""_a;

template <typename Value, typename... Config>
using In = nb::ndarray<const Value, nb::c_contig, nb::device::cpu, Config...>;
template <typename Value, typename... Config>
using Out = nb::ndarray<Value, nb::c_contig, nb::device::cpu, Config...>;
using Floats = In<float, nb::ndim<1>>;
using Rows = In<float, nb::ndim<2>>;
using Heads = In<float, nb::ndim<3>>;
using Mask = In<bool, nb::ndim<2>>;

constexpr int kMostSide = 1 << 24;
constexpr int kMostThreads = 1024;

void require(bool fits, const std::string& message) {
    if (!fits) throw nb::value_error(message.c_str());
}

int checked(const char* name, std::int64_t value, std::int64_t least = 1, std::int64_t most = kMostSide) {
    require(value >= least && value <= most, std::string(name) + " is " + std::to_string(value) + ": expected " +
                                                 std::to_string(least) + " to " + std::to_string(most));
    return static_cast<int>(value);
}

Variant variant_of(const std::string& name) {
    if (name == "plain") return Variant::plain;
    if (name == "vnni" || name == "amx") {
        const Variant wanted = name == "vnni" ? Variant::vnni : Variant::amx;
        require(widest_variant() >= wanted,
                "variant is \"" + name + "\", which this CPU does not have: choose another");
        return wanted;
    }
    throw nb::value_error(("variant is \"" + name + "\": expected plain, vnni or amx").c_str());
}

const char* name_of(Variant variant) {
    return variant == Variant::amx ? "amx" : variant == Variant::vnni ? "vnni" : "plain";
}

// A layer, with the arrays that it reads kept alive.
struct Linear {
    StoredLinear stored;
    In<std::uint8_t, nb::ndim<1>> weights;
    In<std::uint16_t, nb::ndim<1>> scales;
};

void make_linear(Linear* self, In<std::uint8_t, nb::ndim<1>> weights, In<std::uint16_t, nb::ndim<1>> scales,
                 std::int64_t outputs, std::int64_t inputs, std::int64_t group, int bits) {
    require(bits == 4 || bits == 8, "bits is " + std::to_string(bits) + ": expected 4 or 8");
    checked("outputs", outputs);
    checked("inputs", inputs);
    checked("group", group, 8, inputs);
    require(outputs % kPanel == 0, "outputs is " + std::to_string(outputs) + ": expected a multiple of 16");
    require(group % 8 == 0 && inputs % group == 0, "group is " + std::to_string(group) +
                                                       ": expected a multiple of 8 that divides the " +
                                                       std::to_string(inputs) + " inputs");
    const auto bytes = static_cast<std::size_t>(outputs * inputs * bits / 8);
    const auto scale_count = static_cast<std::size_t>(outputs * (inputs / group));
    require(weights.size() == bytes,
            "weights are " + std::to_string(weights.size()) + " bytes: expected " + std::to_string(bytes));
    require(scales.size() == scale_count,
            "scales are " + std::to_string(scales.size()) + ": expected " + std::to_string(scale_count));
    const StoredLinear stored{weights.data(),           scales.data(),           static_cast<int>(outputs),
                              static_cast<int>(inputs), static_cast<int>(group), bits};
    new (self) Linear{stored, std::move(weights), std::move(scales)};
}

void run_linear(const Linear& self, const Rows& activations, const Out<float, nb::ndim<2>>& results,
                const std::string& variant, int threads) {
    const int rows = checked("rows", static_cast<std::int64_t>(activations.shape(0)));
    require(activations.shape(1) == static_cast<std::size_t>(self.stored.inputs), "activations have the wrong width");
    require(
        results.shape(0) == activations.shape(0) && results.shape(1) == static_cast<std::size_t>(self.stored.outputs),
        "results have the wrong shape");
    const Variant chosen = variant_of(variant);
    Threads workers(checked("threads", threads, 1, kMostThreads));
    const nb::gil_scoped_release released;
    apply(self.stored, activations.data(), rows, results.data(), workers, chosen);
}

// A decoder, with the arrays that it reads kept alive.
struct Held {
    Decoder decoder;
    Shape shape;
    int layers;
    std::vector<Floats> floats;
    std::vector<Rows> tables;
    std::vector<Linear> linears;
};

constexpr int kLinears = 7, kNorms = 6;

void make_decoder(Held* self, const std::vector<std::int64_t>& sizes, float norm_eps, float query_scale,
                  const std::vector<bool>& sliding, std::vector<Linear> linears, std::vector<Floats> norms,
                  std::vector<Rows> angles, const std::string& variant, int threads) {
    require(sizes.size() == 6, "sizes are " + std::to_string(sizes.size()) +
                                   ": expected hidden, intermediate, heads, kv_heads, head_dim, vocabulary");
    const Shape shape{checked("hidden", sizes[0]),
                      checked("intermediate", sizes[1]),
                      checked("heads", sizes[2]),
                      checked("kv_heads", sizes[3], 1, sizes[2]),
                      checked("head_dim", sizes[4], 16),
                      checked("vocabulary", sizes[5]),
                      norm_eps,
                      query_scale};
    require(shape.heads % shape.kv_heads == 0, "heads are no multiple of kv_heads");
    require(shape.head_dim % 16 == 0, "head_dim is " + std::to_string(shape.head_dim) + ": expected a multiple of 16");
    const auto layers = sliding.size();
    require(layers >= 1 && linears.size() == layers * kLinears + 1 && norms.size() == layers * kNorms + 1 &&
                angles.size() == 4,
            "linears, norms or angles do not fit the number of layers");
    const auto positions = angles[0].shape(0);
    for (const auto& table : angles) {
        require(positions >= 1 && table.shape(0) == positions &&
                    table.shape(1) == static_cast<std::size_t>(shape.head_dim / 2),
                "angles are no tables of (positions, head_dim / 2)");
    }
    const int query_width = shape.heads * shape.head_dim, key_width = shape.kv_heads * shape.head_dim;
    const std::pair<int, int> expected[kLinears] = {
        {query_width, shape.hidden},       {key_width, shape.hidden},          {key_width, shape.hidden},
        {shape.hidden, query_width},       {shape.intermediate, shape.hidden}, {shape.intermediate, shape.hidden},
        {shape.hidden, shape.intermediate}};
    const int norm_sizes[kNorms] = {shape.hidden, shape.hidden,   shape.hidden,
                                    shape.hidden, shape.head_dim, shape.head_dim};
    Network network{shape,
                    {},
                    nullptr,
                    linears.back().stored,
                    {angles[0].data(), angles[1].data()},
                    {angles[2].data(), angles[3].data()},
                    static_cast<int>(positions)};
    require(network.head.inputs == shape.hidden && network.head.outputs == shape.vocabulary, "the head does not fit");
    for (std::size_t number = 0; number < layers; ++number) {
        const Linear* linear = linears.data() + number * kLinears;
        const Floats* norm = norms.data() + number * kNorms;
        for (int i = 0; i < kLinears; ++i) {
            require(linear[i].stored.outputs == expected[i].first && linear[i].stored.inputs == expected[i].second,
                    "layer " + std::to_string(number) + ": linear layer " + std::to_string(i) + " does not fit");
        }
        for (int i = 0; i < kNorms; ++i) {
            require(norm[i].shape(0) == static_cast<std::size_t>(norm_sizes[i]),
                    "layer " + std::to_string(number) + ": norm " + std::to_string(i) + " does not fit");
        }
        network.layers.push_back({linear[0].stored, linear[1].stored, linear[2].stored, linear[3].stored,
                                  linear[4].stored, linear[5].stored, linear[6].stored, norm[0].data(), norm[1].data(),
                                  norm[2].data(), norm[3].data(), norm[4].data(), norm[5].data(), sliding[number]});
    }
    require(norms.back().shape(0) == static_cast<std::size_t>(shape.hidden), "the last norm does not fit");
    network.last_norm = norms.back().data();
    new (self) Held{Decoder(std::move(network), checked("threads", threads, 1, kMostThreads), variant_of(variant)),
                    shape,
                    static_cast<int>(layers),
                    std::move(norms),
                    std::move(angles),
                    std::move(linears)};
}

void run_decoder(Held& self, const Rows& embeddings, const In<std::int64_t, nb::ndim<1>>& positions, const Mask& mask,
                 const Mask& sliding_mask, std::int64_t last, const std::vector<Heads>& keys,
                 const std::vector<Heads>& values, const Out<float, nb::ndim<1>>& logits,
                 const std::vector<Out<float, nb::ndim<3>>>& new_keys,
                 const std::vector<Out<float, nb::ndim<3>>>& new_values) {
    const Shape& shape = self.shape;
    const auto layers = static_cast<std::size_t>(self.layers);
    const int rows = checked("rows", static_cast<std::int64_t>(embeddings.shape(0)));
    require(embeddings.shape(1) == static_cast<std::size_t>(shape.hidden), "embeddings have the wrong width");
    require(positions.shape(0) == embeddings.shape(0), "positions do not fit embeddings");
    require(
        keys.size() == layers && values.size() == layers && new_keys.size() == layers && new_values.size() == layers,
        "keys and values are not one array a layer");
    const int capacity = checked("capacity", static_cast<std::int64_t>(keys[0].shape(1)));
    std::vector<const float*> old[2];
    std::vector<float*> fresh[2];
    for (std::size_t layer = 0; layer < layers; ++layer) {
        for (const auto* array : {&keys[layer], &values[layer]}) {
            require(array->shape(0) == static_cast<std::size_t>(shape.kv_heads) &&
                        array->shape(1) == static_cast<std::size_t>(capacity) &&
                        array->shape(2) == static_cast<std::size_t>(shape.head_dim),
                    "keys and values are not (kv_heads, capacity, head_dim)");
        }
        for (const auto* array : {&new_keys[layer], &new_values[layer]}) {
            require(array->shape(0) == static_cast<std::size_t>(shape.kv_heads) &&
                        array->shape(1) == static_cast<std::size_t>(rows) &&
                        array->shape(2) == static_cast<std::size_t>(shape.head_dim),
                    "new keys and values are not (kv_heads, rows, head_dim)");
        }
        old[0].push_back(keys[layer].data());
        old[1].push_back(values[layer].data());
        fresh[0].push_back(new_keys[layer].data());
        fresh[1].push_back(new_values[layer].data());
    }
    for (const auto* one : {&mask, &sliding_mask}) {
        require(one->shape(0) == static_cast<std::size_t>(rows) &&
                    one->shape(1) == static_cast<std::size_t>(capacity + rows),
                "masks are not (rows, capacity + rows)");
    }
    require(logits.shape(0) == static_cast<std::size_t>(shape.vocabulary), "logits do not fit the vocabulary");
    const Call call{rows,
                    capacity,
                    checked("last", last, 0, rows - 1),
                    embeddings.data(),
                    positions.data(),
                    reinterpret_cast<const std::uint8_t*>(mask.data()),
                    reinterpret_cast<const std::uint8_t*>(sliding_mask.data()),
                    old[0],
                    old[1],
                    fresh[0],
                    fresh[1],
                    logits.data()};
    const nb::gil_scoped_release released;
    self.decoder.run(call);
}

}  // namespace
}  // namespace cathrt::decoder

NB_MODULE(_decoder, module) {
    using namespace cathrt::decoder;
    nanobind::set_leak_warnings(false);
    module.doc() = "A Gemma3 decoder on the CPU. How weights are stored: kernels/decoder/linear.hpp.";
    module.def(
        "widest_variant", [] { return name_of(widest_variant()); }, "amx, vnni or plain: the best this CPU has.");
    namespace nb = nanobind;
    using nb::literals::operator""_a;
    nb::class_<Linear>(module, "Linear", "A linear layer of stored weights; the arrays are read where they are.")
        .def("__init__", &make_linear, "weights"_a, "scales"_a, "outputs"_a, "inputs"_a, "group"_a, "bits"_a)
        .def("__call__", &run_linear, "activations"_a, "results"_a, "variant"_a, "threads"_a,
             "results (rows, outputs) := activations (rows, inputs) x weights^T.");
    nb::class_<Held>(module, "Decoder", "The network; the arrays are read where they are.")
        .def("__init__", &make_decoder, "sizes"_a, "norm_eps"_a, "query_scale"_a, "sliding"_a, "linears"_a, "norms"_a,
             "angles"_a, "variant"_a, "threads"_a)
        .def("run", &run_decoder, "embeddings"_a, "positions"_a, "mask"_a, "sliding_mask"_a, "last"_a, "keys"_a,
             "values"_a, "logits"_a, "new_keys"_a, "new_values"_a,
             "Not thread-safe; gives the interpreter lock free meanwhile.");
}
