"""A metric and its values at one moment, whatever format they are written in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from cathrt.runtime.metrics.histogram import Histogram

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Metric:
    """What a metric is. unit: as a person reads it; the name ends with it where Prometheus asks for that."""

    name: str
    kind: Kind
    unit: str
    help: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """One value. labels: values of the metric's labels, in their order."""

    labels: tuple[str, ...]
    value: float | Histogram


@dataclass(frozen=True, slots=True)
class Family:
    """A metric with its samples."""

    metric: Metric
    samples: tuple[Sample, ...]

    def named_labels(self, sample: Sample) -> list[tuple[str, str]]:
        """Names and values of a sample's labels."""
        return list(zip(self.metric.labels, sample.labels, strict=True))


def family(metric: Metric, values: Iterable[tuple[tuple[str, ...], float | Histogram | None]]) -> Family:
    """Of a metric and its values by their labels, without those that are not known."""
    return Family(metric, tuple(Sample(labels, value) for labels, value in values if value is not None))
