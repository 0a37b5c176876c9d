"""What runs were encoded to, under its limit: clips that were not used for the longest time go first.

A clip that is gone is encoded again where its study is read once more. Not for: journals (kept_journal.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from cathrt.runtime.retention.kept_journal import Looked, Moment
from cathrt.runtime.retention.rules import DAY_S
from cathrt.runtime.study.feature_store import FeatureStore

MOST_CLIPS = 64  # that are removed in one look: 52 MB of the published model's


@dataclass(frozen=True, slots=True)
class FeatureLimits:
    """mib, study_days: 0 for no limit. study_days: what is known of studies. keep_s: no clip that was used since."""

    mib: int
    study_days: float
    keep_s: float


@dataclass(frozen=True, slots=True)
class KeptFeatures:
    """The retention of the file of features, in the process that writes it."""

    features: FeatureStore
    limits: FeatureLimits

    def look(self, moment: Moment) -> Looked:
        """Remove what should and may go, some of it at a time. Raises FeatureStoreError."""
        limit, held = self.limits.mib << 20, self.features.held()
        over = max(held.bytes - limit if limit else 0, held.bytes if moment.disk_is_short else 0)
        gone = self.features.forget_clips(over, moment.now_s - self.limits.keep_s, MOST_CLIPS) if over > 0 else None
        if self.limits.study_days:
            self.features.forget_studies(moment.now_s - self.limits.study_days * DAY_S)
        if gone is None:
            return Looked()
        early = moment.disk_is_short and gone.clips
        notes = ["clips are removed before their time: the disk is short"] if early else []
        if over > gone.bytes and gone.clips < MOST_CLIPS:
            notes.append(f"{over - gone.bytes >> 20} MiB over the limit stay: used within retention.keep_hours")
        return Looked(gone.clips, gone.bytes, gone.clips == MOST_CLIPS, "; ".join(notes))
