"""Which of the formats a scraper gets, by its Accept header."""

from __future__ import annotations

from collections.abc import Iterable
from email.message import Message

from cathrt.runtime.metrics import protobuf, text
from cathrt.runtime.metrics.family import Family


def page_for(accept: str, families: Iterable[Family]) -> tuple[bytes, str]:
    """The page and its content type. Protobuf for whom asks for it at least as much as for text; else text."""
    ranges = [_parsed(one) for one in accept.split(",")]
    wants_protobuf = max((_quality(each) for each in ranges if _is_protobuf(each)), default=0.0)
    wants_text = max((_quality(each) for each in ranges if each.get_content_maintype() == "text"), default=0.0)
    if wants_protobuf > 0.0 and wants_protobuf >= wants_text:
        return protobuf.protobuf_from(families), protobuf.CONTENT_TYPE
    return text.text_from(families), text.CONTENT_TYPE


def _parsed(range_: str) -> Message:
    message = Message()
    message["content-type"] = range_.strip()
    return message


def _is_protobuf(range_: Message) -> bool:
    named = range_.get_param("proto"), range_.get_param("encoding")
    return range_.get_content_type() == "application/vnd.google.protobuf" and named == (
        "io.prometheus.client.MetricFamily",
        "delimited",
    )


def _quality(range_: Message) -> float:
    try:
        return float(str(range_.get_param("q", "1")))
    except ValueError:
        return 0.0
