"""Traces: what a box did in a window of time, drawn from its journals afterwards. Not for: figures (metrics/)."""
