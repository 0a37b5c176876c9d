// The Python face of the CPU twins: argument checks and one call each.
#include <nanobind/nanobind.h>

NB_MODULE(_kernels, module) { module.doc() = "CPU twins of the cathrt preprocessing kernels."; }
