"""The DICOM listener: receives objects by C-STORE and makes them durable before it answers. Not for: reading pixels."""
