"""Studies on the page: what was found, read and drafted, and what people decide about it."""
