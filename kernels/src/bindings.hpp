// One function an op: adds its classes and functions to the Python module.
#pragma once

#include <nanobind/nanobind.h>

namespace cathrt {

void bind_ingest(nanobind::module_& module);
void bind_temporal(nanobind::module_& module);
void bind_clahe(nanobind::module_& module);
void bind_subtraction(nanobind::module_& module);
void bind_repeats(nanobind::module_& module);
void bind_clip(nanobind::module_& module);
void bind_vesselness(nanobind::module_& module);

}  // namespace cathrt
