"""The page: what people see of the line, and its API. Not for: programs that read journals (gateway/)."""
