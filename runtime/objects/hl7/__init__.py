"""HL7 v2.5.1: a study's results as an ORU^R01 message, and MLLP, over which it is sent and acknowledged."""
