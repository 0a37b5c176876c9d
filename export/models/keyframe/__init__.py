"""The keyframe model: ConvNeXt weights to a graph, and what its answers must keep."""
