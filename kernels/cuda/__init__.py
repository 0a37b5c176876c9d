"""The CUDA kernels' host side: how each is launched (one file an op), and the stream they are launched on.

Importing it needs no CUDA: only driver.py, when a stream is opened, asks for cuda-core and a driver.
"""
