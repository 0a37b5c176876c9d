"""Pictures of live sources on their way to people: a ring in shared memory for each source, and greys for the eye."""
