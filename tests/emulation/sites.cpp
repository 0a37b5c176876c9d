// The list of executed sites: see sites.hpp.
#include "sites.hpp"

#include <cstring>

namespace cathrt::emulation {
namespace {

Site* first = nullptr;
std::string mutated_name;

}  // namespace

std::string name_of(const Site& site) {
    static constexpr const char* kinds[] = {"barrier", "bound", "atomic", "fence"};
    const char* path = site.where.file_name();
    const char* slash = std::strrchr(path, '/');
    return std::string(kinds[static_cast<unsigned>(site.kind)]) + " " + (slash == nullptr ? path : slash + 1) + ":" +
           std::to_string(site.where.line()) + ":" + std::to_string(site.where.column());
}

void enlist(Site& site) {
    site.next = first;
    first = &site;
    site.mutated.store(!mutated_name.empty() && name_of(site) == mutated_name, std::memory_order_relaxed);
}

Site* all_sites() { return first; }

void mutate(const std::string& name) {
    mutated_name = name;
    for (Site* site = first; site != nullptr; site = site->next) {
        site->mutated.store(!name.empty() && name_of(*site) == name, std::memory_order_relaxed);
    }
}

}  // namespace cathrt::emulation
