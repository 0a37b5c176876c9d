"""Writing bundles: signing, joining."""
