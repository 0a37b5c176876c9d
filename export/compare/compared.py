"""A finished comparison: who was compared on what, and its figures as rows for people and as JSON for programs.

Not for: how the answers were got (pairs.py) or drawn (page.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cathrt.export.compare.agreement import Agreement
from cathrt.export.compare.latency import StageLatency
from cathrt.export.compare.pairs import Side
from cathrt.export.qualify.intervals import Share
from cathrt.runtime.alert import Percentiles, Refusal

TIME_HEADER = ("latency, ms", "frames", "A p50", "A p99", "B p50", "B p99", "B / A")


@dataclass(frozen=True, slots=True)
class SideName:
    """What a side is: bundle, engine that judged, and the model's identity."""

    bundle: str
    manifest_sha256: str
    engine: str


def side_name(side: Side) -> SideName:
    return SideName(side.bundle.manifest.name, side.bundle.manifest_sha256, side.engine)


@dataclass(frozen=True, slots=True)
class Compared:
    """notice: the graver one of the two bundles. on: which runs, in words. made: with which version, and when.

    refused: by either side, so not compared.
    """

    a: SideName
    b: SideName
    notice: str
    on: str
    made: str
    runs: int
    refused: tuple[Refusal, ...]
    agreement: Agreement
    latency: tuple[StageLatency, ...]

    def common_rows(self) -> list[tuple[str, str]]:
        """What both sides answer alike, and how many frames could not be compared. Each row: what, how often."""
        rows = [(one.text, share_text(one.share)) for one in self.agreement.common]
        rows.append(("compared", f"{self.agreement.frames} frames of {self.runs} runs"))
        if self.agreement.by_one:
            rows.append(("judged by one side only", f"{self.agreement.by_one} frames"))
        if self.refused:
            rows.append(("refused", f"{len(self.refused)} inputs"))
        return rows

    def truth_rows(self) -> list[tuple[str, str, str]]:
        """How often A and B are right; nothing where no truth is known."""
        return [(one.text, share_text(one.a), share_text(one.b)) for one in self.agreement.against_truth]

    def time_rows(self) -> list[tuple[str, ...]]:
        """Of each stage: frames, p50 and p99 of A and of B, and B / A."""
        return [
            (
                one.stage,
                str(one.frames_a) if one.frames_a == one.frames_b else f"{one.frames_a}, {one.frames_b}",
                *_quoted(one.a),
                *_quoted(one.b),
                "" if one.b_over_a is None else f"{one.b_over_a:.2f}",
            )
            for one in self.latency
        ]

    def record(self, page: str) -> dict[str, Any]:
        """The JSON line. page: where the page lies."""
        agreement = self.agreement
        return {
            "type": "comparison",
            "a": _names(self.a),
            "b": _names(self.b),
            "runs": self.runs,
            "frames": agreement.frames,
            "frames_by_one": agreement.by_one,
            "refused": [{"source": one.source, "error": one.error, "message": one.message} for one in self.refused],
            "common": {one.name: _share(one.share) for one in agreement.common},
            "against_truth": {one.name: {"a": _share(one.a), "b": _share(one.b)} for one in agreement.against_truth},
            "latency_ms": {one.stage: {"a": _times(one.a), "b": _times(one.b)} for one in self.latency},
            "b_over_a": {one.stage: one.b_over_a for one in self.latency},
            "flips": [
                {"source": one.source, "frame_index": one.frame_index, "a": one.a, "b": one.b, "amount": one.amount}
                for one in agreement.flips
            ],
            "page": page,
            "notice": self.notice,
        }


def share_text(share: Share | None) -> str:
    """For a reader, with the 95 % interval."""
    if share is None:
        return "nothing to count"
    low, high = share.interval
    return f"{share.hits} of {share.of}: {100 * share.value:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def _names(side: SideName) -> dict[str, str]:
    return {"bundle": side.bundle, "manifest_sha256": side.manifest_sha256, "engine": side.engine}


def _share(share: Share | None) -> dict[str, Any] | None:
    if share is None:
        return None
    return {"hits": share.hits, "of": share.of, "share": share.value, "interval_95": list(share.interval)}


def _times(times: Percentiles | None) -> dict[str, float] | None:
    return None if times is None else {"p50": times.p50, "p99": times.p99}


def _quoted(times: Percentiles | None) -> tuple[str, str]:
    return ("", "") if times is None else (f"{times.p50:.2f}", f"{times.p99:.2f}")
