"""The demonstration report model: phantom key frames and reports of their truth in, Hugging Face folders out."""
