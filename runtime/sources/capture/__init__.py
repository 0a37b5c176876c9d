"""Live sources: taps, and the thread that reads one for ever. Vendors are imported inside the file that needs them."""
