"""What export knows of a kind of model: a row of the EXPORTS table, and the parts that such a model is made of.

Not for: any single model (its folder). What qualifies a kind's networks is qualify/criteria.py's to say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the table is read before any command runs, and these import torch or onnx
    import onnx

    from cathrt.export.graph.fold import Feeds, Layout
    from cathrt.export.qualify.criteria import Criteria
    from cathrt.export.qualify.reference import Network
    from cathrt.export.qualify.runs import Truths
    from cathrt.runtime.bundle.manifest import Manifest
    from cathrt.runtime.bundle.opening import Bundle


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
    """One row of EXPORTS. Light: torch and onnx are imported by `source` and `port` when they are called.

    help: of the command `cathrt export <kind>`. source: reads weights and meaning; its first parameter is the
    configuration, the others are the command's own options, as typer takes them. Raises ConfigError.
    """

    help: str
    source: Callable[..., SourceModel]
    port: Callable[[], ExportPort]
