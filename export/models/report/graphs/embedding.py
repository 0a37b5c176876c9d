"""The embedding: token ids to rows of the table, times the square root of their size. Not for: pictures (vision.py).

T positions, V tokens, H hidden.
"""

from __future__ import annotations

import numpy as np

from cathrt.export.models.report.graphs.graph_writer import GraphWriter
from cathrt.export.models.report.graphs.settings import Form
from cathrt.export.models.report.graphs.weight_forms import FLOATS, Float32, check_range, quantise
from cathrt.export.models.report.shape import EMBEDDING, Weights

_ROWS_AT_A_TIME = 1024


def embedding_scale(hidden: int) -> np.float32:
    """What transformers 5 multiplies by in float32. In bfloat16 it rounds the factor, which no graph of ours does."""
    return np.float32(hidden**0.5)


def write_embedding(graph: GraphWriter, weights: Weights, form: Form) -> None:
    """Add the network to an empty graph. form: of the table, floats or int8 with one scale a row."""
    text = weights.shape.text
    ids = graph.input("token_ids", (1, "T"), "int64")
    table = weights.tensor(EMBEDDING)
    scale = embedding_scale(text.hidden)
    if form == "float32":
        table *= scale
        rows = graph.node("Gather", [graph.weight("table", table, "table"), ids], "rows", axis=0)
    elif form in FLOATS:
        rows = _rounded_rows(graph, ids, table, form, scale)
    else:
        rows = _integer_rows(graph, ids, table, scale)
    graph.output("embeddings", rows, (1, "T", text.hidden), "float32")


def _rounded_rows(graph: GraphWriter, ids: str, table: Float32, form: Form, scale: np.float32) -> str:
    check_range(EMBEDDING, table, form)
    narrow = np.empty(table.shape, FLOATS[form])
    for start in range(0, len(table), _ROWS_AT_A_TIME):
        narrow[start : start + _ROWS_AT_A_TIME] = table[start : start + _ROWS_AT_A_TIME]
    picked = graph.node("Gather", [graph.weight("table", narrow, "table"), ids], "rows.stored", axis=0)
    picked = graph.cast(picked, "rows.float32", "float32")
    return graph.node("Mul", [picked, graph.weight("scale", np.asarray(scale))], "rows")


def _integer_rows(graph: GraphWriter, ids: str, table: Float32, scale: np.float32) -> str:
    """A row's scale is read like the row itself, so only the rows asked for become floats."""
    values = np.empty(table.shape, np.int8)
    scales = np.empty((len(table), 1), np.float32)
    for start in range(0, len(table), _ROWS_AT_A_TIME):
        part = slice(start, start + _ROWS_AT_A_TIME)
        values[part], scales[part] = quantise(table[part], "int8", table.shape[1])
    picked = graph.node("Gather", [graph.weight("table", values, "table"), ids], "rows.stored", axis=0)
    picked = graph.cast(picked, "rows.float32", "float32")
    factors = graph.node("Gather", [graph.weight("table.scales", scales * scale, "table"), ids], "rows.scales", axis=0)
    return graph.node("Mul", [picked, factors], "rows")
