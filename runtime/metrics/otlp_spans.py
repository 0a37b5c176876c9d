"""A span for each run by OpenTelemetry, out of the journals, from a thread of the gateway. Off without an address.

How far it is, is kept in a file for each journal, moved once the receiver has taken the spans: each comes at least
once, and always with the same ids. Not for: what is in a span (trace/run_spans.py), the receiver (otlp_peer.py).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from cathrt.runtime.config import MetricsConfig
from cathrt.runtime.errors import CathrtError
from cathrt.runtime.journal.reader import ReaderPlace
from cathrt.runtime.metrics.otlp_peer import TIMEOUT_S, TakenOrNot, exporter_arguments
from cathrt.runtime.trace.run_spans import NAME, RunSpan, RunSpans

RESULTS = {"live": "live", "study": "confirmed"}  # of the runs in each journal

_log = logging.getLogger(__name__)


@contextmanager
def exporting_runs(settings: MetricsConfig, journals: Mapping[str, Path], places: Path) -> Iterator[None]:
    """Send each run that ends, every otlp_interval_s until the end of the block; nothing without an address.

    places: the folder where it is kept how far each journal was sent; one that is new begins with the runs to come.
    Raises ConfigError as exporting() does. What cannot be read or sent is logged once, and tried again.
    """
    if not settings.otlp_traces_endpoint:
        yield
        return
    send, stop = _sender(settings), threading.Event()

    def run() -> None:
        said, fault = TakenOrNot(settings.otlp_traces_endpoint, "runs", _log), ""
        of_all = {name: RunSpans(journals[name], result) for name, result in RESULTS.items()}
        while not stop.wait(settings.otlp_interval_s):
            try:
                for name, runs in of_all.items():
                    send_new_runs(runs, places / f"spans-{name}", send, said)
                fault = ""
            except (CathrtError, OSError) as exc:
                if str(exc) != fault:
                    _log.warning("runs cannot be sent: %s", exc)
                fault = str(exc)
        for runs in of_all.values():
            runs.close()

    thread = threading.Thread(target=run, name="cathrt-otlp-runs", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(2.0 * TIMEOUT_S)


def send_new_runs(runs: RunSpans, kept: Path, send: Callable[[Sequence[RunSpan]], bool], said: TakenOrNot) -> None:
    """Send what ended since the place that is kept in that file, until the receiver refuses. Raises CathrtError."""
    is_new = not kept.exists()
    with closing(ReaderPlace(kept)) as kept_place:
        if is_new:
            kept_place.move(runs.now())
        while True:
            spans, place = runs.after(kept_place.place)
            if place == kept_place.place:
                return
            if spans:
                taken = send(spans)
                said.saw(taken=taken)
                if not taken:
                    return
            kept_place.move(place)


def _sender(settings: MetricsConfig) -> Callable[[Sequence[RunSpan]], bool]:
    """Sends spans once; whether they were taken."""
    arguments = exporter_arguments(settings, "otlp_traces_endpoint", "/v1/traces")
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import SpanExportResult

    exporter = OTLPSpanExporter(**arguments)
    return lambda spans: exporter.export(list(map(_of_the_sdk, spans))) is SpanExportResult.SUCCESS


def _of_the_sdk(span: RunSpan) -> Any:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, TraceFlags

    return ReadableSpan(
        NAME,
        SpanContext(span.trace_id, span.span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED)),
        resource=Resource({"service.name": "cathrt"}),
        attributes=dict(span.told),
        instrumentation_scope=InstrumentationScope("cathrt"),
        start_time=span.begin_ns,
        end_time=span.end_ns,
    )
