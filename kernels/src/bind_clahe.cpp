#include "bindings.hpp"

namespace cathrt {

void bind_clahe(nanobind::module_&) {}

}  // namespace cathrt
