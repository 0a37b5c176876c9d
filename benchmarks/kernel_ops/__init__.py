"""What benchmarks.kernels times, one file an op: its cases, ours and the peers, each checked before it is timed."""
