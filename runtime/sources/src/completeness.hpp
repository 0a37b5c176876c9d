// Whether a code stream is whole: every coded sample is walked over, none is decoded. Decoders draw a picture from what
// is left of a stream and say nothing; this is how we know.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>

namespace cathrt::sources {

using Bytes = std::span<const std::uint8_t>;

// The stream is not whole, or is not one. The message says what was found and where.
struct NotWhole : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Huffman coded JPEG: sequential, progressive and lossless. Every scan holds all its samples, restart intervals follow
// each other, every coefficient is there at full precision, and the end marker follows. Returns the position after it;
// what comes there is ignored. Source: ITU-T T.81 annexes B, F, G, H.
std::size_t check_jpeg(Bytes stream);

// JPEG 2000 and HTJ2K of one component: tile parts follow each other up to the end marker, every packet of every tile
// is there with all the bytes that its header announces. What comes after the end marker is ignored.
// Source: ITU-T T.800 annexes A and B, T.814 annex B.
void check_jpeg2000(Bytes stream);

// RLE of DICOM: as many segments as a sample has bytes, each of which comes to all samples and no more.
// Source: DICOM PS3.5 annex G.
void check_rle(Bytes stream, std::size_t samples, std::size_t segments);

inline void require(bool fits, const char* message) {
    if (!fits) throw NotWhole(message);
}
// Puts the message together each time: not for what is asked of every byte.
inline void require(bool fits, const std::string& message) {
    if (!fits) throw NotWhole(message);
}

// Big-endian numbers of a stream. Raises NotWhole past its end.
class Reader {
  public:
    explicit Reader(Bytes bytes, std::size_t position = 0) : bytes_(bytes), position_(position) {}

    std::size_t position() const { return position_; }
    std::size_t left() const { return bytes_.size() - position_; }
    void seek(std::size_t position) { position_ = position; }

    unsigned byte() {
        require(left() >= 1, "the stream ends inside its headers");
        return bytes_[position_++];
    }
    unsigned word() {
        const unsigned high = byte();
        return high << 8 | byte();
    }
    std::uint32_t long_word() {
        const std::uint32_t high = word();
        return high << 16 | word();
    }
    Bytes take(std::size_t count) {
        require(left() >= count, "the stream ends inside its headers");
        position_ += count;
        return bytes_.subspan(position_ - count, count);
    }

  private:
    Bytes bytes_;
    std::size_t position_;
};

}  // namespace cathrt::sources
