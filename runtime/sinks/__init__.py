"""Where durable records go."""
