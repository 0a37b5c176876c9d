"""The head over a study's clips as a graph: the learned token's attention as one query, and the rest as published.

Only the learned token's own place is read of each self-attention, and nothing is added to it, so one query is all that
is needed. The query is the same in every study, so keys are never made: each head of attention has one vector that an
item is multiplied with, and what the query finds is summed before it becomes a value. Exact but for the order of sums.
Not for: what the outputs mean (products.py). N clips, L tokens, F features, A heads of attention.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import onnx

from cathrt.export.models.study.graphs.graph import Float32, Graph, Weights
from cathrt.export.models.study.head import ATTENTION_HEADS, HEAD_EPSILON, HeadShape
from cathrt.runtime.models.study.contract import COUNTED, FEATURES, LOGITS, RUNS_SIZE, THERE, VIEWS

# Its exponential is 0 in float32 and in float16 beside any score that a network gives, and float16 holds it.
_HIDDEN = -3e4
Questions = Literal["Gemm", "MatMul"]  # how the last layer is written


def head_graph(shape: HeadShape, weights: Weights, tokens: int, questions: Questions = "Gemm") -> onnx.ModelProto:
    """questions: "Gemm" stays in float32 where the graph is typed later; SM 7.5 takes no such product."""
    return _HeadGraph(shape, weights, tokens, questions).model()


class _HeadGraph:
    def __init__(self, shape: HeadShape, weights: Weights, tokens: int, questions: Questions) -> None:
        self._graph = Graph("study head")
        self._shape, self._weights, self._tokens, self._questions = shape, weights, tokens, questions

    def model(self) -> onnx.ModelProto:
        graph, shape = self._graph, self._shape
        features = graph.input(FEATURES, (1, RUNS_SIZE, self._tokens, shape.features))
        there = graph.input(THERE, (1, RUNS_SIZE), "bool")
        if shape.views:
            features = self._with_views(features)
        seen = graph.reshape(there, "there.row", (1, 1, 1, -1))
        by_token = self._asked(features, "within", None)
        by_token = graph.reshape(by_token, "within.clips", (1, 1, -1, shape.features))
        asked = self._asked(by_token, "across", seen)
        pooled = graph.reshape(asked, "across.study", (1, shape.features))
        counted = "across.counted"
        if shape.gated is not None:
            clips, _ = self._gated(features, "tokens", None)
            clips = graph.reshape(clips, "gated.clips", (1, 1, -1, shape.features))
            study, shares = self._gated(clips, "clips", seen)
            row = graph.reshape(study, "gated.study", (1, shape.features))
            pooled = graph.node("Concat", [row, pooled], "pooled", axis=1)
            counted = graph.reshape(shares, "gated.counted", (1, -1))
        else:
            self._mean_share()
        graph.output(LOGITS, self._answers(pooled), (1, shape.columns))
        graph.output(COUNTED, counted, (1, RUNS_SIZE))
        return graph.model()

    def _with_views(self, features: str) -> str:
        views = self._graph.input(VIEWS, (1, RUNS_SIZE), "int64")
        table = self._graph.weight("views.table", self._weights["mil_model.view_embedding.weight"])
        rows = self._graph.node("Gather", [table, views], "views.rows", axis=0)
        rows = self._graph.reshape(rows, "views.rows_of_clips", (1, -1, 1, self._shape.features))
        return self._graph.node("Add", [features, rows], "features.with_views")

    def _gated(self, items: str, name: str, seen: str | None) -> tuple[str, str]:
        """items (1, R, K, F) to (1, R, 1, F) and to the items' shares, (1, R, 1, K), for R rows of K items."""
        graph, name = self._graph, f"gated.{name}"
        bent = graph.node("Tanh", [self._gate(items, f"{name}.bent", "V")], f"{name}.bent.tanh")
        opened = graph.node("Sigmoid", [self._gate(items, f"{name}.opened", "U")], f"{name}.opened.sigmoid")
        through = graph.node("Mul", [bent, opened], f"{name}.through")
        scores = graph.transpose(self._gate(through, f"{name}.scores", "w"), f"{name}.scores_row", (0, 1, 3, 2))
        shares = self._shares(scores, f"{name}.shares", seen)
        return graph.node("MatMul", [shares, items], f"{name}.found"), shares

    def _gate(self, items: str, name: str, which: str) -> str:
        full = f"mil_model.attention_{which}"
        return self._graph.linear(items, name, self._weights[f"{full}.weight"], self._weights[f"{full}.bias"],
                                  f"gated.{which}")  # fmt: skip

    def _asked(self, items: str, where: str, seen: str | None) -> str:
        """What the learned token finds among (1, R, K, F) items and itself: (1, R, F)."""
        graph, width = self._graph, self._shape.features
        vectors, constants, own = self._query(where)
        scores = graph.linear(items, f"{where}.scores", vectors, constants)
        scores = graph.transpose(scores, f"{where}.scores_row", (0, 1, 3, 2))
        if seen is not None:
            hidden = graph.weight("hidden", np.asarray(_HIDDEN, np.float32))
            scores = graph.node("Where", [seen, scores, hidden], f"{where}.scores_seen")
        rows = graph.node("Shape", [items], f"{where}.rows", start=0, end=2)
        shape = graph.node("Concat", [rows, graph.sizes("ones", (1, 1))], f"{where}.own_shape", axis=0)
        own_score = graph.weight(f"{where}.own_score", own.reshape(1, 1, -1, 1))
        own_each = graph.node("Expand", [own_score, shape], f"{where}.own_each")
        all_scores = graph.node("Concat", [own_each, scores], f"{where}.all_scores", axis=3)
        shares = graph.node("Softmax", [all_scores], f"{where}.shares", axis=-1)
        ends = [graph.sizes(f"from.{one}", (one,)) for one in (0, 1)]
        last, axis = graph.sizes("to.last", (2**31 - 1,)), graph.sizes("last_axis", (3,))
        of_own = graph.node("Slice", [shares, ends[0], ends[1], axis], f"{where}.own_share")
        of_items = graph.node("Slice", [shares, ends[1], last, axis], f"{where}.items_shares")
        token = graph.weight("token", self._weights["mil_model.cls_token"].reshape(1, 1, 1, width))
        found = graph.node("MatMul", [of_items, items], f"{where}.items_found")
        found = graph.node("Add", [found, graph.node("Mul", [of_own, token], f"{where}.own_found")], f"{where}.found")
        return self._valued(found, where)

    def _query(self, where: str) -> tuple[Float32, Float32, Float32]:
        """By head of attention: the vector that items are multiplied with, (A, F); what is added; the token's own."""
        inputs, biases = self._attention(where, "in_proj_weight"), self._attention(where, "in_proj_bias")
        width = self._shape.features
        token = self._weights["mil_model.cls_token"].reshape(width).astype(np.float64)
        query = (inputs[:width] @ token + biases[:width]).reshape(ATTENTION_HEADS, -1)
        query *= query.shape[1] ** -0.5
        keys = inputs[width : 2 * width].reshape(ATTENTION_HEADS, -1, width)
        vectors = np.einsum("ad,adf->af", query, keys)
        constants = (query * biases[width : 2 * width].reshape(ATTENTION_HEADS, -1)).sum(1)
        own = vectors @ token + constants
        return vectors.astype(np.float32), constants.astype(np.float32), own.astype(np.float32)

    def _valued(self, found: str, where: str) -> str:
        """What each head of attention found, (1, R, A, F), as the layer's output, normed: (1, R, F)."""
        graph, width = self._graph, self._shape.features
        inputs, biases = self._attention(where, "in_proj_weight"), self._attention(where, "in_proj_bias")
        values = inputs[2 * width :].reshape(1, ATTENTION_HEADS, -1, width).transpose(0, 1, 3, 2)
        by_head = graph.transpose(found, f"{where}.by_head", (0, 2, 1, 3))
        product = graph.node(
            "MatMul", [by_head, graph.weight(f"{where}.values.weight", values.astype(np.float32))], f"{where}.values"
        )
        together = graph.transpose(product, f"{where}.values_by_row", (0, 2, 1, 3))
        together = graph.reshape(together, f"{where}.values_together", (0, -1, width))
        bias = graph.weight(f"{where}.values.bias", biases[2 * width :].astype(np.float32))
        together = graph.node("Add", [together, bias], f"{where}.values_shifted")
        name = f"mil_model.cls_attention_{where}.out_proj"
        out = graph.linear(together, f"{where}.out", self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])
        norm = f"mil_model.cls_norm_{where}"
        pair = self._weights[f"{norm}.weight"], self._weights[f"{norm}.bias"]
        return graph.norm(out, f"{where}.normed", *pair, HEAD_EPSILON)

    def _attention(self, where: str, name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        return self._weights[f"mil_model.cls_attention_{where}.{name}"].astype(np.float64)

    def _shares(self, scores: str, name: str, seen: str | None) -> str:
        if seen is not None:
            hidden = self._graph.weight("hidden", np.asarray(_HIDDEN, np.float32))
            scores = self._graph.node("Where", [seen, scores, hidden], f"{name}.scores_seen")
        return self._graph.node("Softmax", [scores], name, axis=-1)

    def _mean_share(self) -> None:
        """Of a head without gates: the clips' shares of what the learned token found in them, over all heads."""
        graph = self._graph
        mean = graph.node(
            "ReduceMean", ["across.items_shares", graph.sizes("by_head", (2,))], "across.mean", keepdims=0
        )
        row = graph.reshape(mean, "across.mean_row", (1, -1))
        total = graph.node("ReduceSum", [row, graph.sizes("by_clip", (1,))], "across.total", keepdims=1)
        graph.node("Div", [row, total], "across.counted")

    def _answers(self, pooled: str) -> str:
        """(1, columns): one layer of all questions' rows."""
        names = [f"mil_model.heads.{name}" for name, _ in self._shape.outputs]
        weight = np.concatenate([self._weights[f"{name}.weight"] for name in names])
        bias = np.concatenate([self._weights[f"{name}.bias"] for name in names])
        if self._questions == "MatMul":
            return self._graph.linear(pooled, "questions", weight, bias)
        stored = [self._graph.weight("questions.weight", weight), self._graph.weight("questions.bias", bias)]
        return self._graph.node("Gemm", [pooled, *stored], "questions", transB=1)
