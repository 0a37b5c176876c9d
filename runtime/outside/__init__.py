"""What comes from outside, in words: documents that do not fit their schema, text that is not fit to be shown."""
