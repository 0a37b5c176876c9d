// The Python module of the CPU twins. What the arguments mean is in the headers of the ops.
// The interpreter lock stays held: a call is shorter than waiting for the lock again.
#include "bindings.hpp"

NB_MODULE(_kernels, module) {
    // A Window that a Python module keeps as a constant lives as long as the process: no leak, and nothing to print.
    nanobind::set_leak_warnings(false);
    module.doc() = "CPU twins of the cathrt preprocessing kernels; truth and meaning: cathrt.kernels.reference.";
    cathrt::bind_ingest(module);
    cathrt::bind_temporal(module);
    cathrt::bind_clahe(module);
    cathrt::bind_subtraction(module);
    cathrt::bind_repeats(module);
    cathrt::bind_clip(module);
    cathrt::bind_vesselness(module);
}
