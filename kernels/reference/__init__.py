"""NumPy truth for every kernel op, one file each, written to be read: the C++ and CUDA twins are tested against it."""
