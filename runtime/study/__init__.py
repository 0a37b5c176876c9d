"""Confirmed results: received objects and files of watched folders, each judged once. Not for: judging (line/)."""
