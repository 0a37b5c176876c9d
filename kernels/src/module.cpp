// The Python module of the CPU twins. What the arguments mean is in the headers of the ops.
// The interpreter lock stays held: a call is shorter than waiting for the lock again.
#include "bindings.hpp"

NB_MODULE(_kernels, module) {
    module.doc() = "CPU twins of the cathrt preprocessing kernels; truth and meaning: cathrt.kernels.reference.";
    cathrt::bind_ingest(module);
    cathrt::bind_temporal(module);
    cathrt::bind_clahe(module);
    cathrt::bind_subtraction(module);
    cathrt::bind_repeats(module);
    cathrt::bind_collimator(module);
    cathrt::bind_clip(module);
}
