"""Histograms, and the two formats of /metrics as decoders of other makers read them."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cathrt.runtime.metrics import protobuf, text
from cathrt.runtime.metrics.family import Metric, family
from cathrt.runtime.metrics.histogram import (
    BUCKETS,
    FIRST_INDEX,
    SCHEMA,
    ZERO_THRESHOLD_S,
    Histogram,
    bucket_of,
    upper_bound_s,
)
from cathrt.runtime.metrics.negotiation import page_for
from tests.metrics.prometheus_messages import families_from, labels_of, native_buckets

COUNTER = Metric("cathrt_things_total", "counter", "things", "How many.", ("of",))
GAUGE = Metric("cathrt_age_seconds", "gauge", "s", "How long.")
TIMES = Metric("cathrt_stage_seconds", "histogram", "s", "Times.", ("stage",))


def histogram_of(times_s: list[float]) -> Histogram:
    counted = Counter(map(bucket_of, times_s))
    return Histogram(sum(times_s), counted[None], tuple(counted[bucket] for bucket in range(BUCKETS)))


@given(st.floats(min_value=ZERO_THRESHOLD_S, max_value=255.0, exclude_min=True))
def test_a_time_is_in_the_one_bucket_whose_bounds_hold_it(seconds: float) -> None:
    bucket = bucket_of(seconds)
    assert bucket is not None
    lower_s = upper_bound_s(bucket - 1) if bucket else ZERO_THRESHOLD_S
    assert lower_s < seconds <= upper_bound_s(bucket)


def test_bounds_are_those_of_prometheus_and_grow_by_nine_percent() -> None:
    base = 2.0 ** (2.0**-SCHEMA)
    for bucket in range(BUCKETS):
        assert upper_bound_s(bucket) == pytest.approx(base ** (bucket + FIRST_INDEX))
        assert bucket_of(upper_bound_s(bucket)) == bucket
    assert base == pytest.approx(1.09, abs=0.001)


def test_times_out_of_range_are_counted_at_its_ends() -> None:
    assert [bucket_of(seconds) for seconds in (-1.0, 0.0, ZERO_THRESHOLD_S)] == [None] * 3
    assert bucket_of(1e6) == BUCKETS - 1


def test_a_percentile_out_of_the_buckets_is_within_nine_percent_of_the_true_one() -> None:
    chance = random.Random(7)
    times_s = sorted(chance.lognormvariate(math.log(0.02), 0.5) for _ in range(10_000))
    histogram, true_s = histogram_of(times_s), times_s[9899]
    passed = bucket = 0
    while (passed := passed + histogram.buckets[bucket]) < 9900:
        bucket += 1
    assert true_s <= upper_bound_s(bucket) <= 1.0906 * true_s


def test_the_protobuf_page_reads_back_with_native_and_classic_buckets() -> None:
    chance = random.Random(3)
    times_s = [0.0, 1e-9, *(chance.lognormvariate(-4.0, 1.5) for _ in range(500)), 1000.0]
    page = protobuf.protobuf_from(
        [
            family(COUNTER, [(("a",), 3), (('b "quoted" é',), 2**53)]),
            family(TIMES, [(("infer",), histogram_of(times_s))]),
        ]
    )
    found = families_from(page)
    counter, times = found[COUNTER.name], found[TIMES.name]
    assert (counter.type, counter.help) == (0, "How many.")
    assert {labels_of(metric)["of"]: metric.counter.value for metric in counter.metric} == {
        "a": 3.0,
        'b "quoted" é': 2.0**53,
    }
    (metric,) = times.metric
    native = metric.histogram
    assert (times.type, labels_of(metric)) == (4, {"stage": "infer"})
    assert (native.schema, native.zero_threshold, native.zero_count) == (SCHEMA, ZERO_THRESHOLD_S, 2)
    assert native.sample_count == len(times_s) == native.zero_count + sum(native_buckets(native).values())
    assert native.sample_sum == pytest.approx(sum(times_s))
    expected = Counter(bucket + FIRST_INDEX for seconds in times_s if (bucket := bucket_of(seconds)) is not None)
    assert {index: count for index, count in native_buckets(native).items() if count} == expected
    for bucket in native.bucket:
        beyond = sum(seconds <= bucket.upper_bound for seconds in times_s)
        assert bucket.cumulative_count == beyond


def test_a_histogram_without_times_is_still_a_native_one() -> None:
    (metric,) = families_from(protobuf.protobuf_from([family(TIMES, [(("infer",), histogram_of([]))])]))[
        TIMES.name
    ].metric
    assert metric.histogram.HasField("schema")
    assert metric.histogram.zero_threshold > 0  # by which a server tells it from a classic one
    assert native_buckets(metric.histogram) == {}


def test_the_text_page_has_the_same_times_in_classic_buckets() -> None:
    times_s = [0.0, 0.004, 0.0625, 0.0626, 100.0]
    page = text.text_from([family(TIMES, [(("infer",), histogram_of(times_s))])]).decode()
    lines = dict(line.rpartition(" ")[::2] for line in page.splitlines() if not line.startswith("#"))
    assert lines['cathrt_stage_seconds_bucket{stage="infer",le="0.0625"}'] == "3"
    assert lines['cathrt_stage_seconds_bucket{stage="infer",le="0.125"}'] == "4"
    assert lines['cathrt_stage_seconds_bucket{stage="infer",le="+Inf"}'] == "5"
    assert lines['cathrt_stage_seconds_count{stage="infer"}'] == "5"
    assert float(lines['cathrt_stage_seconds_sum{stage="infer"}']) == pytest.approx(sum(times_s))


def test_the_text_page_escapes_what_would_break_a_line() -> None:
    page = text.text_from([family(COUNTER, [(('a\n"b\\',), 1)]), family(GAUGE, [((), 0.25)])]).decode()
    assert 'cathrt_things_total{of="a\\n\\"b\\\\"} 1\n' in page
    assert "# TYPE cathrt_age_seconds gauge\ncathrt_age_seconds 0.25\n" in page


def test_what_is_not_known_is_left_out() -> None:
    assert text.text_from([family(GAUGE, [((), None)])]).decode().splitlines() == [
        "# HELP cathrt_age_seconds How long.",
        "# TYPE cathrt_age_seconds gauge",
    ]


PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"


@pytest.mark.parametrize(
    ("accept", "is_protobuf"),
    [
        ("", False),
        ("*/*", False),
        ("text/html,*/*;q=0.8", False),
        (PROTOBUF, True),
        (f"{PROTOBUF},application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", True),
        (f"{PROTOBUF};q=0.3,text/plain;q=0.9", False),
        (f"{PROTOBUF};q=0", False),
        (f"{PROTOBUF};q=often", False),
        ("application/vnd.google.protobuf", False),
        ("application/vnd.google.protobuf;proto=another.Message;encoding=delimited", False),
        (",;=,\x7f", False),
    ],
)
def test_who_asks_for_protobuf_gets_it_and_others_get_text(accept: str, is_protobuf: bool) -> None:
    page, content_type = page_for(accept, [family(GAUGE, [((), 1)])])
    assert content_type == (protobuf.CONTENT_TYPE if is_protobuf else text.CONTENT_TYPE)
    assert (page == text.text_from([family(GAUGE, [((), 1)])])) is not is_protobuf
