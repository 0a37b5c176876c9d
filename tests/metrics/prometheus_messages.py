"""io.prometheus.client as the protobuf package understands it: a decoder of what we write by hand.

Fields and numbers are those of metrics.proto of prometheus/client_model. Not for: writing.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "io.prometheus.client"
_TYPE_NAMES = ("COUNTER", "GAUGE", "SUMMARY", "UNTYPED", "HISTOGRAM", "GAUGE_HISTOGRAM")
# message: name, type, number; a * behind the type is a repeated field.
_MESSAGES = {
    "LabelPair": [("name", "string", 1), ("value", "string", 2)],
    "Gauge": [("value", "double", 1)],
    "Counter": [("value", "double", 1)],
    "Bucket": [("cumulative_count", "uint64", 1), ("upper_bound", "double", 2)],
    "BucketSpan": [("offset", "sint32", 1), ("length", "uint32", 2)],
    "Histogram": [
        ("sample_count", "uint64", 1), ("sample_sum", "double", 2), ("bucket", "Bucket*", 3), ("schema", "sint32", 5),
        ("zero_threshold", "double", 6), ("zero_count", "uint64", 7), ("negative_span", "BucketSpan*", 9),
        ("negative_delta", "sint64*", 10), ("positive_span", "BucketSpan*", 12), ("positive_delta", "sint64*", 13),
    ],
    "Metric": [
        ("label", "LabelPair*", 1), ("gauge", "Gauge", 2), ("counter", "Counter", 3), ("histogram", "Histogram", 7),
    ],
    "MetricFamily": [("name", "string", 1), ("help", "string", 2), ("type", "MetricType", 3), ("metric", "Metric*", 4)],
}  # fmt: skip


def _family_class() -> Any:
    field_type = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="metrics.proto", package=_PACKAGE, syntax="proto2")
    types = file.enum_type.add(name="MetricType")
    for number, name in enumerate(_TYPE_NAMES):
        types.value.add(name=name, number=number)
    for message_name, fields in _MESSAGES.items():
        message = file.message_type.add(name=message_name)
        for name, type_, number in fields:
            plain = type_.removesuffix("*")
            label = field_type.LABEL_REPEATED if type_ != plain else field_type.LABEL_OPTIONAL
            made = message.field.add(name=name, number=number, label=label)
            if plain in _MESSAGES or plain == "MetricType":
                made.type = field_type.TYPE_ENUM if plain == "MetricType" else field_type.TYPE_MESSAGE
                made.type_name = f".{_PACKAGE}.{plain}"
            else:
                made.type = getattr(field_type, f"TYPE_{plain.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.MetricFamily"))


_FAMILY = _family_class()


def families_from(page: bytes) -> dict[str, Any]:
    """The families of a page in the delimited protobuf format, by name. Fields that are not known fail."""
    found = {}
    while page:
        length = shift = 0
        while True:
            length |= (page[0] & 0x7F) << shift
            more, page, shift = page[0] & 0x80, page[1:], shift + 7
            if not more:
                break
        assert len(page) >= length, "the page ends within a message"
        family = _FAMILY.FromString(page[:length])
        written = family.SerializeToString()
        assert len(written) == length, f"{family.name}: it has fields of another message"
        assert family.name not in found, f"{family.name} comes twice"
        found[family.name], page = family, page[length:]
    return found


def labels_of(metric: Any) -> dict[str, str]:
    """The labels of one metric of a family."""
    return {pair.name: pair.value for pair in metric.label}


def native_buckets(histogram: Any) -> dict[int, int]:
    """The count of each bucket that a native histogram names, by Prometheus' index."""
    found: dict[int, int] = {}
    deltas = iter(histogram.positive_delta)
    index = count = 0
    for span in histogram.positive_span:
        index += span.offset
        for _ in range(span.length):
            count += next(deltas)
            found[index] = count
            index += 1
    assert list(deltas) == []
    return found
