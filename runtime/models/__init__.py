"""Models: each knows what its tensors mean, none knows a back-end."""
