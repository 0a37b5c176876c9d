"""docs/library.md names every function there is; docs/results.md every column, and the limits that the code has."""

from __future__ import annotations

import cathrt.export.api
from cathrt.runtime import api
from cathrt.runtime.models import record_parts
from cathrt.runtime.sinks.pictures import _PLANS, MOST_BYTES
from cathrt.runtime.sinks.table_rows import TableRows
from tests.docs.blocks import ROOT
from tests.sinks.test_table import a_pass

LIBRARY = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
RESULTS = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")


def test_the_page_names_every_function_and_few_there_are() -> None:
    functions = [name for name in api.__all__ if name.islower()] + cathrt.export.api.__all__
    assert len(functions) <= 8
    assert [name for name in functions if f"`{name}(" not in LIBRARY] == []


def test_every_column_that_is_no_model_s_is_named() -> None:
    made = TableRows(record_parts(), a_pass())
    columns = made.frame_columns() | made.run_columns()
    named = [name for name in columns if not name.startswith(("keyframe_", "alert_key_frame_", "latency_"))]
    named += [name for name in made.frame_columns() if name.startswith("latency_")]
    assert [name for name in named if f"`{name}`" not in RESULTS] == []


def test_the_sizes_of_pictures_are_those_of_the_code() -> None:
    rows = [line for line in RESULTS.splitlines() if line.startswith(("| up to", "| more"))]
    told = [
        (most, plan.key_px, f"{plan.tiles} of {plan.tile_px} pixels" if plan.tiles else "none") for most, plan in _PLANS
    ]
    expected = [f"| {f'up to {most}' if tiles != 'none' else 'more'} | {key} | {tiles} |" for most, key, tiles in told]
    assert rows == expected
    assert f"at most {MOST_BYTES >> 20} MiB" in RESULTS
