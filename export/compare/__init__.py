"""Two bundles, or two engines of one bundle, on the same runs: what they agree on, and how fast each is."""
