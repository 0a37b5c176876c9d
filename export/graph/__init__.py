"""ONNX graphs: passes that change one without changing what it computes."""
