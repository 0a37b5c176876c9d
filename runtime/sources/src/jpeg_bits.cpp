// Huffman tables: a look-up for short codes, the canonical order of T.81 annex C for long ones.
#include "jpeg_bits.hpp"

#include <algorithm>

namespace cathrt::sources {
namespace {

HuffmanTable::Entry entry_of(unsigned length, unsigned symbol) {
    const unsigned run = symbol >> 4, size = symbol & 15;
    const unsigned advance = size != 0 ? run + 1 : run == 15 ? 16 : kEndOfBlock;
    return {static_cast<std::uint8_t>(length), static_cast<std::uint8_t>(symbol),
            static_cast<std::uint8_t>(length + size), static_cast<std::uint8_t>(advance)};
}

}  // namespace

void HuffmanTable::define(Bytes lengths, Bytes symbols) {
    look_.assign(std::size_t{1} << kLook, {0, 0, 0, 0});
    symbols_.assign(symbols.begin(), symbols.end());
    largest_ = symbols_.empty() ? 0 : *std::max_element(symbols_.begin(), symbols_.end());
    std::uint32_t code = 0, index = 0;
    for (unsigned length = 1; length <= 16; ++length) {
        const std::uint32_t count = lengths[length - 1];
        require(code + count <= std::uint32_t{1} << length, "a Huffman table has more codes than fit their lengths");
        first_code_[length] = code;
        first_index_[length] = index;
        code_count_[length] = count;
        for (std::uint32_t i = 0; length <= kLook && i < count; ++i) {
            const auto start = static_cast<std::ptrdiff_t>((code + i) << (kLook - length));
            std::fill_n(look_.begin() + start, std::size_t{1} << (kLook - length),
                        entry_of(length, symbols_[index + i]));
        }
        code = (code + count) << 1;
        index += count;
    }
}

HuffmanTable::Entry HuffmanTable::long_code(unsigned bits) const {
    for (unsigned length = kLook + 1; length <= 16; ++length) {
        const std::uint32_t code = bits >> (16 - length);
        if (code >= first_code_[length] && code - first_code_[length] < code_count_[length]) {
            return entry_of(length, symbols_[first_index_[length] + code - first_code_[length]]);
        }
    }
    throw NoSuchCode{};
}

}  // namespace cathrt::sources
