"""An engine held against its float32 network."""
