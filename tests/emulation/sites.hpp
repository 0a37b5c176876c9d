// Sites: every barrier, bound test, atomic and fence of a kernel, where it stands and how often it was executed. Each
// can be mutated, one at a time, to see that a test notices: what that means is said where the site is used.
#pragma once

#include <atomic>
#include <source_location>
#include <string>

namespace cathrt::emulation {

enum class Kind : unsigned char { barrier, bound, atomic, fence };

// One for every place in the source and, in a template, for every instantiation. Constant-initialised: no guard, no
// order between threads. The atomics are relaxed, plain moves to the CPU; ThreadSanitizer sees that no race is meant.
struct Site {
    constexpr Site(Kind kind_of, std::source_location stands) : where(stands), kind(kind_of) {}

    std::source_location where;
    Kind kind;
    std::atomic<unsigned long long> executed{0};
    std::atomic<bool> mutated{false};
    Site* next = nullptr;  // in the list of all that were ever executed
};

void enlist(Site& site);
std::string name_of(const Site& site);  // "<kind> <file>:<line>:<column>"
Site* all_sites();

// Mutates all instantiations of the site of that name, executed already or not, and no other. Empty: none at all.
void mutate(const std::string& name);

// Counts an execution; true when this one is to go wrong.
inline bool goes_wrong(Site& site) {
    const unsigned long long before = site.executed.load(std::memory_order_relaxed);
    if (before == 0) [[unlikely]]
        enlist(site);
    site.executed.store(before + 1, std::memory_order_relaxed);
    return site.mutated.load(std::memory_order_relaxed);
}

}  // namespace cathrt::emulation

// A reference to the site of the outermost macro's place in the source.
#define CATHRT_SITE(kind)                                                                 \
    (*({                                                                                  \
        static constinit ::cathrt::emulation::Site site(::cathrt::emulation::Kind::kind,  \
                                                        std::source_location::current()); \
        &site;                                                                            \
    }))
