#include "bindings.hpp"

namespace cathrt {

void bind_repeats(nanobind::module_&) {}

}  // namespace cathrt
