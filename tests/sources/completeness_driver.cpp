// Runs the completeness checks over damaged copies of the streams named on the command line, each in a heap buffer of
// its exact size, so that AddressSanitizer and UBSan see any step outside. Built by test_completeness_memory.py.
// Arguments: how many copies of each, then the files. Prints how many were whole and how many were not.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <vector>

#include "completeness.hpp"

namespace {

using cathrt::sources::Bytes;
std::mt19937 rng(20);

std::size_t pick(std::size_t low, std::size_t high) {
    return std::uniform_int_distribution<std::size_t>(low, high)(rng);
}

// Some bytes overwritten (often in the header, where the structure is), left out or doubled, and the end cut off.
std::vector<std::uint8_t> damaged(std::vector<std::uint8_t> stream) {
    for (std::size_t i = pick(0, 4); i > 0 && stream.size() > 8; --i) {
        const std::size_t reach = pick(0, 2) == 0 ? stream.size() : std::min<std::size_t>(stream.size(), 200);
        const std::size_t at = pick(2, reach - 1);
        const std::size_t count = std::min(pick(1, 8), stream.size() - at);
        const auto from = stream.begin() + static_cast<std::ptrdiff_t>(at);
        const auto to = from + static_cast<std::ptrdiff_t>(count);
        switch (pick(0, 3)) {
            case 0:
                stream[at] = static_cast<std::uint8_t>(rng());
                break;
            case 1:
                stream[at] = static_cast<std::uint8_t>(stream[at] ^ (1U << pick(0, 7)));
                break;
            case 2:
                stream.erase(from, to);
                break;
            default: {
                const std::vector<std::uint8_t> copy(from, to);
                stream.insert(from, copy.begin(), copy.end());
            }
        }
    }
    if (pick(0, 2) == 0) stream.resize(pick(0, stream.size()));
    return stream;
}

bool whole(const std::vector<std::uint8_t>& stream) {
    const auto exact = std::make_unique<std::uint8_t[]>(stream.size());
    std::copy(stream.begin(), stream.end(), exact.get());
    const Bytes bytes(exact.get(), stream.size());
    try {
        if (stream.size() > 1 && stream[0] == 0xFF) {
            if (stream[1] == 0x4F) {
                cathrt::sources::check_jpeg2000(bytes);
            } else {
                cathrt::sources::check_jpeg(bytes);
            }
        } else {
            cathrt::sources::check_rle(bytes, std::size_t{97} * 131, pick(1, 2));
        }
        return true;
    } catch (const cathrt::sources::NotWhole&) {
        return false;
    }
}

}  // namespace

int main(int count, char** arguments) {
    const int copies = std::atoi(arguments[1]);
    if (copies == 0) {  // shows that the sanitizer notices
        const auto one = std::make_unique<std::uint8_t[]>(1);
        cathrt::sources::check_rle(Bytes(one.get(), 64), 1, 1);
    }
    int counts[2] = {0, 0};
    for (int i = 2; i < count; ++i) {
        std::ifstream file(arguments[i], std::ios::binary);
        const std::vector<std::uint8_t> stream((std::istreambuf_iterator<char>(file)), {});
        for (int copy = 0; copy < copies; ++copy) ++counts[whole(damaged(stream)) ? 0 : 1];
    }
    std::printf("%d %d\n", counts[0], counts[1]);
}
