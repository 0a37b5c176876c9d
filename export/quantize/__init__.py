"""Float graphs to int8 graphs, with calibration frames."""
