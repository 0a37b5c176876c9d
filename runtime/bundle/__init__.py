"""The bundle: a signed folder with a model and everything that the runtime must know of it."""
