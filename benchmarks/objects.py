"""DICOM objects of generated studies, checked by every program there is (`python -m benchmarks.objects --json`).

200 studies: every kind of result in every character set, under every option in turn. iod_errors: what dciodvfy and
dcentvfy call errors. faults: names that did not come back, documents that DCMTK or highdicom cannot read, objects that
are not the same when they are made twice. roundtrip_equal: the share of objects that pydicom reads and writes again as
they were, byte for byte. Needs the extra `objects`, dicom3tools and DCMTK. Not for: sending them.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import measure
from tests.objects.dicom.checked import checked_study
from tests.objects.dicom.checkers import missing_programs
from tests.objects.dicom.generated_studies import pairs


def rows(studies: int) -> Iterator[dict[str, Any]]:
    """A row for each kind of study, and the headline."""
    totals, kinds = Counter[str](), dict[str, Counter[str]]()
    with measure.Heartbeat() as heartbeat, tempfile.TemporaryDirectory() as folder:
        for seed, kind, character_set in pairs(studies):
            found = checked_study(Path(folder, str(seed)), seed, kind, character_set)
            for fault in (*found.iod_errors, *found.faults):
                print(fault, file=sys.stderr)
            counted = Counter(
                studies=1,
                objects=found.objects,
                iod_errors=len(found.iod_errors),
                faults=len(found.faults),
                round_trips=found.round_trips,
            )
            kinds.setdefault(kind, Counter()).update(counted)
            totals.update(counted)
        heartbeat.finish()
    for kind, counted in sorted(kinds.items()):
        yield {"bench": "objects", "case": kind, **{key: counted[key] for key in totals}}
    figures = {key: float(totals[key]) for key in ("studies", "objects", "iod_errors", "faults")}
    figures["roundtrip_equal"] = totals["round_trips"] / max(1, totals["objects"])
    yield measure.headline("objects", figures, heartbeat, ["pydicom", "highdicom", "reportlab"])


if __name__ == "__main__":
    if missing := missing_programs():
        sys.exit(f"{', '.join(missing)} not installed: apt-get install dicom3tools dcmtk")
    measure.command(__doc__, rows, quick=12, full=200)
