#include "bindings.hpp"

namespace cathrt {

void bind_clip(nanobind::module_&) {}

}  // namespace cathrt
