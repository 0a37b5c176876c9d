"""DICOM objects of a study's confirmed results."""
