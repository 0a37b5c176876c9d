"""The malformed corpus: inputs that no well-behaved system writes, each with the end it must come to.

Ids are stable: M<group>-<what>, the groups being those of docs/sources.md. Built in memory, nothing is downloaded.
Not for: what an odd attribute means in detail (tests/sources/test_dicom_header.py).
"""

from __future__ import annotations

from tests.faults.malformed_attributes import M5, M6, M7
from tests.faults.malformed_case import Case
from tests.faults.malformed_files import M1, M2, M3
from tests.faults.malformed_pixels import M4
from tests.faults.malformed_video import M9

CASES: list[Case] = [*M1, *M2, *M3, *M4, *M5, *M6, *M7, *M9]
