"""MODEL_CARD.md of the demonstration bundle, written from its manifest so that card and evidence cannot disagree.

Not for: any other model; what this one is and is not is said here in words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cathrt.runtime.alert import NOTICE
from cathrt.runtime.bundle.manifest import Manifest, Preprocessing
from cathrt.runtime.models.keyframe.section import CLASSIFIER, section_of
from cathrt.runtime.outside.plain_text import shown


def model_card(manifest: Manifest) -> str:
    """The card as Markdown. `files` is not read: the card is itself one of them."""
    made, found = manifest.provenance, manifest.evidence
    frames, runs, real = found["phantom_frames"], found["phantom_runs"], found.get("real")
    plan, meaning = made["plan"], section_of(manifest)
    labels = ", ".join(shown(label.name) for label in meaning.labels)
    (preprocessing,) = manifest.network(CLASSIFIER).preprocessing
    assert meaning.readability is not None
    assert meaning.domain is not None
    poor, domain = meaning.readability.poor_below, meaning.domain.threshold
    reasons = ", ".join(shown(reason.text) for reason in meaning.domain.reasons)
    return f"""# Model card: {shown(manifest.name)}

> {NOTICE}

A demonstration. These weights exist so that every part of the line can run and be tested with something real in it.
They were trained on generated images only and are not fit to read an angiogram, nor meant to.

## What it is
{plan["arch"]}, {made["parameters"]:,} parameters, one {preprocessing.height}x{preprocessing.width} \
frame in, {_history(preprocessing)}. Out come
- six scores: {labels}. "better" is a frame nearly as readable as the best of its run, "bad" one partly filled, washing
  out or blurred, "others" a frame in which no coronary artery can be read. The side is the sum over its three scores;
- the readability, 0 to 1: which share of the tree can be read (docs/phantom.md). Key frames are ranked by it; a run
  whose best frame is below {poor:.2f} is called poor;
- the domain: whether it is an angiogram at all, or else {reasons}.

## How it was made
- Frames: {made["frames"]["training"]:,} of {_count(made["scenes"]["training"]):,} generated runs (phantom scenes \
{_span(made["scenes"]["training"])}), through the runtime's own preprocessing. No real image took part.
- Beside them {made["frames"]["outsiders"]:,} drawn pictures that are no angiograms.
- Training began with {"random weights" if plan["start"] == "random" else "the weights " + plan["start"][:16]}:
  `python -m {shown(made["made_by"])}`, seed {plan["seed"]}, {plan["steps"]:,} steps of \
{plan["batch"]} frames, {", ".join(f"{share:.0%} at {side}x{side}" for side, share in plan["resolutions"])};
  AdamW in {plan["arithmetic"]}, moving average of the weights, strong randomisation of contrast, sharpness, noise and \
framing, no mirroring.
- Temperature {found["temperature"]:.3f} and the thresholds (side {meaning.laterality_threshold:.2f}, artery \
visible {meaning.visible_threshold:.2f}, evidence of a run {meaning.run_evidence:.2f}, key frame \
{meaning.key_frame_threshold:.2f}, domain {domain:.2f})
  were set on scenes {_span(made["scenes"]["validation"])} and those without coronaries of \
{_span(made["scenes"]["negatives"])} only.

## What was measured
Phantom scenes {_span(made["scenes"]["test"])}, never seen before ({frames["frames"]:,} frames, \
{runs["coronary_runs"]} coronary and {runs["other_runs"]} other runs):

| | |
|---|---|
| side, F1 macro over frames with an opacified artery ("unknown" is a miss) | {frames["laterality_f1_macro"]:.3f} |
| "unknown" where there is an artery | {frames["unknown_when_opacified"]:.1%} |
| a side named where there is none | {frames["named_when_empty"]:.1%} |
| better / bad / others, F1 macro | {frames["quality_f1_macro"]:.3f} |
| expected calibration error | {frames["expected_calibration_error"]:.3f} |
| readability, mean error | {frames["readability_error"]:.3f} |
| frames taken for no angiogram | {frames["refused"]:.2%} |
| side of the run right | {runs["laterality_right"]:.1%} |
| first key frame within 3 frames of a best one, by readability alone ({runs["readable_runs"]} runs) | \
{runs["key_frame_hit"]:.1%} |
| readability lost by it, mean share of the run's best | {runs["regret"]:.1%} |
| of these runs, without a key frame | {runs["without_key_frame"]:.1%} |
| runs without coronaries that get a key frame | {runs["false_key_frame_runs"]:.1%} |
| runs without coronaries that get a side | {runs["named_side_runs"]:.1%} |

