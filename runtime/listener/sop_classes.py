"""SOP classes of the listener, and what is negotiated of each. Not for: what is done with them."""

from __future__ import annotations

from pynetdicom.presentation import PresentationContext, build_context

from cathrt.runtime.sources.dicom.header import SECONDARY_CAPTURES, X_RAY_MODALITIES
from cathrt.runtime.sources.dicom.part10 import DEFLATED, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE

VERIFICATION = "1.2.840.10008.1.1"
STORAGE_COMMITMENT = "1.2.840.10008.1.20.1"  # Push Model
STORAGE_COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"  # its well-known SOP Instance
PROCEDURE_STEP = "1.2.840.10008.3.1.2.3.3"  # Modality Performed Procedure Step
DOSE_REPORT = "1.2.840.10008.5.1.4.1.1.88.67"  # X-Ray Radiation Dose SR
STORABLE = (*X_RAY_MODALITIES, *sorted(SECONDARY_CAPTURES), DOSE_REPORT)  # what replay reads, and the dose report

LITTLE = (EXPLICIT_LITTLE, IMPLICIT_LITTLE)  # of everything that is no object
_PLAIN = (*LITTLE, EXPLICIT_BIG, DEFLATED)
# All that are decoded (sources/dicom/decoders.py), in the order in which one of several offered is chosen.
_COMPRESSED = tuple(
    f"1.2.840.10008.1.2.{end}"
    for end in ("4.70", "4.57", "4.80", "4.90", "4.201", "4.202", "5", "4.50", "4.51", "4.81", "4.91", "4.203")
)


def contexts() -> list[PresentationContext]:
    """What is negotiated. What may be stored is wanted compressed, since that is smaller."""
    services = [build_context(uid, list(LITTLE)) for uid in (VERIFICATION, STORAGE_COMMITMENT, PROCEDURE_STEP)]
    services[1].scu_role = services[1].scp_role = True  # who reports on what we have asked it calls as SCP
    return [*services, *(build_context(uid, [*_COMPRESSED, *_PLAIN]) for uid in STORABLE)]
