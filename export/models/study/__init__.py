"""The study reader's export: a DeepCORO-CLIP checkpoint becomes a bundle of a clip encoder and a head over clips."""

from __future__ import annotations

from cathrt.export.model_kind import OwnExport
from cathrt.export.models.study.options import study_export

STUDY = OwnExport(
    help="Export a DeepCORO-CLIP study reader.\n\nWrites a clip encoder and the head over a study's clips, and makes "
    "one bundle for all targets. Each target is compared with the float32 network; the bundle is signed if all keep "
    "their gate.",
    export=study_export,
)
