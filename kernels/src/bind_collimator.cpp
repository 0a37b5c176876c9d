#include "bindings.hpp"

namespace cathrt {

void bind_collimator(nanobind::module_&) {}

}  // namespace cathrt
