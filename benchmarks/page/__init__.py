"""python -m benchmarks.page: from verdict to picture at the browsers, and what they cost the live line."""
