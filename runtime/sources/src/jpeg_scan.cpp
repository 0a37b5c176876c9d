// Lengths of codes are all that is looked at, with one exception: refining a progressive picture takes a bit for each
// coefficient that is not zero yet, so which are is kept. Lossless scans take several samples per look-up.
#include "jpeg_scan.hpp"

#include <algorithm>
#include <map>

namespace cathrt::sources {
namespace {

constexpr unsigned kWindow = 12;  // bits that one look-up takes symbols from

// The symbols whose codes end within a window.
struct Step {
    std::uint8_t bits;     // their codes and value bits; 0 where no code ends
    std::uint8_t advance;  // samples or coefficients that they pass over
    std::uint8_t before;   // the last of them begins after so many
};

std::vector<Step> steps_of(const HuffmanTable& table, bool lossless) {
    std::vector<Step> steps(std::size_t{1} << kWindow);
    for (unsigned window = 0; window < steps.size(); ++window) {
        unsigned at = 0, advance = 0, before = 0;
        while (at < kWindow && advance < 64) {
            const unsigned rest = window << at & ((1U << kWindow) - 1);
            const HuffmanTable::Entry& entry = table.look(rest >> (kWindow - HuffmanTable::kLook));
            if (entry.length == 0 || at + entry.length > kWindow) break;
            before = advance;
            at += lossless ? entry.length + (entry.symbol & 15U) : entry.ac_bits;
            advance += lossless ? 1U : entry.ac_advance;
        }
        steps[window] = {static_cast<std::uint8_t>(at), static_cast<std::uint8_t>(advance),
                         static_cast<std::uint8_t>(before)};
    }
    return steps;
}

class Walk {
  public:
    Walk(const Scan& scan, Bytes stream, std::size_t position) : scan_(scan), stream_(stream), position_(position) {}

    std::size_t run();

  private:
    void read_segment();
    void walk_interval(Bits& bits, std::size_t first, std::size_t count);
    void walk_samples(Bits& bits, std::size_t end);
    void walk_blocks(Bits& bits, std::size_t end);
    void walk_units(Bits& bits, std::size_t end);
    void walk_unit(Bits& bits, std::size_t component, std::size_t unit);
    void walk_first(Bits& bits, std::size_t component, std::size_t unit);
    void walk_refinement(Bits& bits, std::size_t component, std::size_t unit);
    void require_data(const Bits& bits) const;
    [[noreturn]] void ends_early() const;
    [[noreturn]] void damaged(const std::string& found) const;

