// The markers of a JPEG stream, its tables, and what its scans have coded in the end.
#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "completeness.hpp"
#include "jpeg_scan.hpp"
#include "jpeg_standard_tables.hpp"

namespace cathrt::sources {
namespace {

constexpr unsigned kSoi = 0xD8, kEoi = 0xD9, kSos = 0xDA, kDht = 0xC4, kDri = 0xDD;

std::size_t ceil_divide(std::size_t value, std::size_t by) { return (value + by - 1) / by; }

class Stream {
  public:
    explicit Stream(Bytes bytes) : bytes_(bytes), reader_(bytes) {}

    std::size_t check() {
        require(marker() == kSoi, "no JPEG stream: it does not begin with SOI");
        for (unsigned code = marker(); code != kEoi; code = marker()) {
            if (code == 0x01 || (code >= 0xD0 && code <= 0xD7)) continue;  // they have no length; none is due here
            const std::size_t length = reader_.word();
            require(length >= 2, "a marker segment of " + std::to_string(length) + " bytes");
            Reader segment(reader_.take(length - 2));
            if (code == kSos) {
                reader_.seek(walk_scan(read_scan(segment), bytes_, reader_.position()));
            } else if (code == kDht) {
                while (segment.left() > 0) read_huffman_table(segment);
            } else if (code == kDri) {
                restart_interval_ = segment.word();
            } else if (code >= 0xC0 && code <= 0xCF && code != 0xC8 && code != 0xCC) {
                read_frame(code, segment);
            }
        }
        require_every_coefficient();
        return reader_.position();
    }

  private:
    // The next marker's code; there may be fill bytes before it.
    unsigned marker() {
        require(reader_.left() >= 2, "no end marker (EOI)");
        require(reader_.byte() == 0xFF, "no marker at byte " + std::to_string(reader_.position() - 1));
        unsigned code = 0xFF;
        while (code == 0xFF) code = reader_.byte();
        return code;
    }

    void read_huffman_table(Reader& segment) {
        const unsigned kind = segment.byte();
        require(kind >> 4 <= 1 && (kind & 15) <= 3, "Huffman table " + std::to_string(kind) + ", which JPEG has not");
        const Bytes lengths = segment.take(16);
        std::size_t count = 0;
        for (const unsigned number : lengths) count += number;
        require(count <= 256, "a Huffman table of " + std::to_string(count) + " codes, expected at most 256");
        (kind >> 4 == 0 ? dc_ : ac_)[kind & 15].define(lengths, segment.take(count));
    }

    void read_frame(unsigned code, Reader& segment) {
        require(components_.empty(), "a second frame header (SOF)");
        require(code <= 0xC3, "a JPEG process (SOF" + std::to_string(code - 0xC0) + ") that DICOM does not use");
        process_ = code == 0xC3 ? Process::lossless : code == 0xC2 ? Process::progressive : Process::sequential;
        segment.byte();  // precision
        const std::size_t rows = segment.word(), columns = segment.word(), count = segment.byte();
        require(rows > 0 && columns > 0 && count >= 1 && count <= 4,
                "an empty frame, or one of more than 4 components");
        components_.resize(count);
        std::size_t most_across = 1, most_down = 1;
        for (Component& component : components_) {
            component.id = segment.byte();
            const unsigned sampling = segment.byte();
            component.across = sampling >> 4;
            component.down = sampling & 15;
            require(component.across - 1 < 4 && component.down - 1 < 4, "a sampling factor outside 1 to 4");
            most_across = std::max(most_across, component.across);
            most_down = std::max(most_down, component.down);
            segment.byte();  // quantisation table
        }
        const std::size_t unit = process_ == Process::lossless ? 1 : 8;
        mcu_columns_ = ceil_divide(columns, unit * most_across);
        mcu_rows_ = ceil_divide(rows, unit * most_down);
        for (Component& component : components_) {
            component.columns = ceil_divide(ceil_divide(columns * component.across, most_across), unit);
            component.rows = ceil_divide(ceil_divide(rows * component.down, most_down), unit);
            component.stride = mcu_columns_ * component.across;
            component.precision.fill(-1);
            if (process_ == Process::progressive) {
                component.non_zero.resize(component.stride * mcu_rows_ * component.down);
            }
        }
    }

