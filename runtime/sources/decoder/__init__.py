"""The confined process that decodes files, and the source that speaks to it."""
