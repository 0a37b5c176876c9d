"""A TID 1500 report of what a model reads in all runs of a study together: percent, probabilities, categories.

One report for each reading: two models give two, and neither changes the other. Not for: single runs (measurements.py).
"""

from __future__ import annotations

from highdicom import sr
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code as SRCode

from cathrt.runtime.alert import StudyFinding, StudyFindings
from cathrt.runtime.objects.codes import OURS, PROBABILITY, Code
from cathrt.runtime.objects.dicom.kinds import Kind
from cathrt.runtime.objects.dicom.measurements import (
    CORONARY_ARTERY,
    algorithm_item,
    best_frame,
    comment,
    number_measured,
    report,
    sr_code,
    whole_frame,
)
from cathrt.runtime.objects.identity import uid_for
from cathrt.runtime.objects.results import RunEvidence, StudyResults

_DIAMETER_STENOSIS = Code("408715008", "SCT", "Lumen Diameter Stenosis")
_ARTERIES = {
    "left_main": Code("3227004", "SCT", "Left Main Coronary Artery"),
    "lad": Code("59438005", "SCT", "Left Anterior Descending Coronary Artery"),
    "lcx": Code("57396003", "SCT", "Circumflex Coronary Artery"),
    "rca": Code("13647002", "SCT", "Right Coronary Artery"),
}
_PERCENT = SRCode("%", "UCUM", "percent")
_NO_UNITS = SRCode("1", "UCUM", "no units")
_LONGEST_MEANING = 64


def reading(results: StudyResults, found: StudyFindings, kind: Kind) -> Dataset:
    """kind: kinds.READING_3D or kinds.READING. The marks are on the run that counted most in it."""
    counted = {run.run_id: run.counted or 0.0 for run in found.runs}
    runs = [run for run in results.evidence if counted.get(run.run_id)] or list(results.evidence)
    most = max(runs, key=lambda run: counted.get(run.run_id, 0.0))
    groups = [_group(found, one, most) for one in found.reading.findings]
    before = results.readings_before.get(found.reading.bundle)
    return report(results, kind, groups, runs, found.id, before)


def _group(
    found: StudyFindings, one: StudyFinding, run: RunEvidence
) -> sr.PlanarROIMeasurementsAndQualitativeEvaluations:
    model = found.reading
    group = sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid_for("question", found.study, model.bundle, one.name), one.name),
        referenced_region=whole_frame(run, best_frame(run)),
        finding_type=SRCode("question", OURS, one.title[:_LONGEST_MEANING]),
        algorithm_id=algorithm_item(model.bundle, model.manifest_sha256[:16], model.manifest_sha256, model.engine),
        finding_sites=[sr.FindingSite(sr_code(_ARTERIES.get(one.artery or "", CORONARY_ARTERY)))],
        measurements=[_measured(one)],
    )
    said = [f"{one.label} / {one.label_ja}"] if one.label else []
    said += [f"segment {one.segment}"] if one.segment else []
    said += [f"called above {one.threshold:g} {one.unit}".rstrip()] if one.threshold is not None else []
    said.append("The region is a place holder: the model reads the study as a whole and marks no place.")
    group[0].ContentSequence.extend(comment(text) for text in said)
    return group


def _measured(one: StudyFinding) -> sr.Measurement:
    if one.form != "amount":
        return number_measured(PROBABILITY, one.value)
    if one.unit == "%":
        name = _DIAMETER_STENOSIS if one.artery is not None else Code("amount", OURS, one.title[:_LONGEST_MEANING])
        return number_measured(name, one.value, _PERCENT)
    unit = SRCode(one.unit, "UCUM", one.unit) if one.unit else _NO_UNITS
    return number_measured(Code("amount", OURS, one.title[:_LONGEST_MEANING]), one.value, unit)
