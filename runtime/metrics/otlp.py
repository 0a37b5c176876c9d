"""The same figures by OpenTelemetry: OTLP over HTTP, from a thread of the gateway. Off unless an endpoint is named.

Histograms are exponential ones of the same buckets. Plain HTTP goes to this machine alone. Nothing is read from
environment variables. Not for: what the figures are (catalogue.py).
"""

from __future__ import annotations

import ipaddress
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cathrt.runtime.config import MetricsConfig
from cathrt.runtime.errors import CathrtError, ConfigError
from cathrt.runtime.metrics.family import Family, Sample
from cathrt.runtime.metrics.histogram import FIRST_INDEX, SCHEMA, Histogram, upper_bound_s
from cathrt.runtime.outside.secret_file import secret_from

_TIMEOUT_S = 5.0
_PATH = "/v1/metrics"

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
        reached: bool | None = None
        while not stop.wait(settings.otlp_interval_s):
            try:
                sent = send(figures())
            except (CathrtError, OSError) as exc:
                _log.warning("figures cannot be gathered: %s", exc)
                continue
            if sent is not reached and not (sent and reached is None):  # that it works at once is no news
                _log.warning("%s %s figures", settings.otlp_endpoint, "takes" if sent else "does not take")
            reached = sent

    thread = threading.Thread(target=run, name="cathrt-otlp", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(2.0 * _TIMEOUT_S)


def _sender(settings: MetricsConfig) -> Callable[[Sequence[Family]], bool]:
    """Sends figures once; whether they were taken."""
    try:
        import requests
        from opentelemetry.exporter.otlp.proto.http import Compression
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.sdk.metrics.export import MetricExportResult
    except ImportError as exc:
        raise ConfigError(
            f"metrics.otlp_endpoint: OpenTelemetry is not installed ({exc}): pip install 'cathrt[otel]'"
        ) from exc
    endpoint = _endpoint(settings)
    token = secret_from(Path(settings.otlp_token_file), "metrics.otlp_token_file") if settings.otlp_token_file else ""
    session = requests.Session()
    session.trust_env = False  # no proxies and no .netrc
    exporter = OTLPMetricExporter(
        endpoint=endpoint,
        certificate_file=settings.otlp_ca or None,
        headers={"authorization": f"Bearer {token}"} if token else {},
        timeout=_TIMEOUT_S,
        compression=Compression.Gzip,
        session=session,
    )
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # it logs each try; exporting() says it once
    began_ns = time.time_ns()
    return lambda families: exporter.export(metrics_data(families, began_ns)) is MetricExportResult.SUCCESS


def _endpoint(settings: MetricsConfig) -> str:
    """The address that figures are sent to. Raises ConfigError."""
    found = urlsplit(settings.otlp_endpoint)
    if found.scheme not in ("http", "https") or not found.hostname or found.query or found.username:
        raise ConfigError(
            f"metrics.otlp_endpoint: found {settings.otlp_endpoint!r}, expected an address such as http://127.0.0.1:4318"
        )
    if found.scheme == "http" and not _is_this_machine(found.hostname):
        raise ConfigError(
            f"metrics.otlp_endpoint: found {settings.otlp_endpoint}, expected https for another machine: the figures "
            "would go over the network in plain"
        )
    return settings.otlp_endpoint if found.path not in ("", "/") else settings.otlp_endpoint.rstrip("/") + _PATH


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


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
