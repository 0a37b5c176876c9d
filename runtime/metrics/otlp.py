"""The same figures by OpenTelemetry: OTLP over HTTP, from a thread of the gateway. Off unless an endpoint is named.

Histograms are exponential ones of the same buckets. Not for: what the figures are (catalogue.py), the receiver
(otlp_peer.py), runs (otlp_spans.py).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from cathrt.runtime.config import MetricsConfig
from cathrt.runtime.errors import CathrtError
from cathrt.runtime.metrics.family import Family, Sample
from cathrt.runtime.metrics.histogram import FIRST_INDEX, SCHEMA, Histogram, upper_bound_s
from cathrt.runtime.metrics.otlp_peer import TIMEOUT_S, TakenOrNot, exporter_arguments

_log = logging.getLogger(__name__)


@contextmanager
def exporting(settings: MetricsConfig, figures: Callable[[], Sequence[Family]]) -> Iterator[None]:
    """Send the figures every otlp_interval_s until the end of the block; nothing where no endpoint is configured.

    Raises ConfigError: the endpoint asks for what is not configured, or the extra is not installed. A receiver that
    does not answer is logged when that begins and when it ends; the figures are sent again the next time.
    """
    if not settings.otlp_endpoint:
        yield
        return
    send, stop = _sender(settings), threading.Event()

    def run() -> None:
        said = TakenOrNot(settings.otlp_endpoint, "figures", _log)
        while not stop.wait(settings.otlp_interval_s):
            try:
                taken = send(figures())
            except (CathrtError, OSError) as exc:
                _log.warning("figures cannot be gathered: %s", exc)
                continue
            said.saw(taken=taken)

    thread = threading.Thread(target=run, name="cathrt-otlp", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(2.0 * TIMEOUT_S)


def _sender(settings: MetricsConfig) -> Callable[[Sequence[Family]], bool]:
    """Sends figures once; whether they were taken."""
    arguments = exporter_arguments(settings, "otlp_endpoint", "/v1/metrics")
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics.export import MetricExportResult

    exporter = OTLPMetricExporter(**arguments)
    began_ns = time.time_ns()
    return lambda families: exporter.export(metrics_data(families, began_ns)) is MetricExportResult.SUCCESS


def metrics_data(families: Sequence[Family], began_ns: int) -> Any:
    """The families as the SDK's MetricsData. began_ns: since when counters count, by the wall clock."""
    from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics, ScopeMetrics
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    metrics = [_metric(family, began_ns, time.time_ns()) for family in families if family.samples]
    scope = ScopeMetrics(InstrumentationScope("cathrt"), metrics, "")
    return MetricsData([ResourceMetrics(Resource({"service.name": "cathrt"}), [scope], "")])


def _metric(family: Family, began_ns: int, now_ns: int) -> Any:
    from opentelemetry.sdk.metrics.export import (
        AggregationTemporality,
        ExponentialHistogram,
        Gauge,
        Metric,
        NumberDataPoint,
        Sum,
    )

    def number(sample: Sample) -> Any:
        assert not isinstance(sample.value, Histogram)
        return NumberDataPoint(dict(family.named_labels(sample)), began_ns, now_ns, sample.value)

    data: Any
    if family.metric.kind == "histogram":
        points = [_histogram(family, sample, began_ns, now_ns) for sample in family.samples]
        data = ExponentialHistogram(points, AggregationTemporality.CUMULATIVE)
    elif family.metric.kind == "counter":
        data = Sum(list(map(number, family.samples)), AggregationTemporality.CUMULATIVE, is_monotonic=True)
    else:
        data = Gauge(list(map(number, family.samples)))
    unit = {"s": "s", "bytes": "By"}.get(family.metric.unit, "1")
    return Metric(family.metric.name, family.metric.help, unit, data)


def _histogram(family: Family, sample: Sample, began_ns: int, now_ns: int) -> Any:
    from opentelemetry.sdk.metrics.export import Buckets, ExponentialHistogramDataPoint

    value = sample.value
    assert isinstance(value, Histogram)
    held = [bucket for bucket, count in enumerate(value.buckets) if count]
    first, end = (held[0], held[-1] + 1) if held else (0, 0)
    return ExponentialHistogramDataPoint(
        dict(family.named_labels(sample)), began_ns, now_ns, value.count, value.sum_s, SCHEMA, value.zeros,
        # OpenTelemetry counts a bucket by its lower bound, Prometheus by its upper one.
        Buckets(FIRST_INDEX - 1 + first, list(value.buckets[first:end])), Buckets(0, []),
        flags=0,
        min=upper_bound_s(first - 1) if held and not value.zeros else 0.0,  # no more is known than the bounds
        max=upper_bound_s(end - 1) if held else 0.0,
    )  # fmt: skip
