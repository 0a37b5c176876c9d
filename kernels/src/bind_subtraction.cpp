#include "bindings.hpp"

namespace cathrt {

void bind_subtraction(nanobind::module_&) {}

}  // namespace cathrt
