"""De-identification of DICOM files by the Basic Profile of PS3.15 annex E, and a check that does not trust it."""
