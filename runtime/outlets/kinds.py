"""Two sorts of outlets: those that send records as they are, and those that send objects made of confirmed studies.

Not for: opening one (opening.py).
"""

from __future__ import annotations

OBJECT_KINDS = ("dicom", "stow", "fhir", "hl7")  # what a study amounts to, in a form that other systems read
STUDY = "study"  # the journal of confirmed results
GATEWAY = "gateway"  # the journal of what people decided about them
# Its records that make objects due: `ended` comes at each end of a study; readings and the draft later, where there are
# models for them. What is made of the same revision has the same UIDs, so what was sent before is a repeat.
DUE_TYPES = ("ended", "study", "draft")
# And of the journal of decisions: a finished review makes an edition of its own.
REVIEW = "review"
OBJECT_TYPES = (*DUE_TYPES, REVIEW)


def follows(kind: str, journal: str) -> bool:
    """Whether an outlet of that kind takes rows of that journal. Live results never become objects."""
    return journal in (STUDY, GATEWAY) or kind not in OBJECT_KINDS
