"""Lines for a person where runs of several sources come mixed."""

from __future__ import annotations

import io
from pathlib import Path

from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.line.pipeline import watch
from cathrt.runtime.models import record_parts
from cathrt.runtime.sinks.console import ConsoleSink, lines_from_record
from tests.lines import ArraySource, line
from tests.passes import AT_ONCE, engine_change

SCORES = [0.1] * 4 + [0.9] * 5 + [0.1] * 9


def lines_of(tmp_path: Path, mark: str) -> list[str]:
    stream = io.StringIO()
    with Journal(tmp_path / "j.db", AT_ONCE, [ConsoleSink(stream, record_parts(), mark=mark, noticed=True)]) as journal:
        watch(ArraySource(SCORES, name="A 12:00:00"), line(), journal)
    return stream.getvalue().splitlines()


def test_an_alert_among_several_sources_names_its_run(tmp_path: Path) -> None:
    alert = lines_of(tmp_path, "live  ")[0]
    assert alert.startswith("live  ALERT A 12:00:00, frame ")


def test_an_alert_of_the_one_run_that_is_judged_does_not(tmp_path: Path) -> None:
    assert lines_of(tmp_path, "")[0].startswith("ALERT frame ")


def test_a_change_of_engine_says_what_judges_and_why() -> None:
    down, off = (lines_from_record(engine_change(what)) for what in ("down", "off"))  # type: ignore[arg-type]
    assert down == [
        "ENGINE A: a lower rung judges (lost), rung 2 of 2",
        "  tensorrt (000000000000) -> openvino (000000000000)",
        "  tensorrt: the device is lost",
    ]
    assert off[0] == "ENGINE A: NO LIVE AI: no frame is judged until an engine works again (lost)"