    const Scan& scan_;
    Bytes stream_;
    std::size_t position_;
    std::vector<std::uint8_t> segment_;
    std::size_t segment_size_ = 0;
    std::map<const HuffmanTable*, std::vector<Step>>
        steps_;            // of a sequential scan, or a lossless one of one component
    std::size_t mcu_ = 0;  // that is being walked over
    std::size_t end_of_band_run_ = 0;
};

std::size_t Walk::run() {
    const std::size_t total = scan_.mcu_columns * scan_.mcu_rows;
    const std::size_t interval = scan_.restart_interval == 0 ? total : scan_.restart_interval;
    if (scan_.process == Process::lossless && scan_.components.size() == 1) {
        steps_.emplace(scan_.dc[0], steps_of(*scan_.dc[0], true));
    } else if (scan_.process == Process::sequential) {
        for (const HuffmanTable* table : scan_.ac) {
            if (!steps_.contains(table)) steps_.emplace(table, steps_of(*table, false));
        }
    }
    unsigned restarts = 0;
    for (std::size_t done = 0; done < total; done += interval) {
        read_segment();
        Bits bits(segment_.data(), segment_size_);
        end_of_band_run_ = 0;
        walk_interval(bits, done, std::min(interval, total - done));
        // One byte may pad the coded data to an even length, or fill the last one up.
        const std::int64_t over = bits.left() / 8;
        const unsigned last = segment_size_ > 0 ? segment_[segment_size_ - 1] : 0U;
        require(over == 0 || (over == 1 && (last == 0 || last == 0xFF)),
                std::to_string(over) + " bytes of coded data are left over at byte " + std::to_string(position_) +
                    ": data before them are damaged, or some are missing");
        if (done + interval >= total) break;
        const unsigned expected = 0xD0 + restarts++ % 8;
        require(position_ + 2 <= stream_.size() && stream_[position_ + 1] == expected,
                "restart marker RST" + std::to_string(expected - 0xD0) + " is missing at byte " +
                    std::to_string(position_));
        position_ += 2;
    }
    return position_;
}

// The coded data up to the next marker, without stuffed zeros and with zeros after it.
void Walk::read_segment() {
    segment_.resize(stream_.size() - position_ + Bits::kPadding);
    std::uint8_t* out = segment_.data();
    const std::uint8_t *in = stream_.data() + position_, *end = stream_.data() + stream_.size();
    while (in < end) {
        const auto* mark = static_cast<const std::uint8_t*>(std::memchr(in, 0xFF, static_cast<std::size_t>(end - in)));
        if (mark == nullptr) mark = end;
        out = std::copy(in, mark, out);
        in = mark;
        while (in < end && *in == 0xFF) ++in;  // fill bytes
        if (in == end || *in != 0) break;
        *out++ = 0xFF;
        ++in;
    }
    position_ = static_cast<std::size_t>(in - stream_.data()) - (in > stream_.data() && in[-1] == 0xFF ? 1 : 0);
    segment_size_ = static_cast<std::size_t>(out - segment_.data());
    std::fill_n(out, Bits::kPadding, std::uint8_t{0});
}

void Walk::walk_interval(Bits& bits, std::size_t first, std::size_t count) try {
    mcu_ = first;
    if (scan_.process == Process::sequential) {
        walk_blocks(bits, first + count);
    } else if (!steps_.empty()) {
        walk_samples(bits, first + count);
    } else {
        walk_units(bits, first + count);
        if (end_of_band_run_ > 0) damaged("a run of blocks beyond the last");
    }
} catch (const NoSuchCode&) {
    if (bits.left() < 16) ends_early();
    damaged("a code that no table has");
}

// A lossless scan of one component.
void Walk::walk_samples(Bits& bits, std::size_t end) {
    const HuffmanTable& table = *scan_.dc[0];
    const Step* steps = steps_.at(&table).data();
    const auto take_one = [&] {
        bits.skip(table.symbol(bits) & 15U);  // 16 stands for 32768 and has no value bits
        ++mcu_;
    };
    while (end - mcu_ > 2 * kWindow) {
        bits.refill();
        const Step one = steps[bits.peek(kWindow)];
        if (one.bits == 0) {
            take_one();
        } else {
            bits.skip(one.bits);
            const Step two = steps[bits.peek(kWindow)];
            bits.skip(two.bits);
            mcu_ += std::size_t{one.advance} + two.advance;
        }
        require_data(bits);
    }
    while (mcu_ < end) {
        bits.refill();
        take_one();
        require_data(bits);
    }
}

void Walk::walk_blocks(Bits& bits, std::size_t end) {
    struct Part {
        const HuffmanTable *dc, *ac;
        const Step* steps;
    };
    std::vector<Part> mcu;
    for (std::size_t c = 0; c < scan_.components.size(); ++c) {
        const Component& component = *scan_.components[c];
        const std::size_t blocks = scan_.components.size() == 1 ? 1 : component.across * component.down;
        mcu.insert(mcu.end(), blocks, Part{scan_.dc[c], scan_.ac[c], steps_.at(scan_.ac[c]).data()});
    }
    for (; mcu_ < end; ++mcu_) {
        for (const Part& part : mcu) {
            bits.refill();
            bits.skip(part.dc->symbol(bits));
            unsigned k = 1;
            while (k < 64) {
                bits.refill();
                const Step step = part.steps[bits.peek(kWindow)];
                if (step.bits != 0 && k + step.before < 64) {
                    bits.skip(step.bits);
                    k += step.advance;
                } else {
                    const HuffmanTable::Entry entry = part.ac->next(bits);
                    bits.skip(entry.ac_bits);
                    k += entry.ac_advance;
                }
            }
            require_data(bits);
            if (k > 64 && k < kEndOfBlock) damaged("a block of more than 64 coefficients");
        }
    }
}

void Walk::walk_units(Bits& bits, std::size_t end) {
    const bool alone = scan_.components.size() == 1;
    for (; mcu_ < end; ++mcu_) {
        const std::size_t row = mcu_ / scan_.mcu_columns, column = mcu_ % scan_.mcu_columns;
        for (std::size_t c = 0; c < scan_.components.size(); ++c) {
            const Component& component = *scan_.components[c];
            const std::size_t across = alone ? 1 : component.across, down = alone ? 1 : component.down;
            for (std::size_t y = row * down; y < (row + 1) * down; ++y) {
                for (std::size_t x = column * across; x < (column + 1) * across; ++x) {
                    walk_unit(bits, c, y * component.stride + x);
                    require_data(bits);
                }
            }
        }
    }
}

void Walk::walk_unit(Bits& bits, std::size_t component, std::size_t unit) {
    bits.refill();
    if (scan_.process == Process::lossless) {
        bits.skip(scan_.dc[component]->symbol(bits) & 15U);
    } else if (scan_.high == 0) {
        walk_first(bits, component, unit);
    } else {
        walk_refinement(bits, component, unit);
    }
}

// The first scan of these coefficients: T.81 G.1.2.1 and G.1.2.2.
void Walk::walk_first(Bits& bits, std::size_t component, std::size_t unit) {
    if (scan_.first == 0) {
        bits.skip(scan_.dc[component]->symbol(bits));
        return;
    }
    if (end_of_band_run_ > 0) {
        --end_of_band_run_;
        return;
    }
    const HuffmanTable& table = *scan_.ac[component];
    std::uint64_t& non_zero = scan_.components[component]->non_zero[unit];
    for (unsigned k = scan_.first; k <= scan_.last; ++k) {
        bits.refill();
        const unsigned symbol = table.symbol(bits), run = symbol >> 4, size = symbol & 15;
        if (size == 0 && run < 15) {
            end_of_band_run_ = (std::size_t{1} << run) + bits.take(run) - 1;
            return;
        }
        k += run;
        bits.skip(size);
        if (k > scan_.last) damaged("a band of too many coefficients");
        if (size != 0) non_zero |= std::uint64_t{1} << k;
    }
}

// One more bit of these coefficients: T.81 G.1.2.3.
void Walk::walk_refinement(Bits& bits, std::size_t component, std::size_t unit) {
    if (scan_.first == 0) {
        bits.skip(1);
        return;
    }
    const HuffmanTable& table = *scan_.ac[component];
    std::uint64_t& non_zero = scan_.components[component]->non_zero[unit];
    const auto is_set = [&](unsigned k) { return (non_zero >> k & 1) != 0; };
    unsigned k = scan_.first;
    for (; end_of_band_run_ == 0 && k <= scan_.last; ++k) {
        bits.refill();
        const unsigned symbol = table.symbol(bits), size = symbol & 15;
        unsigned run = symbol >> 4;
        if (size == 0 && run < 15) {
            end_of_band_run_ = (std::size_t{1} << run) + bits.take(run);
            break;
        }
        bits.skip(size == 0 ? 0 : 1);  // the sign of a new coefficient
        for (; k <= scan_.last; ++k) {
            if (!is_set(k) && run-- == 0) break;
            if (is_set(k)) {
                bits.refill();
                bits.skip(1);
            }
        }
        if (k > scan_.last) damaged("a band of too many coefficients");
        if (size != 0) non_zero |= std::uint64_t{1} << k;
    }
    if (end_of_band_run_ == 0) return;
    for (; k <= scan_.last; ++k) {
        bits.refill();
        bits.skip(is_set(k) ? 1 : 0);
    }
    --end_of_band_run_;
}

void Walk::require_data(const Bits& bits) const {
    if (bits.overrun()) ends_early();
}

void Walk::ends_early() const {
    throw NotWhole("coded data end at byte " + std::to_string(position_) + ", in MCU row " +
                   std::to_string(mcu_ / scan_.mcu_columns + 1) + " of " + std::to_string(scan_.mcu_rows));
}

void Walk::damaged(const std::string& found) const {
    throw NotWhole("coded data before byte " + std::to_string(position_) + " hold " + found +
                   ": they are damaged, or some are missing");
}

}  // namespace

std::size_t walk_scan(const Scan& scan, Bytes stream, std::size_t position) {
    return Walk(scan, stream, position).run();
}

}  // namespace cathrt::sources
