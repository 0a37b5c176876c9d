#include "bindings.hpp"

namespace cathrt {

void bind_temporal(nanobind::module_&) {}

}  // namespace cathrt
