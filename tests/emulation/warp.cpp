// Meetings of a warp's lanes: see warp.hpp.
#include "warp.hpp"

#include <algorithm>
#include <iterator>
#include <string>

namespace cathrt::emulation {

void Warp::begin(unsigned lanes) {
    live_ = lanes == warp_lanes ? ~0u : (1u << lanes) - 1;
    for (const auto& meeting : meetings_) meeting->arrived = 0;
}

Meeting& Warp::arrive(unsigned lane, WarpOperation operation, unsigned mask, std::uint64_t given) {
    if (!(mask >> lane & 1)) fail("its own lane " + std::to_string(lane) + " is not in the mask of a warp operation");
    Meeting* meeting = nullptr;
    for (const auto& other : meetings_) {
        if (other->mask == mask) {
            meeting = other.get();
        } else if (other->arrived & mask) {
            fail("lanes of one warp meet with different masks");
        }
    }
    if (meeting == nullptr) {
        meetings_.push_back(std::make_unique<Meeting>());
        meeting = meetings_.back().get();
        meeting->mask = mask;
    }
    if (meeting->arrived != 0 && meeting->operation != operation)
        fail("lanes of one warp meet in different operations");
    meeting->operation = operation;
    meeting->arriving[lane] = given;
    meeting->arrived |= 1u << lane;
    return *meeting;
}

unsigned Warp::end_complete_meetings() {
    unsigned released = 0;
    for (const auto& meeting : meetings_) {
        if (meeting->arrived == 0 || (meeting->arrived & live_) != (meeting->mask & live_)) continue;
        std::copy(std::begin(meeting->arriving), std::end(meeting->arriving), meeting->given);
        meeting->present = meeting->arrived;
        meeting->arrived = 0;
        released |= meeting->present;
    }
    return released;
}

}  // namespace cathrt::emulation