    Scan read_scan(Reader& segment) {
        require(!components_.empty(), "a scan before the frame header (SOF)");
        Scan scan{process_, {}, {}, {}, 0, 63, 0, 0, mcu_columns_, mcu_rows_, restart_interval_};
        const unsigned count = segment.byte();
        require(count >= 1 && count <= 4, "a scan of " + std::to_string(count) + " components, expected 1 to 4");
        for (unsigned i = 0; i < count; ++i) {
            const unsigned id = segment.byte(), tables = segment.byte();
            const auto found = std::find_if(components_.begin(), components_.end(),
                                            [id](const Component& component) { return component.id == id; });
            require(found != components_.end(), "a scan of a component that the frame has not");
            require((tables >> 4) <= 3 && (tables & 15) <= 3, "a scan with a Huffman table that JPEG has not");
            scan.components.push_back(&*found);
            scan.dc.push_back(&dc_[tables >> 4]);
            scan.ac.push_back(&ac_[tables & 15]);
        }
        if (count == 1) {
            scan.mcu_columns = scan.components[0]->columns;
            scan.mcu_rows = scan.components[0]->rows;
        }
        const unsigned first = segment.byte(), last = segment.byte(), bits = segment.byte();
        if (process_ == Process::progressive) {
            scan.first = first;
            scan.last = last;
            scan.high = bits >> 4;
            scan.low = bits & 15;
            require(first <= last && last <= 63 && (first == 0 ? last == 0 : count == 1),
                    "a progressive scan of coefficients " + std::to_string(first) + " to " + std::to_string(last) +
                        " of " + std::to_string(count) + " components");
        }
        define_standard_tables();
        require_tables(scan);
        note_precision(scan);
        return scan;
    }

    void define_standard_tables() {
        if (process_ == Process::lossless) return;
        const std::array<std::pair<HuffmanTable*, Bytes>, 4> standard{
            {{&dc_[0], kDcFirst}, {&ac_[0], kAcFirst}, {&dc_[1], kDcSecond}, {&ac_[1], kAcSecond}}};
        for (const auto& [table, bytes] : standard) {
            if (!table->defined()) table->define(bytes.first(16), bytes.subspan(16));
        }
    }

    void require_tables(const Scan& scan) const {
        const bool refines_dc = scan.first == 0 && scan.high != 0;
        for (std::size_t i = 0; i < scan.components.size(); ++i) {
            if (scan.first == 0 && !refines_dc) {
                require(scan.dc[i]->defined(), "a scan with a Huffman table that is not defined");
                require(scan.dc[i]->largest_symbol() <= (process_ == Process::lossless ? 16U : 15U),
                        "a Huffman table with differences of more than 16 bits");
            }
            if (process_ != Process::lossless && scan.last != 0) {
                require(scan.ac[i]->defined(), "a scan with a Huffman table that is not defined");
            }
        }
    }

    // Raises NotWhole where a progressive scan builds on one that is not there.
    void note_precision(const Scan& scan) const {
        for (Component* component : scan.components) {
            for (unsigned k = scan.first; k <= scan.last; ++k) {
                const int expected = scan.high == 0 ? -1 : static_cast<int>(scan.high);
                require(process_ != Process::progressive || component->precision[k] == expected,
                        "a progressive scan that builds on a missing one ends before byte " +
                            std::to_string(reader_.position()));
                component->precision[k] = static_cast<int>(scan.low);
            }
        }
    }

    void require_every_coefficient() const {
        require(!components_.empty(), "no frame header (SOF) before the end marker");
        for (const Component& component : components_) {
            const auto missing = std::count_if(component.precision.begin(), component.precision.end(),
                                               [](int lowest) { return lowest != 0; });
            require(missing == 0, "scans are missing: component " + std::to_string(component.id) + " has " +
                                      std::to_string(64 - missing) + " of 64 coefficients at full precision");
        }
    }

    Bytes bytes_;
    Reader reader_;
    Process process_ = Process::sequential;
    std::vector<Component> components_;
    std::size_t mcu_columns_ = 0, mcu_rows_ = 0;
    std::size_t restart_interval_ = 0;
    std::array<HuffmanTable, 4> dc_, ac_;
};

}  // namespace

std::size_t check_jpeg(Bytes stream) { return Stream(stream).check(); }

}  // namespace cathrt::sources
