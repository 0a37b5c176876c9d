"""The records of a command as two tables for pandas, R or a spreadsheet: a row a frame, and beside it a row a run.

CSV or Parquet, by the file's suffix; docs/results.md lists the columns. Written whole at the end, from the stored
records. Not for: programs that read while runs are judged (jsonl.py).
"""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cathrt.runtime.alert import NOTICE, StoredRecord
from cathrt.runtime.errors import ConfigError, SinkError
from cathrt.runtime.journal.records import RecordParts, record_from_body
from cathrt.runtime.outside.output_files import output_folder, whole_file, writing
from cathrt.runtime.outside.plain_text import shown
from cathrt.runtime.sinks.table_rows import Cell, Columns, Row, TableRows

if TYPE_CHECKING:
    import pyarrow

_OPTION = "--table"
_ROWS_AT_ONCE = 10_000  # of a Parquet row group
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for one


class TableSink:
    """Keeps what is shown in a file without a name beside the table, and makes the tables of it in write()."""

    def __init__(self, path: Path, parts: RecordParts) -> None:
        """path: FILE.csv or FILE.parquet, the frames; the runs go beside it to FILE.runs.csv or FILE.runs.parquet.

        parts: the classes that models put into records. Raises ConfigError for another suffix, or where pyarrow is
        missing for Parquet, SinkError where nothing can be written there.
        """
        if path.suffix not in (".csv", ".parquet"):
            raise ConfigError(
                f"{path}: found {path.suffix or 'no suffix'}, expected {_OPTION} FILE.csv or FILE.parquet"
            )
        if path.suffix == ".parquet" and find_spec("pyarrow") is None:
            raise ConfigError(
                f"{path}: pyarrow is not installed, which Parquet needs: name a FILE.csv, or pip install '.[table]' in "
                "a clone of cathrt, or 'FILE.whl[table]' of its wheel"
            )
        output_folder(path.parent, _OPTION)
        self.path = path
        self.runs_path = path.with_name(f"{path.stem}.runs{path.suffix}")
        self._parts = parts
        with writing(path, _OPTION):
            self._spool = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115 - close() closes it

    def emit(self, stored: StoredRecord) -> None:
        try:
            self._spool.write(stored.body + b"\n")
        except (OSError, ValueError) as exc:  # ValueError: it is closed
            raise SinkError(f"table: {self.path.parent} cannot be written ({exc}): make room") from exc

    def write(self) -> None:
        """Make both tables, each whole or not at all, the runs first. Raises SinkError where they cannot be written."""
        with writing(self.path, _OPTION):
            self._spool.flush()
        made = TableRows(self._parts, self._records())
        write = _write_csv if self.path.suffix == ".csv" else _write_parquet
        for path, columns, rows in (
            (self.runs_path, made.run_columns(), map(made.run_row, self._records("run", "refusal"))),
            (self.path, made.frame_columns(), map(made.frame_row, self._records("verdict"))),
        ):
            with whole_file(path, _OPTION) as part:
                write(part, columns, rows)
                with part.open("rb") as written:
                    os.fsync(written.fileno())

    def close(self) -> None:
        """The tables stay, what they were made of goes."""
        self._spool.close()

    def _records(self, *types: str) -> Iterator[Any]:
        """What was shown, in order; of some types only, where any are given."""
        begins = tuple(f'{{"type":"{type_}",'.encode() for type_ in types) or b""
        self._spool.seek(0)
        for line in self._spool:
            if line.startswith(begins):
                yield record_from_body(line[:-1], self._parts)


def _write_csv(path: Path, columns: Columns, rows: Iterable[Row]) -> None:
    """RFC 4180 but for its line ends, UTF-8. None is an empty cell; text that a spreadsheet would run gets a quote."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_csv_cell(row.get(name)) for name in columns] for row in rows)


def _csv_cell(value: Cell) -> str | int | float:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = shown(value)
        return f"'{text}" if text.startswith(_FORMULA) else text
    return value


def _write_parquet(path: Path, columns: Columns, rows: Iterable[Row]) -> None:
    import pyarrow
    from pyarrow import parquet

    types = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64(), bool: pyarrow.bool_()}
    schema = pyarrow.schema([(name, types[of]) for name, of in columns.items()], metadata={"notice": NOTICE})
    with parquet.ParquetWriter(path, schema) as writer:
        waiting: list[Row] = []
        for row in rows:
            waiting.append(row)
            if len(waiting) == _ROWS_AT_ONCE:
                writer.write_table(_arrow_table(waiting, schema))
                waiting.clear()
        writer.write_table(_arrow_table(waiting, schema))


def _arrow_table(rows: Sequence[Row], schema: pyarrow.Schema) -> pyarrow.Table:
    import pyarrow

    plain = [{name: shown(cell) if isinstance(cell, str) else cell for name, cell in row.items()} for row in rows]
    return pyarrow.Table.from_pylist(plain, schema=schema)
