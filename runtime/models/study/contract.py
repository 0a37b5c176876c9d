"""The tensors of a study bundle's networks, and whether its section fits them and itself.

encoder: clips to features. head: features of all clips of a study, and which of them are there, to logits and to how
much each clip counted. Not for: what holds of every bundle (bundle/check.py), or running them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from cathrt.runtime.bundle.manifest import DeclaredTensor, Manifest, Network
from cathrt.runtime.errors import ManifestError
from cathrt.runtime.models.study.section import ENCODER, HEAD, StudyQuestion, StudySection
from cathrt.runtime.models.study.views import VIEWS as VIEW_NAMES

CLIPS_SIZE, RUNS_SIZE = "n", "N"  # names of sizes: clips of one run of the encoder, places of a study
CLIPS, FEATURES = "clips", "features"
THERE, VIEWS, LOGITS, COUNTED = "there", "views", "logits", "counted"


def section_of(manifest: Manifest) -> StudySection:
    """The section of a bundle of this kind. Raises ManifestError for a bundle of another one."""
    if not isinstance(manifest.model, StudySection):
        raise ManifestError(f"bundle {manifest.name} holds a {manifest.kind} model, expected study: name another")
    return manifest.model


def encoder_tensors(section: StudySection, tokens: int, features: int) -> tuple[DeclaredTensor, DeclaredTensor]:
    """The encoder's input and its output."""
    clip = section.clip
    shape = (CLIPS_SIZE, 3, clip.frames, clip.height, clip.width)
    return (
        DeclaredTensor(CLIPS, shape, "float32"),
        DeclaredTensor(FEATURES, (CLIPS_SIZE, tokens, features), "float32"),
    )


def head_tensors(
    section: StudySection, tokens: int, features: int
) -> tuple[tuple[DeclaredTensor, ...], tuple[DeclaredTensor, ...]]:
    """The head's inputs and its outputs.

    there: true where a study has a clip; where it is false, features are finite and count as nothing. views: ids of
    views.py, only of a head that has a table of them. counted: how much each clip counts in the answer, summing to 1.
    """
    inputs = [
        DeclaredTensor(FEATURES, (1, RUNS_SIZE, tokens, features), "float32"),
        DeclaredTensor(THERE, (1, RUNS_SIZE), "bool"),
    ]
    if section.views:
        inputs.append(DeclaredTensor(VIEWS, (1, RUNS_SIZE), "int64"))
    outputs = (
        DeclaredTensor(LOGITS, (1, section.columns), "float32"),
        DeclaredTensor(COUNTED, (1, RUNS_SIZE), "float32"),
    )
    return tuple(inputs), outputs


def study_faults(manifest: Manifest) -> list[str]:
    """What does not fit, in words; nothing where all does."""
    section = section_of(manifest)
    faults = [*_question_faults(section.questions), *_view_faults(section)]
    faults += _tensor_faults(manifest.network(ENCODER), manifest.network(HEAD), section)
    return faults or list(_bucket_faults(manifest, section))


def _question_faults(questions: tuple[StudyQuestion, ...]) -> Iterator[str]:
    if twice := [name for name, times in Counter(one.name for one in questions).items() if times > 1]:
        yield f"model.questions: found {twice[:5]} more than once, expected each once"
    for one in questions:
        where = f"model.questions.{one.name[:80]}"
        if (one.form == "category") != (len(one.categories) > 1):
            yield f"{where}: is a {one.form} of {len(one.categories)} categories, expected some of a category alone"
        if one.form == "category" and one.threshold is not None:
            yield f"{where}: has a threshold, expected none of a category"
        if one.form == "probability" and not (one.threshold is None or 0.0 < one.threshold < 1.0):
            yield f"{where}.threshold: found {one.threshold}, expected a probability between 0 and 1"
        if one.form != "amount" and (one.low, one.high, one.unit) != (None, None, ""):
            yield f"{where}: has a bound or a unit, expected them of an amount alone"
        if one.low is not None and one.high is not None and one.low >= one.high:
            yield f"{where}: found low {one.low} and high {one.high}, expected the low one first"


def _view_faults(section: StudySection) -> Iterator[str]:
    if section.views not in (0, len(VIEW_NAMES)):
        yield f"model.views: found {section.views}, expected 0 or {len(VIEW_NAMES)}, which is how many there are"


def _tensor_faults(encoder: Network, head: Network, section: StudySection) -> Iterator[str]:
    rows = next((tensor.shape for tensor in encoder.outputs if tensor.name == FEATURES), ())
    if len(rows) != 3 or not isinstance(rows[1], int) or not isinstance(rows[2], int):
        yield f"networks.{ENCODER}.outputs: found {rows} for {FEATURES}, expected ({CLIPS_SIZE}, tokens, features)"
        return
    given, found = encoder_tensors(section, rows[1], rows[2])
    inputs, outputs = head_tensors(section, rows[1], rows[2])
    sides = (
        (f"{ENCODER}.inputs", encoder.inputs, (given,)),
        (f"{ENCODER}.outputs", encoder.outputs, (found,)),
        (f"{HEAD}.inputs", head.inputs, inputs),
        (f"{HEAD}.outputs", head.outputs, outputs),
    )
    for where, declared, expected in sides:
        if sorted(declared, key=_name) != sorted(expected, key=_name):
            yield f"networks.{where}: found {_listed(declared)}, expected {_listed(expected)}"
    if encoder.preprocessing or head.preprocessing:
        yield f"networks.{ENCODER}.preprocessing: found some, expected none: model.clip says how a run becomes a clip"


def _bucket_faults(manifest: Manifest, section: StudySection) -> Iterator[str]:
    if {CLIPS_SIZE: 1} not in manifest.network(ENCODER).buckets:
        yield f"networks.{ENCODER}.buckets: has no {CLIPS_SIZE} = 1, by which a clip is encoded when its run ends"
    if manifest.network(HEAD).buckets != ({RUNS_SIZE: section.runs},):
        found = list(manifest.network(HEAD).buckets)
        yield f"networks.{HEAD}.buckets: found {found}, expected {RUNS_SIZE} = model.runs, {section.runs}"


def _name(tensor: DeclaredTensor) -> str:
    return tensor.name


def _listed(tensors: tuple[DeclaredTensor, ...]) -> str:
    return ", ".join(f"{one.name} {str(one.shape)[:80]} {one.dtype}" for one in tensors)
