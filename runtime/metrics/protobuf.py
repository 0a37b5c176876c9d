"""The protobuf format of Prometheus, the one that carries native histograms: each family behind its length.

Message io.prometheus.client.MetricFamily, of which we write what we have. By hand, because no client library for
Python writes native histograms (docs/decisions/0055-metrics.md), and it is a few fields.
Not for: the text format (text.py).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from cathrt.runtime.metrics.family import Family, Kind, Sample
from cathrt.runtime.metrics.histogram import FIRST_INDEX, SCHEMA, ZERO_THRESHOLD_S, Histogram

CONTENT_TYPE = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
_TYPES: dict[Kind, int] = {"counter": 0, "gauge": 1, "histogram": 4}
_FIELD_OF_VALUE: dict[Kind, int] = {"gauge": 2, "counter": 3, "histogram": 7}


def protobuf_from(families: Iterable[Family]) -> bytes:
    """The families, each as a message behind its length."""
    return b"".join(_delimited(_family(family)) for family in families)


def _family(family: Family) -> bytes:
    metric = family.metric
    head = _text(1, metric.name) + _text(2, metric.help) + _number(3, _TYPES[metric.kind])
    return head + b"".join(_message(4, _sample(family, sample)) for sample in family.samples)


def _sample(family: Family, sample: Sample) -> bytes:
    pairs = b"".join(_message(1, _text(1, name) + _text(2, value)) for name, value in family.named_labels(sample))
    value = sample.value
    body = _histogram(value) if isinstance(value, Histogram) else _double(1, value)
    return pairs + _message(_FIELD_OF_VALUE[family.metric.kind], body)


def _histogram(value: Histogram) -> bytes:
    """With classic buckets too, for a server that does not take native ones."""
    classic = b"".join(
        _message(3, _number(1, count) + _double(2, bound_s)) for bound_s, count in (*value.at_most(), _all(value))
    )
    native = _number(5, _zigzag(SCHEMA)) + _double(6, ZERO_THRESHOLD_S) + _number(7, value.zeros)
    return _number(1, value.count) + _double(2, value.sum_s) + classic + native + _positive(value)


def _all(value: Histogram) -> tuple[float, int]:
    return float("inf"), value.count


def _positive(value: Histogram) -> bytes:
    """Fields 12 and 13: runs of buckets that hold something, and their counts, each as a step from the one before."""
    spans, deltas, end, before = b"", b"", -FIRST_INDEX, 0  # the first gap counts from bucket 0 of Prometheus
    for start, counts in _runs(value):
        spans += _message(12, _number(1, _zigzag(start - end)) + _number(2, len(counts)))
        end = start + len(counts)
        for count in counts:
            deltas += _number(13, _zigzag(count - before))
            before = count
    return spans + deltas


def _runs(value: Histogram) -> Iterator[tuple[int, list[int]]]:
    start, run = 0, list[int]()
    for bucket, count in enumerate((*value.buckets, 0)):
        if count:
            start = start if run else bucket
            run.append(count)
        elif run:
            yield start, run
            run = []


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def _zigzag(value: int) -> int:
    """A signed number as protobuf's sint has it."""
    return 2 * value if value >= 0 else -2 * value - 1


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _double(field: int, value: float) -> bytes:
    return _varint(field << 3 | 1) + struct.pack("<d", value)


def _message(field: int, body: bytes) -> bytes:
    return _varint(field << 3 | 2) + _delimited(body)


def _text(field: int, text: str) -> bytes:
    return _message(field, text.encode(errors="replace"))


def _delimited(body: bytes) -> bytes:
    return _varint(len(body)) + body
