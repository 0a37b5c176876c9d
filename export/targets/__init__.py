"""What a graph is built for beyond ONNX itself: one file a target. Vendors are imported in their child process only."""
