"""The demonstration study reader: generated patients, training, figures and model card. Not for: clinical weights."""
