// Runs the kernels over awkward sizes, spans and dirty bits with exactly sized heap buffers, so that AddressSanitizer
// and UBSan see any step outside. Built by tests/kernels/test_memory_safety.py; prints the number of runs.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <random>

#include "clahe.hpp"
#include "clip.hpp"
#include "ingest.hpp"
#include "repeats.hpp"
#include "subtraction.hpp"
#include "temporal.hpp"
#include "vesselness.hpp"

namespace {

std::mt19937 rng(20);

int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(rng); }

template <typename Stored>
void run(int rows, int columns, int height, int width, int bits) {
    const int padding = pick(0, 3);
    const std::size_t count = static_cast<std::size_t>((columns + padding) * (rows - 1) + columns);
    auto pixels = std::make_unique<Stored[]>(count);
    const bool noisy = pick(0, 1) == 1;
    for (std::size_t i = 0; i < count; ++i) pixels[i] = static_cast<Stored>(noisy ? rng() : i / 64);
    std::vector<cathrt::Span> spans;
    if (pick(0, 1) == 1) {
        for (int y = 0; y < rows; ++y) {
            const int start = pick(0, columns);
            spans.push_back({start, pick(start, columns)});
        }
    }
    cathrt::Window window{{}, std::nullopt, std::nullopt, pick(0, 1) == 1};
    const int kind = pick(0, 3);
    if (kind >= 2) {
        window.table.resize(std::size_t{1} << bits);
        for (float& entry : window.table) entry = static_cast<float>(pick(-1000, 1000));
    }
    if (kind % 2 == 0)
        window.percentile = cathrt::PercentileWindow{0.5, 99.5, pick(0, 1) == 1};
    else
        window.fixed = cathrt::LinearWindow{100.0F, 0.01F, 0.5F};
    const bool bottom_up = pick(0, 1) == 1;
    const auto stride = static_cast<std::ptrdiff_t>(sizeof(Stored)) * (columns + padding);
    const auto* first = reinterpret_cast<const std::byte*>(pixels.get());
    const cathrt::StoredFrame frame{bottom_up ? first + stride * (rows - 1) : first,
                                    bottom_up ? -stride : stride,
                                    rows,
                                    columns,
                                    sizeof(Stored) == 2,
                                    static_cast<std::uint16_t>((1U << bits) - 1U),
                                    nullptr};
    const std::size_t floats = 3 * static_cast<std::size_t>(height) * static_cast<std::size_t>(width);
    auto out = std::make_unique<float[]>(floats);
    cathrt::TensorLayout tensor{height, width, pick(0, 1) == 1, {0.5F, 0.4F, 0.3F}, {0.2F, 0.3F, 0.4F}, 0.1F};
    cathrt::Ingest ingest(rows, columns, bits, spans, window, tensor);
    for (int again = 0; again < 2; ++again) ingest.run(frame, out.get(), 0);
    tensor.element = cathrt::Element::kFloat16;
    auto halves = std::make_unique<std::uint16_t[]>(floats);
    cathrt::Ingest(rows, columns, bits, spans, window, tensor).run(frame, halves.get(), 0);
    tensor.element = cathrt::Element::kInt8;
    tensor.scale = 0.02F;
    auto steps = std::make_unique<std::int8_t[]>(floats);
    cathrt::Ingest(rows, columns, bits, spans, window, tensor).run(frame, steps.get(), 0);
    // A run with a history: two frames, a reset, one more.
    tensor.history = cathrt::History{
        {cathrt::Quantity::kContrast, cathrt::Quantity::kGrey, cathrt::Quantity::kChange}, 0.1F, 0.5F, 1.0F};
    cathrt::Ingest remembering(rows, columns, bits, spans, window, tensor);
    for (int number = 0; number < 3; ++number) {
        if (number == 2) remembering.reset();
        remembering.run(frame, steps.get(), 0);
    }
    // Of three views: the spans, the whole frame, and nothing of it.
    cathrt::Window plain{{}, cathrt::LinearWindow{100.0F, 0.01F, 0.5F}, std::nullopt, false};
    const std::vector<cathrt::Span> nothing(static_cast<std::size_t>(rows), cathrt::Span{0, 0});
    cathrt::Ingest changing(rows, columns, bits, {spans, {}, nothing}, {window, plain},
                            {{0, 0}, {1, 1}, {2, 0}, {1, 0}}, tensor);
    for (const std::size_t view : {0U, 1U, 2U, 3U, 0U}) changing.run(frame, steps.get(), view);
    tensor.history.reset();
    for (std::size_t i = 0; i < floats; ++i) {
        if (!(out[i] > -1e3F && out[i] < 1e3F)) {
            std::fprintf(stderr, "%dx%d to %dx%d, %d bits: out[%zu] is %g\n", rows, columns, height, width, bits, i,
                         static_cast<double>(out[i]));
            std::abort();
        }
    }
    tensor.element = cathrt::Element::kFloat32;
    auto clip = std::make_unique<float[]>(2 * floats);
    const cathrt::StoredFrame twice[] = {frame, frame};
    cathrt::Clip(rows, columns, bits, window, 2, tensor).run(twice, clip.get());
    const float lines = cathrt::Vesselness(rows, columns, bits, spans, pick(0, 1) == 1).run(frame);
    if (!(lines >= 0.0F && lines < 1e3F)) {
        std::fprintf(stderr, "%dx%d, %d bits: vesselness is %g\n", rows, columns, bits, static_cast<double>(lines));
        std::abort();
    }
    if (cathrt::compare_frames(frame, frame, 2).difference_max != 0 || !cathrt::same_pixels(frame, frame)) {
        std::fprintf(stderr, "%dx%d, %d bits: a frame differs from itself\n", rows, columns, bits);
        std::abort();
    }
}

