// Huffman tables and the bits of one entropy-coded segment, for jpeg_scan.cpp.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <vector>

#include "completeness.hpp"

namespace cathrt::sources {

// One segment without its stuffed zeros, read from the left. Past its end the bits are zero; overrun() tells.
class Bits {
  public:
    // Zero bytes that follow the segment in memory. overrun() is asked before as many, less 16, are skipped past it.
    static constexpr std::size_t kPadding = 512;

    Bits(const std::uint8_t* first, std::size_t size) : next_(first), end_(first + size) { refill(); }

    // After it at least 56 bits can be looked at and skipped.
    void refill() {
        std::uint64_t word;
        std::memcpy(&word, next_, sizeof word);
        if constexpr (std::endian::native == std::endian::little) word = __builtin_bswap64(word);
        bits_ |= word >> count_;
        next_ += (63 - count_) >> 3;
        count_ |= 56;
    }
    unsigned peek(unsigned width) const { return static_cast<unsigned>(bits_ >> (64 - width)); }
    void skip(unsigned width) {
        bits_ <<= width;
        count_ -= width;
    }
    unsigned take(unsigned width) {
        if (width == 0) return 0;
        const unsigned value = peek(width);
        skip(width);
        return value;
    }
    // Bits that were not skipped; below zero once more were skipped than the segment has.
    std::int64_t left() const { return (end_ - next_) * 8 + static_cast<std::int64_t>(count_); }
    bool overrun() const { return left() < 0; }

  private:
    const std::uint8_t* next_;
    const std::uint8_t* end_;
    std::uint64_t bits_ = 0;
    unsigned count_ = 0;  // of the bits in bits_ that were read for good
};

// The coded data hold bits that are no code of their table.
struct NoSuchCode {};

constexpr unsigned kEndOfBlock = 128;  // farther than any run of coefficients leads

// A Huffman table as DHT declares it.
class HuffmanTable {
  public:
    static constexpr unsigned kLook = 11;  // bits that one look-up decides

    // What a code of at most kLook bits stands for; length 0 for a longer one.
    struct Entry {
        std::uint8_t length;
        std::uint8_t symbol;
        std::uint8_t ac_bits;     // code and value bits of an AC coefficient
        std::uint8_t ac_advance;  // coefficients that it passes over, itself included, or kEndOfBlock
    };

    // lengths: how many codes have 1 to 16 bits. symbols: one for each code.
    void define(Bytes lengths, Bytes symbols);
    bool defined() const { return !symbols_.empty(); }
    unsigned largest_symbol() const { return largest_; }

    const Entry& look(unsigned bits) const { return look_[bits]; }
    // What the next code stands for; needs 16 bits after a refill and skips nothing.
    Entry next(const Bits& bits) const {
        const Entry& entry = look_[bits.peek(kLook)];
        return entry.length != 0 ? entry : long_code(bits.peek(16));
    }
    // Skips the next code.
    unsigned symbol(Bits& bits) const {
        const Entry entry = next(bits);
        bits.skip(entry.length);
        return entry.symbol;
    }

  private:
    Entry long_code(unsigned bits) const;

    unsigned largest_ = 0;
    std::vector<Entry> look_;
    std::array<std::uint32_t, 17> first_code_{}, code_count_{}, first_index_{};  // by length
    std::vector<std::uint8_t> symbols_;
};

}  // namespace cathrt::sources
