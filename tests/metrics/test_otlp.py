"""OpenTelemetry: the figures as a receiver decodes them; off by default; nothing in plain to other machines."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from cathrt.runtime.config import MetricsConfig
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.metrics import otlp
from cathrt.runtime.metrics.family import Family, Metric, family
from cathrt.runtime.metrics.histogram import BUCKETS, Histogram, bucket_of
from cathrt.runtime.metrics.otlp import exporting
from tests.metrics.otlp_receiver import receiving

TOKEN = "3f9c2b7a61d84e05"
BUCKET = bucket_of(0.01)
FIGURES = (
    family(Metric("cathrt_frames_total", "counter", "frames", "Frames.", ("source",)), [(("A",), 7)]),
    family(Metric("cathrt_picture_age_seconds", "gauge", "s", "Age.", ("source",)), [(("A",), 0.25)]),
    family(
        Metric("cathrt_stage_seconds", "histogram", "s", "Times.", ("stage",)),
        [(("infer",), Histogram(0.5, 2, [3 * (bucket == BUCKET) for bucket in range(BUCKETS)]))],
    ),
    family(Metric("cathrt_outlet_dead_letters", "gauge", "records", "None.", ()), []),
)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No wait between two sendings."""
    stop = threading.Event

    class Hurried(stop):  # type: ignore[misc,valid-type]
        def wait(self, timeout: float | None = None) -> bool:
            return super().wait(min(timeout or 0.0, 0.01))

    monkeypatch.setattr(otlp.threading, "Event", Hurried)


def decoded(body: bytes) -> dict[str, Any]:
    request = ExportMetricsServiceRequest.FromString(body)
    (resource,) = request.resource_metrics
    assert [(pair.key, pair.value.string_value) for pair in resource.resource.attributes] == [
        ("service.name", "cathrt")
    ]
    (scope,) = resource.scope_metrics
    return {metric.name: metric for metric in scope.metrics}


def test_a_receiver_gets_the_same_figures(quick: None, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    with receiving() as receiver:
        settings = MetricsConfig(f"http://127.0.0.1:{receiver.port}", 1.0, "", str(token))
        with exporting(settings, lambda: FIGURES):
            assert receiver.came.acquire(timeout=30.0)
    path, authorization, body = receiver.taken[0]
    assert (path, authorization) == ("/v1/metrics", f"Bearer {TOKEN}")
    found = decoded(body)
    assert found.keys() == {"cathrt_frames_total", "cathrt_picture_age_seconds", "cathrt_stage_seconds"}
    (count,) = found["cathrt_frames_total"].sum.data_points
    assert (count.as_int, found["cathrt_frames_total"].sum.is_monotonic) == (7, True)
    (age,) = found["cathrt_picture_age_seconds"].gauge.data_points
    assert (age.as_double, age.attributes[0].key, age.attributes[0].value.string_value) == (0.25, "source", "A")
    (times,) = found["cathrt_stage_seconds"].exponential_histogram.data_points
    assert (times.count, times.zero_count, times.sum, times.scale) == (5, 2, 0.5, 3)
    base, index = 2.0 ** (2.0**-times.scale), times.positive.offset
    assert list(times.positive.bucket_counts) == [3]
    assert base**index < 0.01 <= base ** (index + 1)
    assert times.min == 0.0
    assert times.max >= 0.01


def test_a_receiver_that_refuses_is_said_once_and_gets_the_next(quick: None, caplog: pytest.LogCaptureFixture) -> None:
    with receiving() as receiver, caplog.at_level(logging.WARNING, "cathrt"):
        receiver.refuses = 3
        with exporting(MetricsConfig(f"http://localhost:{receiver.port}/"), lambda: FIGURES):
            for _ in range(6):
                assert receiver.came.acquire(timeout=30.0)
        assert len(receiver.taken) >= 2
    said = [record.getMessage() for record in caplog.records]
    assert [("does not take" in line) for line in said] == [True, False]


def test_figures_that_cannot_be_gathered_end_nothing(quick: None, caplog: pytest.LogCaptureFixture) -> None:
    failures = iter([OSError("gone")])

    def gathered() -> tuple[Family, ...]:
        for failure in failures:
            raise failure
        return FIGURES

    with receiving() as receiver, caplog.at_level(logging.WARNING, "cathrt"):
        with exporting(MetricsConfig(f"http://127.0.0.1:{receiver.port}"), gathered):
            assert receiver.came.acquire(timeout=30.0)
    assert "figures cannot be gathered: gone" in caplog.text


def test_without_an_endpoint_nothing_is_sent_or_even_asked_for() -> None:
    with exporting(MetricsConfig(), lambda: pytest.fail("asked for")):
        assert not [thread for thread in threading.enumerate() if thread.name == "cathrt-otlp"]


@pytest.mark.parametrize(
    ("endpoint", "says"),
    [
        ("http://10.1.2.3:4318", "expected https for another machine"),
        ("http://collector.lab.example", "expected https for another machine"),
        ("ftp://127.0.0.1", "expected an address such as"),
        ("127.0.0.1:4318", "expected an address such as"),
        ("http://user@127.0.0.1", "expected an address such as"),
    ],
)
def test_an_endpoint_that_would_get_them_in_plain_is_refused_by_name(endpoint: str, says: str) -> None:
    with pytest.raises(ConfigError, match=f"metrics.otlp_endpoint: .*{says}"):
        with exporting(MetricsConfig(endpoint), lambda: FIGURES):
            pass
