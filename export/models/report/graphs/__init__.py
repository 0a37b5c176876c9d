"""ONNX graphs of the three networks of a Gemma3 model, written straight from its weights. No torch in here."""
