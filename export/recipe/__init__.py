"""From weights to signed bundles, stage by stage."""
