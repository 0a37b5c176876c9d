"""The text format of Prometheus, version 0.0.4. It has no native histograms: their times come in classic buckets.

Not for: the protobuf format (protobuf.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cathrt.runtime.metrics.family import Family, Sample
from cathrt.runtime.metrics.histogram import Histogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def text_from(families: Iterable[Family]) -> bytes:
    """The families as a page."""
    return "".join(line + "\n" for family in families for line in _lines(family)).encode()


def _lines(family: Family) -> Iterator[str]:
    metric = family.metric
    yield f"# HELP {metric.name} {_escaped(metric.help)}"
    yield f"# TYPE {metric.name} {metric.kind}"
    for sample in family.samples:
        labels = family.named_labels(sample)
        if isinstance(sample.value, Histogram):
            yield from _histogram(metric.name, labels, sample.value)
        else:
            yield f"{metric.name}{_labelled(labels)} {_number(sample)}"


def _histogram(name: str, labels: list[tuple[str, str]], value: Histogram) -> Iterator[str]:
    for bound_s, count in value.at_most():
        yield f"{name}_bucket{_labelled([*labels, ('le', repr(bound_s))])} {count}"
    yield f"{name}_bucket{_labelled([*labels, ('le', '+Inf')])} {value.count}"
    yield f"{name}_sum{_labelled(labels)} {value.sum_s!r}"
    yield f"{name}_count{_labelled(labels)} {value.count}"


def _number(sample: Sample) -> str:
    value = sample.value
    assert not isinstance(value, Histogram)
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _labelled(labels: list[tuple[str, str]]) -> str:
    inside = ",".join(f'{name}="{_escaped(value, quotes=True)}"' for name, value in labels)
    return f"{{{inside}}}" if inside else ""


def _escaped(text: str, *, quotes: bool = False) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n").encode(errors="replace").decode()
    return text.replace('"', '\\"') if quotes else text
