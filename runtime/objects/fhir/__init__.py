"""FHIR: a study's results as a transaction of R4 or R5 resources, and what a server answered to it."""
