"""A checkpoint and its product as export takes them: weights, what they mean, and what bundles say of both.

Not for: reading files (checkpoint.py, settings_file.py), or the networks (networks.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cathrt.export.bundle.given_files import given_bytes, given_object
from cathrt.export.models.study.asked import Asked
from cathrt.export.models.study.checkpoint import StudyWeights, read_checkpoint
from cathrt.export.models.study.drawn import drawn_weights
from cathrt.export.models.study.head import HeadShape
from cathrt.export.models.study.products import PRODUCTS, Product
from cathrt.export.models.study.settings_file import with_settings
from cathrt.export.models.study.shape import ENCODERS
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.models.study.section import StudyClip, StudySection
from cathrt.runtime.models.study.views import VIEWS
from cathrt.runtime.outside.plain_text import shown

_LONGEST_NAME = 100
_GATES = 256  # of random weights: as most products have


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """name: of the bundle. card, training: as they were given."""

    name: str
    weights: StudyWeights
    product: Product
    section: StudySection
    card: bytes | None = None
    training: Mapping[str, Any] | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """JSON: all that networks and answers depend on."""
        return {"weights": self.weights.sha256, "section": asdict(self.section)}

    @property
    def about(self) -> Mapping[str, Any]:
        """For the provenance: what the weights are, and where the product's numbers are from."""
        head = self.weights.head
        read = {"encoder": self.weights.encoder.name, "gated": head.gated, "views": head.views}
        told = {"arch": "deepcoro-clip", "weights_read": read, "settings_from": dict(self.product.sources)}
        return told if self.training is None else {**told, "training": dict(self.training)}


def source_of(asked: Asked) -> Source:
    """Raises ConfigError for an unknown product or one without questions, CheckpointError for other weights."""
    if asked.product not in PRODUCTS:
        raise ConfigError(f"--product {asked.product}: expected one of {', '.join(PRODUCTS)}")
    product = with_settings(PRODUCTS[asked.product], asked.settings)
    if not product.questions:
        raise ConfigError(
            f"--product {product.name}: its questions are not published: give [[questions]] in --settings"
        )
    weights = _weights(asked, product)
    side, frames = weights.encoder.side, weights.encoder.frames
    if weights.head.views not in (0, len(VIEWS)):
        raise ConfigError(
            f"{asked.checkpoint}: its table of views has {weights.head.views} rows, expected {len(VIEWS)}: views are "
            "numbered otherwise in it, which cannot be exported"
        )
    section = StudySection(
        product=product.name,
        clip=StudyClip(frames, side, side, product.stride, product.mean, product.std),
        runs=product.runs,
        empty=asked.empty,
        views=weights.head.views,
        questions=product.questions,
    )
    card = None if asked.card is None else given_bytes("--card", asked.card)
    training = None if asked.training is None else given_object("--training", asked.training)
    return Source(_name(asked), weights, product, section, card, training)


def _weights(asked: Asked, product: Product) -> StudyWeights:
    if asked.checkpoint is not None:
        return read_checkpoint(asked.checkpoint, product.questions)
    if asked.encoder not in ENCODERS:
        raise ConfigError(f"--encoder {asked.encoder}: expected one of {', '.join(ENCODERS)}")
    encoder = ENCODERS[asked.encoder]
    outputs = tuple((one.name, one.columns) for one in product.questions)
    gated = None if product.name == "mace" else _GATES
    return drawn_weights(encoder, HeadShape(outputs, gated, encoder.features))


def _name(asked: Asked) -> str:
    if asked.name is not None:
        return asked.name
    if asked.checkpoint is None:
        return f"random-{asked.product}"
    return shown(asked.checkpoint.name.rsplit(".", 1)[0])[:_LONGEST_NAME]
