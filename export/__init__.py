"""From a checkpoint to a signed bundle. Needs the [export] extra; the runtime never imports it."""
