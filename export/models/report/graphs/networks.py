"""Writes the networks of one model into a folder: vision (where it has one), embedding, decoder.

One weight is in memory at a time, so the peak is the largest one, the embedding table, in float32 and in its stored
form. Not for: what an engine makes of them, and not for bundles.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cathrt.export.models.report.graphs.decoder import write_decoder
from cathrt.export.models.report.graphs.embedding import write_embedding
from cathrt.export.models.report.graphs.graph_writer import GraphWriter
from cathrt.export.models.report.graphs.rescale import AS_IT_IS, Rescale
from cathrt.export.models.report.graphs.settings import GraphSettings, WrittenNetwork
from cathrt.export.models.report.graphs.vision import write_vision
from cathrt.export.models.report.shape import Weights
from cathrt.runtime.models.report.section import DECODER, EMBEDDING, VISION


def write_networks(
    weights: Weights, settings: GraphSettings, folder: Path, rescale: Rescale = AS_IT_IS
) -> dict[str, WrittenNetwork]:
    """Write <role>.onnx and <role>.data into `folder` for every network; by role.

    rescale: for graphs that compute in float16 (ranges.py finds it). Raises ConfigError and EngineError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    if weights.shape.vision is not None:
        written[VISION] = write_vision_network(weights, settings, folder, rescale)
    written[EMBEDDING] = write_embedding_network(weights, settings, folder)
    written[DECODER] = write_decoder_network(weights, settings, folder, rescale)
    return written


def write_vision_network(
    weights: Weights, settings: GraphSettings, folder: Path, rescale: Rescale = AS_IT_IS
) -> WrittenNetwork:
    """Only that network. Raises as write_networks."""

    def add(graph: GraphWriter) -> None:
        write_vision(graph, weights, settings.vision_form, settings.block, rescale.vision)

    return _written(VISION, settings, folder, add, ())


def write_embedding_network(weights: Weights, settings: GraphSettings, folder: Path) -> WrittenNetwork:
    """Only that network. Raises as write_networks."""

    def add(graph: GraphWriter) -> None:
        write_embedding(graph, weights, settings.table_form)

    return _written(EMBEDDING, settings, folder, add, settings.embedding_buckets)


def write_decoder_network(
    weights: Weights, settings: GraphSettings, folder: Path, rescale: Rescale = AS_IT_IS
) -> WrittenNetwork:
    """Only that network. Raises as write_networks."""

    def add(graph: GraphWriter) -> None:
        write_decoder(graph, weights, settings, rescale)

    return _written(DECODER, settings, folder, add, settings.decoder_buckets)


def _written(
    role: str,
    settings: GraphSettings,
    folder: Path,
    add: Callable[[GraphWriter], None],
    buckets: tuple[dict[str, int], ...],
) -> WrittenNetwork:
    model_file, data_file = folder / f"{role}.onnx", folder / f"{role}.data"
    with GraphWriter(role, data_file, settings.products) as graph:
        add(graph)
        graph.save(model_file)
    files: tuple[Path, ...] = (model_file, data_file)
    if data_file.stat().st_size == 0:  # all weights are small, and stand in the ONNX file
        data_file.unlink()
        files = (model_file,)
    return WrittenNetwork(files, tuple(graph.inputs), tuple(graph.outputs), buckets, dict(graph.bytes_of))