// The temporal filter over three frames, their subtraction under shifts to every side and beyond every edge, and the
// last of them equalised and summed.
template <typename Stored>
void run_frame_filters(int rows, int columns, int bits) {
    const std::size_t count = static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns);
    auto pixels = std::make_unique<Stored[]>(count), filtered = std::make_unique<Stored[]>(count);
    auto subtracted = std::make_unique<std::uint16_t[]>(count);
    const cathrt::StoredFrame frame{reinterpret_cast<const std::byte*>(pixels.get()),
                                    static_cast<std::ptrdiff_t>(sizeof(Stored)) * columns,
                                    rows,
                                    columns,
                                    sizeof(Stored) == 2,
                                    static_cast<std::uint16_t>((1U << bits) - 1U),
                                    nullptr};
    cathrt::TemporalFilter filter(rows, columns, bits, {4.0F, 1.0F, 0.2F, 0.8F, 0.4F, 5.0F});
    const bool linear = pick(0, 1) == 1;
    cathrt::MaskSubtraction subtraction(rows, columns, bits, {linear, linear ? 500.0F : 1.0F, 2048.0F, 12});
    for (int number = 0; number < 3; ++number) {
        for (std::size_t i = 0; i < count; ++i) pixels[i] = static_cast<Stored>(rng());
        filter.run(frame, filtered.get());
        subtraction.add_mask_frame(frame);
    }
    const double side = std::max(rows, columns);
    for (const double shift : {0.0, 0.25, -1.5, side - 0.5, -side, 1e9, -1e9})
        subtraction.run(frame, shift, -0.7 * shift, subtracted.get());
    const int tiles = pick(1, 9);
    const bool divide = rows % tiles == 0 && columns % tiles == 0;
    cathrt::Clahe clahe(cathrt::tiled_side(rows, tiles, divide), cathrt::tiled_side(columns, tiles, divide), bits,
                        0.5 * pick(0, 80));
    clahe.run(frame, reinterpret_cast<std::byte*>(filtered.get()), frame.row_stride);
}

}  // namespace

int main(int argc, char**) {
    // With any argument: prove that the sanitizer is awake by reading past a buffer.
    if (argc > 1) {
        auto bytes = std::make_unique<char[]>(8);
        volatile int index = 8 + argc - 2;
        return bytes[static_cast<std::size_t>(index)];
    }
    const int sizes[][4] = {{1, 1, 224, 224},  {1, 7, 3, 5},         {7, 1, 1, 1},       {31, 17, 64, 97},
                            {97, 513, 33, 65}, {512, 512, 224, 224}, {509, 1021, 64, 7}, {300, 300, 300, 300}};
    int runs = 0;
    for (const auto& size : sizes) {
        for (int bits = 8; bits <= 16; bits += 2) {
            for (int repeat = 0; repeat < 6; ++repeat, ++runs) {
                run<std::uint16_t>(size[0], size[1], size[2], size[3], bits);
                if (bits == 8) run<std::uint8_t>(size[0], size[1], size[2], size[3], bits);
                if (repeat > 0) continue;
                run_frame_filters<std::uint16_t>(size[0], size[1], bits);
                if (bits == 8) run_frame_filters<std::uint8_t>(size[0], size[1], bits);
            }
        }
    }
    std::printf("%d\n", runs);
    return 0;
}
