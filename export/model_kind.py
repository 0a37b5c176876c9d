"""What export knows of a kind of model: a row of the EXPORTS table, and the parts that such a model is made of.

Not for: any single model (its folder). What qualifies a kind's networks is qualify/criteria.py's to say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the table is read before any command runs, and these import torch or onnx
    from typing import TypeAlias

    import onnx
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from cathrt.export.compare.agreement import Agreement
    from cathrt.export.compare.pairs import RunPair
    from cathrt.export.graph.fold import Feeds, Layout
    from cathrt.export.qualify.criteria import Criteria
    from cathrt.export.qualify.exported import AnyTarget, Exported
    from cathrt.export.qualify.reference import Network
    from cathrt.export.qualify.runs import Truths
    from cathrt.runtime.bundle.manifest import Manifest
    from cathrt.runtime.bundle.opening import Bundle
    from cathrt.runtime.config import Config

    AgreementOf: TypeAlias = Callable[[Sequence[RunPair], Manifest, Manifest], Agreement]


@dataclass(frozen=True, slots=True, eq=False)
class NetworkSource:
    """One network, as it can be built from its weights.

    identity: JSON: all that the plain graph depends on beside this code.
    plain: the float32 graph as published, one ONNX file, the same bytes each time. canonical: the plain graph folded
    and in one layout. Both check what they give on the feeds, where there are any, and raise EngineError.
    for_turing: the graph as SM 7.5 takes it, before it is typed.
    reference: the float32 network that has the last word. reference_name: what it is, for reports.
    """

    identity: Mapping[str, Any]
    plain: Callable[[Feeds | None], bytes]
    canonical: Callable[[onnx.ModelProto, Layout, Feeds | None], onnx.ModelProto]
    reference: Callable[[], Network]
    reference_name: str = "PyTorch float32"
    for_turing: Callable[[onnx.ModelProto], onnx.ModelProto] = lambda graph: graph


@dataclass(frozen=True, slots=True, eq=False)
class SourceModel:
    """Weights and their meaning, as they can be exported.

    manifest: complete but for files, artifacts, provenance and evidence. weights_sha256: hex, of the whole file. about:
    JSON for the provenance: what the weights are, beside their hash; "weights_read" has the "set" that was taken, where
    the file holds several. networks: by role, each of the manifest's. notes: lines for the user on how the weights were
    read.
    """

    manifest: Manifest
    weights_sha256: str
    about: Mapping[str, Any]
    networks: Mapping[str, NetworkSource]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class ExportPort:
    """The heavy part of a kind. criteria: by role, of each network of the kind.

    truths: what the kind takes for true of a frame of the qualification set.
    of_bundle: the model that a bundle was made of, from the file of its weights where one is given, and the set of
    weights in it (--state); None where neither the file nor the bundle says. Raises ConfigError for weights that are
    not the bundle's.
    card: the model card of a demonstration, written from its manifest; None where the kind has none.
    """

    criteria: Mapping[str, Criteria[Any, Any]]
    truths: Truths
    of_bundle: Callable[[Bundle, Path | None, str | None], SourceModel | None]
    card: Callable[[Manifest], str] | None = None


@dataclass(frozen=True, slots=True)
class ExportKind:
    """A row of EXPORTS whose networks answer frames: recipe/ builds and qualifies them.

    Light: torch and onnx are imported by `source` and `port` when they are called.

    help: of the command `cathrt export <kind>`. source: reads weights and meaning; its first parameter is the
    configuration, the others are the command's own options, as typer takes them. Raises ConfigError.
    agreement: for `cathrt compare`: gives the function that compares two sides' answers; None where the kind has none.
    """

    help: str
    source: Callable[..., SourceModel]
    port: Callable[[], ExportPort]
    agreement: Callable[[], AgreementOf] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class OwnRequest:
    """What every export command is asked, for a kind that goes a way of its own.

    sm: compute capabilities of plans, () for the default. limits: of the gate, made stricter, as "NAME=NUMBER" parts.
    key: None leaves unsigned files. sign_anyway: also a network that was not found to be better than chance.
    told(stage, how) is called after each stage, note(line) with what the user should know, advance(what, done, total)
    while something takes long.
    """

    settings: Config
    targets: tuple[AnyTarget, ...]
    out: Path
    sm: tuple[int, ...]
    limits: Mapping[str, float]
    key: Ed25519PrivateKey | None
    sign_anyway: bool
    told: Callable[[str, str], None] = lambda stage, how: None
    note: Callable[[str], None] = lambda line: None
    advance: Callable[[str, int, int], None] = lambda what, done, total: None


@dataclass(frozen=True, slots=True)
class OwnExport:
    """A row of EXPORTS of a kind that recipe/ cannot take: its networks answer no frames, or are too large to be held.

    Light, as ExportKind. export: builds, qualifies and signs. Its first parameter is the OwnRequest, the others are the
    command's own options, as typer takes them; it returns one Exported a target. Raises ConfigError.
    """

    help: str
    export: Callable[..., tuple[Exported, ...]]
