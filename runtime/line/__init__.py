"""The line: one run in, one verdict per frame out. pipeline.py is the place to begin."""
