"""OpenTelemetry: each run is one span, whatever happens to receiver and gateway, and says nothing of what was found."""

from __future__ import annotations

import logging
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from cathrt.runtime.alert import NOTICE, Record
from cathrt.runtime.config import MetricsConfig
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.journal.process_start import process_start
from cathrt.runtime.metrics.otlp_peer import TakenOrNot
from cathrt.runtime.metrics.otlp_spans import RESULTS, exporting_runs, send_new_runs
from cathrt.runtime.trace.run_spans import RunSpans
from tests.metrics.otlp_receiver import Receiver, receiving
from tests.passes import alert, start, summary, verdict, write

ORIGIN_NS = 5 * 10**9  # by the monotonic clock of the box
PERIOD_NS = 66_000_000
FRAMES = 4
SAID = TakenOrNot("nobody", "runs", logging.getLogger(__name__))


class Box:
    """The journals of a box, and where its gateway sends runs."""

    def __init__(self, folder: Path, receiver: Receiver) -> None:
        self.folder, self.receiver = folder, receiver
        self.journals = {name: folder / f"{name}.journal" for name in RESULTS}
        self.settings = MetricsConfig(otlp_traces_endpoint=f"http://127.0.0.1:{receiver.port}", otlp_interval_s=0.01)

    def judge(self, name: str, journal: str = "live") -> None:
        """One run, four frames of which one was dropped."""
        write(self.journals[journal], [process_start("live"), *run_of(name)])

    def begins(self) -> None:
        """The first start of a gateway, which has nothing to send."""
        for name, result in RESULTS.items():
            with closing(RunSpans(self.journals[name], result)) as runs:
                send_new_runs(runs, self.folder / f"spans-{name}", lambda _: pytest.fail("sent"), SAID)

    def sends(self, requests: int) -> list[Any]:
        """The spans of so many more requests of a gateway."""
        before = len(self.receiver.taken)
        with exporting_runs(self.settings, self.journals, self.folder):
            for _ in range(requests):  # answered, or refused
                assert self.receiver.came.acquire(timeout=30.0)
        return [span for _, _, body in self.receiver.taken[before:] for span in spans_of(body)]


def run_of(name: str) -> list[Record]:
    verdicts = [replace(verdict(index, name), acquired_ns=ORIGIN_NS + index * PERIOD_NS) for index in range(FRAMES)]
    return [
        replace(start(name), source=f"{name} 09:30:11", rate="live"),
        *verdicts,
        alert(1, name),
        replace(summary(verdicts, name), source=f"{name} 09:30:11"),
    ]


def spans_of(body: bytes) -> list[Any]:
    request = ExportTraceServiceRequest.FromString(body)
    (resource,) = request.resource_spans
    assert [(pair.key, pair.value.string_value) for pair in resource.resource.attributes] == [
        ("service.name", "cathrt")
    ]
    (scope,) = resource.scope_spans
    return list(scope.spans)


def told(span: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in span.attributes}


def test_a_run_is_a_span_with_its_books_and_times_and_without_findings(tmp_path: Path) -> None:
    with receiving() as receiver:
        box = Box(tmp_path, receiver)
        box.begins()
        box.judge("A")
        (span,) = box.sends(1)
    assert receiver.taken[0][0] == "/v1/traces"
    assert (span.name, len(span.trace_id), len(span.span_id)) == ("run", 16, 8)
    assert span.end_time_unix_nano - span.start_time_unix_nano == (FRAMES - 1) * PERIOD_NS + 7_500_000
    found = told(span)
    assert (found["cathrt.result"], found["cathrt.source"], found["cathrt.frames"]) == ("live", "A", FRAMES)
    assert (found["cathrt.verdicts.met"], found["cathrt.verdicts.dropped"]) == (FRAMES, 0)
    assert [found[f"cathrt.latency_ms.end_to_end.{name}"] for name in ("p50", "p95", "p99", "max")] == [7.5, 8, 9, 9.5]
    assert (found["cathrt.keyframe.engine"], found["cathrt.notice"]) == ("fake", NOTICE)
    assert not [key for key in found if "score" in key or "text" in key or "laterality" in key]


def test_its_time_is_by_the_wall_clock_of_the_process_that_judged_it(tmp_path: Path) -> None:
    with receiving() as receiver:
        box = Box(tmp_path, receiver)
        box.begins()
        began = process_start("live")
        early = replace(began, id=f"{began.id[:-1]}0", monotonic_ns=ORIGIN_NS, utc="2026-12-01T00:30:00+00:00")
        late = replace(early, id=f"{began.id[:-1]}1", boot="another", utc="2026-12-02T00:30:00+00:00")
        write(box.journals["live"], [early, *run_of("A"), late, *run_of("B")])
        first, second = box.sends(1)
    day_ns = 86_400 * 10**9
    assert first.start_time_unix_nano % day_ns == 30 * 60 * 10**9
    assert second.start_time_unix_nano - first.start_time_unix_nano == day_ns


def test_while_the_receiver_refuses_runs_wait_and_then_come_once_each(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with receiving() as receiver, caplog.at_level(logging.WARNING, "cathrt"):
        box = Box(tmp_path, receiver)
        box.begins()
        box.judge("A")
        box.judge("B", "study")
        receiver.refuses = 3
        spans = box.sends(5)
    found = sorted((told(span)["cathrt.result"], told(span)["cathrt.source"]) for span in spans)
    assert found == [("confirmed", "received"), ("live", "A")]
    assert ["does not take" in record.getMessage() for record in caplog.records] == [True, False]


def test_a_gateway_goes_on_where_the_one_before_ended_and_a_repeat_is_the_same_span(tmp_path: Path) -> None:
    with receiving() as receiver:
        box = Box(tmp_path, receiver)
        box.begins()
        box.judge("A")
        (first,) = box.sends(1)
        box.judge("B")
        (second,) = box.sends(1)
        (tmp_path / "spans-live").write_bytes(b"")  # as one that was killed before it noted anything
        again = box.sends(1)
    assert [span.span_id for span in again] == [first.span_id, second.span_id]
    assert again == [first, second]
    assert first.trace_id != second.trace_id


def test_runs_before_the_first_start_are_not_sent(tmp_path: Path) -> None:
    with receiving() as receiver:
        box = Box(tmp_path, receiver)
        box.judge("before")
        box.begins()
        box.judge("A")
        (span,) = box.sends(1)
    assert told(span)["cathrt.source"] == "A"


def test_verdicts_without_a_time_make_no_span(tmp_path: Path) -> None:
    with receiving() as receiver:
        box = Box(tmp_path, receiver)
        box.begins()
        old = [replace(record, acquired_ns=None) if record.type == "verdict" else record for record in run_of("old")]
        write(box.journals["live"], [process_start("live"), *old, *run_of("A")])
        (span,) = box.sends(1)
    assert told(span)["cathrt.source"] == "A"


def test_without_an_address_nothing_is_read_or_sent(tmp_path: Path) -> None:
    with exporting_runs(MetricsConfig(otlp_endpoint="http://127.0.0.1:4318"), {}, tmp_path):
        assert not [thread for thread in threading.enumerate() if thread.name == "cathrt-otlp-runs"]
    assert list(tmp_path.iterdir()) == []


def test_an_address_of_another_machine_in_plain_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"metrics\.otlp_traces_endpoint: .*expected https for another machine"):
        with exporting_runs(MetricsConfig(otlp_traces_endpoint="http://10.1.2.3:4318"), {}, tmp_path):
            pass
