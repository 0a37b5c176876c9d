// Packet headers, for jpeg2000_tile.cpp: what they say of each code-block, and how many bytes follow.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "jpeg2000_header.hpp"

namespace cathrt::sources {

constexpr unsigned kBypass = 1, kTermination = 4, kHighThroughput = 0x40, kMixed = 0x80;  // code-block styles

// The bits of a packet header: after a byte FF the next has seven.
class HeaderBits {
  public:
    explicit HeaderBits(Bytes bytes) : bytes_(bytes) {}

    unsigned bit() {
        if (count_ == 0) read_byte();
        return current_ >> --count_ & 1U;
    }
    std::uint64_t bits(unsigned width) {
        std::uint64_t value = 0;
        for (unsigned i = 0; i < width; ++i) value = value << 1 | bit();
        return value;
    }
    // Bytes of the header; it ends with a whole byte that is not FF.
    std::size_t finish() {
        if (current_ == 0xFF) read_byte();
        return position_;
    }

  private:
    void read_byte() {
        require(position_ < bytes_.size(), "it is cut off inside its header");
        count_ = current_ == 0xFF ? 7 : 8;
        current_ = bytes_[position_++];
    }

    Bytes bytes_;
    std::size_t position_ = 0;
    unsigned current_ = 0;
    unsigned count_ = 0;  // bits of current_ that were not read
};

// T.800 B.10.2.
class TagTree {
  public:
    TagTree(std::size_t width, std::size_t height) {
        for (;; width = (width + 1) / 2, height = (height + 1) / 2) {
            levels_.push_back({nodes_.size(), width});
            nodes_.resize(nodes_.size() + width * height);
            if (width * height <= 1) break;
        }
    }

    // Whether the value of a leaf is below the threshold; reads as few bits as tell.
    bool below(std::size_t x, std::size_t y, unsigned threshold, HeaderBits& bits) {
        unsigned low = 0;
        const Node* node = nullptr;
        for (std::size_t level = levels_.size(); level-- > 0;) {
            const auto [first, width] = levels_[level];
            Node& here = nodes_[first + (y >> level) * width + (x >> level)];
            here.low = std::max(here.low, low);
            while (here.low < threshold && !here.known) {
                if (bits.bit() != 0) {
                    here.known = true;
                } else {
                    ++here.low;
                }
            }
            low = here.low;
            node = &here;
        }
        return node->known && node->low < threshold;
    }

  private:
    struct Node {
        unsigned low = 0;  // the value where it is known, else a lower bound
        bool known = false;
    };
    std::vector<std::pair<std::size_t, std::size_t>> levels_;  // leaves first: where they begin, and how wide
    std::vector<Node> nodes_;
};

struct CodeBlock {
    unsigned length_bits = 3;
    unsigned passes = 0;  // so far
};

// The code-blocks of one precinct in one sub-band.
struct BandPart {
    BandPart(std::size_t columns, std::size_t rows)
        : across(columns), blocks(columns * rows), included(columns, rows), zero_planes(columns, rows) {}

    std::size_t across;
    std::vector<CodeBlock> blocks;
    TagTree included, zero_planes;
};

struct Precinct {
    unsigned layers = 0;  // that were read
    std::vector<BandPart> bands;
};

// Reads the header of this layer of a precinct; returns the bytes of coded data that it announces.
// Source: T.800 B.10, T.814 B.3.
std::uint64_t read_packet_header(const CodingStyle& style, Precinct& precinct, unsigned layer, HeaderBits& bits);

}  // namespace cathrt::sources
