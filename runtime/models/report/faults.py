"""Whether a report bundle's section fits its networks: tensors, sizes, tokens, pictures, prompts and context.

Not for: what holds of every bundle (bundle/check.py), single tensors (contract.py), or whether the tokenizer's file
fits (export looks at that before it signs).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from cathrt.runtime.bundle.manifest import Manifest, Network
from cathrt.runtime.errors import ManifestError
from cathrt.runtime.models.report.contract import (
    CAPACITY,
    EMBEDDINGS,
    GLOBAL_MASK,
    IMAGE_EMBEDDINGS,
    LOGITS,
    ROWS,
    SLIDING_MASK,
    network_faults,
)
from cathrt.runtime.models.report.section import DECODER, EMBEDDING, LANGUAGES, VISION, ReportPrompts, ReportSection

_ANY_BRACE = re.compile(r"\{[^{}]*\}|[{}]")
FACTS_BLANKS, PROSE_BLANKS = frozenset({"{findings}", "{pictures}"}), frozenset({"{facts}"})


def section_of(manifest: Manifest) -> ReportSection:
    """The section of a bundle of this kind. Raises ManifestError for a bundle of another one."""
    if not isinstance(manifest.model, ReportSection):
        raise ManifestError(f"bundle {manifest.name} holds a {manifest.kind} model, expected report: name another")
    return manifest.model


def report_faults(manifest: Manifest) -> list[str]:
    """What does not fit, in words; nothing where all does."""
    section = section_of(manifest)
    faults = [*_part_faults(manifest, section), *prompt_faults(section.prompts, pictures=section.pictures > 0)]
    faults += network_faults(manifest, section)
    if faults:
        return faults
    decoder = manifest.network(DECODER)
    faults = [*_width_faults(manifest, section), *_room_faults(decoder, section)]
    vocabulary = _last_size(decoder, LOGITS)
    return faults + list(_token_faults(section, vocabulary)) if isinstance(vocabulary, int) else faults


def prompt_faults(prompts: ReportPrompts, *, pictures: bool) -> list[str]:
    """Does each text have its blanks, and nothing else in braces? pictures: whether a prompt may have any."""
    faults = [*_blank_faults("system", prompts.system, frozenset(), frozenset())]
    needed = FACTS_BLANKS if pictures else FACTS_BLANKS - {"{pictures}"}
    faults += _blank_faults("facts", prompts.facts, needed, FACTS_BLANKS)
    if prompts.prose.keys() != set(LANGUAGES):
        faults.append(f"model.prompts.prose: found {sorted(prompts.prose)}, expected {', '.join(LANGUAGES)}")
    for language, text in prompts.prose.items():
        faults += _blank_faults(f"prose.{language}", text, PROSE_BLANKS, PROSE_BLANKS)
    return faults


def _blank_faults(name: str, text: str, needed: frozenset[str], allowed: frozenset[str]) -> Iterator[str]:
    found = _ANY_BRACE.findall(text)
    if missing := sorted(needed - set(found)):
        yield f"model.prompts.{name}: has no blank {', '.join(missing)}, which are filled in when it is used"
    if more := sorted({one[:40] for one in found} - allowed):
        yield f"model.prompts.{name}: has {', '.join(more)} in braces, expected {', '.join(sorted(allowed)) or 'none'}"
    if twice := sorted(one for one in allowed if found.count(one) > 1):
        yield f"model.prompts.{name}: has {', '.join(twice)} more than once"


def _part_faults(manifest: Manifest, section: ReportSection) -> Iterator[str]:
    """The parts that are there or not: tokenizer, picture, vision network."""
    if section.tokenizer not in manifest.files:
        yield f"model.tokenizer: {section.tokenizer!r} is not among files"
    if (section.picture is None) != (VISION not in manifest.networks):
        there = VISION in manifest.networks
        yield f"model.picture: is {'missing' if there else 'there'}, the network {VISION} {'too' if not there else ''}"
    if (section.picture is None) != (section.pictures == 0):
        yield f"model.pictures: found {section.pictures}, with model.picture {section.picture is not None}"
    if section.picture is not None:
        low, high = section.picture.percentiles
        if not 0.0 <= low < high <= 100.0:
            yield f"model.picture.percentiles: found {low}, {high}, expected two of 0 to 100, the low one first"


def _width_faults(manifest: Manifest, section: ReportSection) -> Iterator[str]:
    """Does each network give embeddings of the width that the decoder takes?"""
    hidden = _last_size(manifest.network(DECODER), EMBEDDINGS)
    if not isinstance(hidden, int):
        yield f"networks.{DECODER}.inputs.{EMBEDDINGS}: its width is {hidden!r}, expected a number"
    given = {EMBEDDING: EMBEDDINGS} | ({} if section.picture is None else {VISION: IMAGE_EMBEDDINGS})
    for role, name in given.items():
        if (width := _last_size(manifest.network(role), name)) != hidden:
            yield f"networks.{role}.outputs.{name}: is {width} wide, networks.{DECODER} takes {hidden}"
    if not isinstance(vocabulary := _last_size(manifest.network(DECODER), LOGITS), int):
        yield f"networks.{DECODER}.outputs.{LOGITS}: its width is {vocabulary!r}, expected a number"


def _last_size(network: Network, name: str) -> int | str | None:
    found = [tensor.shape for tensor in (*network.inputs, *network.outputs) if tensor.name == name and tensor.shape]
    return found[0][-1] if found else None


def _room_faults(decoder: Network, section: ReportSection) -> Iterator[str]:
    """Do pictures and the longest answer fit into the context, and does any mask have room for all of it?"""
    for bucket in decoder.buckets:
        rows, held = bucket[ROWS], bucket[CAPACITY]
        for mask in (GLOBAL_MASK, SLIDING_MASK):
            found = next(spec.shape for spec in decoder.input_specs(bucket) if spec.name == mask)
            if found != (rows, held + rows):
                yield f"networks.{DECODER}.inputs.{mask}: is {found} in {bucket}, expected {(rows, held + rows)}"
    tokens = section.picture.tokens + 2 if section.picture is not None else 0  # and its two marks
    if section.pictures * tokens + section.most_tokens >= section.context:
        yield (
            f"model.context: found {section.context}, {section.pictures} pictures of {tokens} positions and an answer "
            f"of {section.most_tokens} leave no room for a prompt"
        )


def _token_faults(section: ReportSection, vocabulary: int) -> Iterator[str]:
    tokens = section.tokens
    of_pictures = () if section.picture is None else (tokens.begin_image, tokens.image, tokens.end_image)
    used = {tokens.begin, *tokens.end, *of_pictures}
    if beyond := sorted(one for one in used if one >= vocabulary):
        yield f"model.tokens: found {beyond[:5]}, the vocabulary has {vocabulary}"
    if len(set(of_pictures)) != len(of_pictures):
        yield f"model.tokens: found the picture's ids {list(of_pictures)}, expected three of them"
    if free := sorted(used - set(tokens.control)):
        yield f"model.tokens.control: lacks {free[:5]}, which have a meaning of their own and must not come from data"
