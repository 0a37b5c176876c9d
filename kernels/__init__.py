"""Preprocessing kernels: NumPy reference, C++ CPU twins. Imports nothing else of cathrt."""
