"""Every metric of the catalogue is exposed out of what a box leaves, adds up, and stands on docs/metrics.md."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cathrt.runtime.alert import StageTimes
from cathrt.runtime.config import Config, FeedConfig, SourceConfig
from cathrt.runtime.gateway.feed import FeedStatus, Pages, opened_feed
from cathrt.runtime.metrics import protobuf, text
from cathrt.runtime.metrics.catalogue import METRICS
from cathrt.runtime.metrics.family import Family
from cathrt.runtime.metrics.histogram import Histogram
from cathrt.runtime.processes.counts_file import CountsFile
from cathrt.runtime.processes.figures import figures
from cathrt.runtime.processes.heartbeat import Heartbeat
from cathrt.runtime.processes.state_folder import StateFolder
from cathrt.runtime.processes.times_file import TimesFile
from tests.conftest import ROOT
from tests.gateway.reading import RECORDS, Serving, serving
from tests.metrics.prometheus_messages import families_from
from tests.passes import write

CONFIG = Config(sources=(SourceConfig("A", "phantom"), SourceConfig("B", "phantom")))
FEED = FeedStatus(3, {"live": 1}, {})


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateFolder]:
    """What a box that has judged and delivered something leaves."""
    folder = StateFolder(tmp_path / "state")
    folder.make()
    write(folder.live_journal, RECORDS)
    with closing(CountsFile(folder.counts("A"), "A")) as counts:
        counts.settle({})
        for count, number in (("received", 30), ("held", 9), ("frames", 20), ("met", 12), ("late", 3), ("dropped", 1)):
            counts.add(count, number)  # type: ignore[arg-type]
        for moment in ("picture_ns", "verdict_ns", "inference_ns"):
            counts.note(moment, time.monotonic_ns())  # type: ignore[arg-type]
    with closing(TimesFile(folder.times("A"), "A")) as times:
        for seq in range(1, 16):
            times.count(seq, StageTimes(1.0, 2.0, 3.0, 0.5, 7.0))
    Heartbeat(folder.heartbeat("live")).beat()
    Heartbeat(folder.heartbeat("supervisor")).beat()
    process = {"name": "live", "state": "running", "pid": 1, "restarts": 2, "why": "", "last_end": "killed"}
    down = {"name": "study", "state": "given up", "pid": None, "restarts": 11, "why": "given up", "last_end": "exit 1"}
    folder.write_report("supervisor", {"pid": 1, "processes": [process, down]})
    engine = {"engine": "openvino", "manifest_sha256": "ab" * 32, "rung": 1, "rungs": 2, "live_ai": True}
    more = {"reason": "start", "detail": "", "since_ns": 0, "left_behind": 0, "bundle": "demonstration"}
    off = {"engine": None, "manifest_sha256": None, "rung": None, "rungs": 2, "live_ai": False}
    folder.write_report("engines", {"A": {"keyframe": engine | more}, "B": {"keyframe": off | more}})
    outlet = {"name": "ward", "kind": "mqtt", "rows_behind": 4, "oldest_s": 2.5, "delivered": 9, "failed": 1, "dead": 2}
    folder.write_report("outlets", {"outlets": [outlet]})
    yield folder
    if os.path.lexists(folder.memory):
        folder.dismiss_memory()


def values(families: tuple[Family, ...], name: str) -> dict[tuple[str, ...], Any]:
    (found,) = [family for family in families if family.metric.name == name]
    return {sample.labels: sample.value for sample in found.samples}


def test_every_metric_of_the_catalogue_is_exposed_once_with_a_value(state: StateFolder) -> None:
    found = figures(state, CONFIG, FEED)
    assert sorted(family.metric.name for family in found) == sorted(metric.name for metric in METRICS)
    assert [family.metric.name for family in found if not family.samples] == []


def test_counters_are_the_books_and_balance(state: StateFolder) -> None:
    found = figures(state, CONFIG, FEED)

    def of_a(name: str) -> int:
        return int(values(found, name)["A",])

    ended = sum(values(found, "cathrt_verdicts_total").values()) + of_a("cathrt_frames_lost_total")
    ended += of_a("cathrt_frames_refused_total")
    assert of_a("cathrt_pictures_received_total") == (
        of_a("cathrt_pictures_held_total") + of_a("cathrt_frames_total") + of_a("cathrt_pictures_waiting")
    )
    assert of_a("cathrt_frames_total") == ended + of_a("cathrt_frames_unjudged")
    histogram = values(found, "cathrt_stage_seconds")["live", "A", "end_to_end"]
    assert isinstance(histogram, Histogram)
    outcomes = values(found, "cathrt_verdicts_total")
    assert histogram.count == outcomes["A", "MET"] + outcomes["A", "LATE"]


def test_figures_tell_what_is_and_what_is_not(state: StateFolder) -> None:
    found = figures(state, CONFIG, FEED)
    assert values(found, "cathrt_process_up") == {("live",): 1, ("study",): 0}
    assert values(found, "cathrt_process_restarts_total") == {("live",): 2, ("study",): 11}
    assert values(found, "cathrt_engine_info") == {("A", "keyframe", "openvino", "ab" * 32): 1}
    assert values(found, "cathrt_engine_rung") == {("A", "keyframe"): 1}
    assert values(found, "cathrt_live_ai") == {("A", "keyframe"): 1, ("B", "keyframe"): 0}
    assert values(found, "cathrt_outlet_dead_letters") == {("ward", "mqtt"): 2}
    assert values(found, "cathrt_journal_rows") == {("live",): len(RECORDS)}
    assert values(found, "cathrt_journal_bytes")["live",] > 4096
    assert values(found, "cathrt_healthy") == {(): 0}
    assert values(found, "cathrt_feed_readers") == {(): 3}
    assert 0.0 <= values(found, "cathrt_picture_age_seconds")["A",] < 60.0
    assert ("B",) not in values(found, "cathrt_picture_age_seconds"), "a source without counts has no figures"


def test_a_folder_without_a_box_has_figures_that_say_so(tmp_path: Path) -> None:
    found = figures(StateFolder(tmp_path / "nothing"), Config(), FEED)
    assert values(found, "cathrt_healthy") == {(): 0}
    assert values(found, "cathrt_health_reasons")[()] >= 1


def test_the_gateway_serves_them_in_both_formats(state: StateFolder, tmp_path: Path) -> None:
    pages = Pages(lambda _feed: {}, lambda feed: figures(state, CONFIG, feed))
    with opened_feed(FeedConfig(port=0), {"live": state.live_journal}, pages) as feed:
        served = Serving(feed, tmp_path)
        status, headers, body = served.get("/metrics")
        assert (status, headers["content-type"]) == (200, text.CONTENT_TYPE)
        assert b"cathrt_frames_total" in body
        asked = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
        status, headers, body = served.get("/metrics", Accept=asked)
        assert (status, headers["content-type"]) == (200, protobuf.CONTENT_TYPE)
        assert families_from(body).keys() == {metric.name for metric in METRICS}


def test_figures_that_cannot_be_had_are_an_error_that_says_so(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        assert served.get("/metrics")[0] == 200

    def broken(_feed: FeedStatus) -> tuple[Family, ...]:
        raise OSError("no memory")

    with opened_feed(FeedConfig(port=0), {}, Pages(lambda _feed: {}, broken)) as feed:
        status, _, body = Serving(feed, tmp_path).get("/metrics")
    assert status == 503
    assert b"no memory" in body


def test_the_page_says_of_every_metric_what_it_is(state: StateFolder) -> None:
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(cathrt_\w+)` \| (\w+) \| ([^|]+) \| ([^|]+) \| [^|]+ \|$", page, re.MULTILINE)
    told = {name: (kind, unit.strip(), labels.strip()) for name, kind, unit, labels in rows}
    assert len(told) == len(rows)
    assert told == {
        metric.name: (metric.kind, metric.unit, ", ".join(f"`{label}`" for label in metric.labels) or "–")
        for metric in METRICS
    }


def test_names_and_units_are_as_prometheus_asks() -> None:
    for metric in METRICS:
        assert re.fullmatch(r"cathrt_[a-z0-9_]+", metric.name)
        assert metric.name.endswith("_total") is (metric.kind == "counter")
        assert metric.name.endswith("_seconds") is (metric.unit == "s")
        assert metric.name.endswith("_bytes") is (metric.unit == "bytes")
        assert metric.help.endswith(".")
