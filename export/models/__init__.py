"""Network definitions with the key layout of published checkpoints (PyTorch)."""
