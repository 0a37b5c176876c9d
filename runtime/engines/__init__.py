"""Back-ends: each knows tensors, none knows a model."""
