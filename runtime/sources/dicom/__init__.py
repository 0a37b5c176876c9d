"""Reading DICOM runs, inside the decoder process."""
