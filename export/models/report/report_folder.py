"""The report that every export leaves, signed or not: qualification.html for people, qualification.json for programs.

Not for: the page itself (page.py), or what a manifest says (qualified.py).
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cathrt.export.models.report.bundle import TargetParts
from cathrt.export.models.report.merge_told import MergeTold
from cathrt.export.models.report.page import export_page
from cathrt.export.models.report.qualified import TargetVerdict
from cathrt.export.models.report.worth import ReportWorth
from cathrt.export.qualify.exported import AnyTarget
from cathrt.runtime.outside.plain_text import json_escaped


@dataclass(frozen=True, slots=True, eq=False)
class ReportFolder:
    """name: of the model. evidence: as the manifest has it. about: lines at the head of the page."""

    name: str
    verdicts: Sequence[TargetVerdict]
    evidence: Mapping[str, Any]
    parts: Mapping[AnyTarget, TargetParts]
    worth: ReportWorth
    merge: MergeTold | None
    about: Sequence[str]

    def write(self, folder: Path) -> None:
        """Both files in a folder, which is made anew. Nothing in it is of a patient."""
        unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".unfinished-report-"))
        try:
            page = export_page(self.name, self.verdicts, self.worth, self.merge, self._sizes(), self.about)
            (unfinished / "qualification.html").write_text(page, encoding="utf-8")
            text = json.dumps(self._document(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
            plain = "\n".join(map(json_escaped, text.split("\n")))
            (unfinished / "qualification.json").write_text(plain, encoding="utf-8")
            shutil.rmtree(folder, ignore_errors=True)
            unfinished.rename(folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    def _document(self) -> dict[str, Any]:
        return {
            "model": self.name,
            "failures": {one.target: list(map(str, one.failures)) for one in self.verdicts},
            "differences": {one.target: [asdict(each) for each in one.found.differences] for one in self.verdicts},
            "weight_bytes": self._sizes(),
            "merge": None if self.merge is None else self.merge.record,
            **self.evidence,
        }

    def _sizes(self) -> dict[str, dict[str, int]]:
        """Bytes of weights by target and network, and by what they are for."""
        return {
            f"{target}, {role}": dict(written.bytes_of)
            for target, one in self.parts.items()
            for role, written in one.form.networks.items()
        }