{_real_section(real)}
{_engines_section(manifest)}
## Limits
- The phantom is a simplification; scores on it say that the training worked, not that the model does.
- Bypass grafts, anomalous origins and most pathology were never shown to it; devices only as the phantom draws them.
- Its scores are calibrated on the phantom and nowhere else.
- Readability and "better" are the phantom's, by a formula of ours, not a physician's.
"""


# Rows of the card from the headline of benchmarks.accuracy: key, words, format. A key that was not measured has no row.
_REAL_ROWS = (
    ("real_frames", "stills of known side", ",d"),
    ("real_laterality_f1", 'side, F1 macro ("unknown" is a miss)', ".3f"),
    ("real_laterality_f1_forced", "side, F1 macro, were it always to answer", ".3f"),
    ("real_unknown_rate", '"unknown"', ".1%"),
    ("real_better_recall", "stills chosen for reading that pass as key frames", ".1%"),
    ("real_out_of_domain_rate", "stills and runs taken for no angiogram", ".1%"),
    ("domain_rejected", "drawn pictures of kinds not used in training, no angiograms, that are refused", ".1%"),
    ("real_calibration_error", "expected calibration error of the side", ".3f"),
    ("cine_runs", "cine runs", ",d"),
    ("cine_laterality_correct", "side of the run right", ".1%"),
    ("cine_keyframes_inside", "key frames shown that lie where the artery is opacified", ".1%"),
    ("cine_keyframe_hit", "first key frame near one a reader would keep", ".1%"),
    ("cine_false_keyframe_rate", "runs without coronaries that get a key frame", ".1%"),
)


def _history(preprocessing: Preprocessing) -> str:
    """What the channels show, in words."""
    if preprocessing.history is None:
        return "three times its grey value"
    told = {
        "grey": "its grey value",
        "contrast": "its difference from the run's background so far",
        "change": "its difference from the run's recent mean",
    }
    return ", ".join(told[channel] for channel in preprocessing.history.channels)


def _real_section(real: dict[str, Any] | None) -> str:
    if real is None:
        return "On real angiograms: not measured.\n"
    headline, intervals = real["headline"], real["intervals_95"]
    rows = [_row(key, words, form, headline, intervals) for key, words, form in _REAL_ROWS if key in headline]
    return "\n".join(
        [
            f"Real angiograms, used to judge only and looked at {real['looks']} time(s), never to choose anything "
            "(`python -m benchmarks.accuracy`; in parentheses the 95 % interval):\n",
            "| | |",
            "|---|---|",
            *rows,
            "",
        ]
    )


def _engines_section(manifest: Manifest) -> str:
    """Each engine's precision, and what it changed against the float32 network where that was measured."""
    told = manifest.evidence.get("qualification", {})
    lines = [
        "## What its engines change",
        "",
        "| engine | computes in | against the float32 network |",
        "|---|---|---|",
    ]
    for engine, artifact in sorted(manifest.network(CLASSIFIER).artifacts.items()):
        lines.append(f"| {engine} | {artifact.precision} | {_against(told.get(engine), artifact.precision)} |")
    return "\n".join([*lines, ""])


def _against(found: Mapping[str, Any] | None, precision: str) -> str:
    if found is None:
        return "is that network, its weights stored as half floats" if precision == "float32" else "not measured"
    agreement, of = found["class_agreement"], found["judge_set"]
    text = f"same class in {agreement['hits']:,} of {agreement['of']:,} frames of {of['runs']:,} runs"
    if "laterality_f1" in found:
        sides = found["laterality_f1"]
        text += f", side F1 {sides['reference']:.4f} to {sides['engine']:.4f}"
    if "same_key_frame" in found:
        same = found["same_key_frame"]
        text += f", same key frame in {same['hits']} of {same['of']} runs"
    return text


def _row(
    key: str, words: str, form: str, headline: Mapping[str, float], intervals: Mapping[str, tuple[float, float]]
) -> str:
    ends = f" ({' to '.join(format(end, form) for end in intervals[key])})" if key in intervals else ""
    return f"| {words} | {headline[key]:{form}}{ends} |"


def _span(seeds: list[int]) -> str:
    return f"{seeds[0]:,} to {seeds[1] - 1:,}"


def _count(seeds: list[int]) -> int:
    return seeds[1] - seeds[0]
