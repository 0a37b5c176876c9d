"""Drafts held against reference reports: facts, VLScore, and a form for blinded clinicians. Offline, never in the lab.

Not for: a draft's own check against its findings, which runs before it is shown (runtime/models/report/check.py).
"""
