"""ONNX graphs of the encoder and the head, written straight from their weights. No torch in here."""
