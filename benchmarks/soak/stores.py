"""A modality that stores whole runs by C-STORE, each under new UIDs. Not for: what becomes of them."""

from __future__ import annotations

from collections import Counter
from itertools import cycle
from typing import Any

from benchmarks.soak.lab import Lab

_RUNS_A_STUDY = 8


class Modality:
    """stored: SOP Instance UIDs that the listener took, with their frames. statuses: of what it did not take."""

    def __init__(self, lab: Lab, runs: list[Any]) -> None:
        from pydicom.uid import generate_uid

        self.stored: dict[str, int] = {}
        self.statuses: Counter[str] = Counter()
        self._lab = lab
        self._runs = cycle(runs)
        self._new_uid = generate_uid
        self._study = str(generate_uid())

    def store(self) -> None:
        """One association, one run. Raises OSError where it is not let in."""
        from pynetdicom import AE

        run = next(self._runs)
        if len(self.stored) % _RUNS_A_STUDY == 0:
            self._study = str(self._new_uid())
        run.StudyInstanceUID, run.SeriesInstanceUID = self._study, self._new_uid()
        run.SOPInstanceUID = run.file_meta.MediaStorageSOPInstanceUID = self._new_uid()
        ae = AE("SOAK")
        ae.add_requested_context(run.SOPClassUID, run.file_meta.TransferSyntaxUID)
        association = ae.associate("127.0.0.1", self._lab.listener_port, ae_title="CATHRT")
        if not association.is_established:
            raise ConnectionError("the association was not accepted")
        try:
            status = association.send_c_store(run)
        finally:
            association.release()
        if getattr(status, "Status", None) == 0:
            self.stored[str(run.SOPInstanceUID)] = int(run.NumberOfFrames)
        else:
            self.statuses[f"{getattr(status, 'Status', 'none')}"] += 1

    def unconfirmed(self, summaries: dict[str, int]) -> list[str]:
        """What was taken and has no confirmed result of all its frames."""
        return [uid for uid, frames in self.stored.items() if summaries.get(uid) != frames]
