"""Alerts, run summaries and refusals as lines that a person reads. Verdicts of single frames are not shown.

Not for: programs (jsonl.py). Text from outside is shown with its control characters escaped.
"""

from __future__ import annotations

from typing import TextIO

from cathrt.runtime.alert import NOTICE, Alert, Outcome, PassStart, Record, Refusal, RunSummary, StoredRecord, Verdict
from cathrt.runtime.errors import SinkError
from cathrt.runtime.journal.records import RecordParts, record_from_body
from cathrt.runtime.outside.plain_text import shown

_BOLD, _DIM, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"


class ConsoleSink:
    """Writes to a text stream; in bold and dim where it is a terminal. The stream stays the caller's to close."""

    def __init__(self, stream: TextIO, parts: RecordParts) -> None:
        """parts: the classes that models put into records (models.record_parts)."""
        self._stream = stream
        self._parts = parts
        self._styled = stream.isatty()

    def emit(self, stored: StoredRecord) -> None:
        """Write the record's lines, if it has any. Raises SinkError if the stream takes no more."""
        if stored.type == "verdict":
            return
        lines = lines_from_record(record_from_body(stored.body, self._parts))
        if not lines:
            return
        if self._styled:
            lines = [f"{_BOLD}{lines[0]}{_PLAIN}", *lines[1:-1], f"{_DIM}{lines[-1]}{_PLAIN}"]
        text = "".join(f"{line}\n" for line in lines)
        encoding = self._stream.encoding or "utf-8"
        try:
            self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
            self._stream.flush()
        except BrokenPipeError as exc:
            raise SinkError("console: the reader has closed the pipe: nothing more is written to it") from exc
        except (OSError, ValueError) as exc:  # ValueError: the stream is closed
            raise SinkError(f"console: the stream cannot be written ({exc}): check where it goes") from exc

    def close(self) -> None:
        """Nothing is held back and nothing is owned."""


def lines_from_record(record: Record) -> list[str]:
    """What a person is shown of a record, the notice last; empty for a verdict and for the start of a first attempt.

    Frame numbers are 0-based.
    """
    match record:
        case Verdict():
            return []
        case PassStart():
            if record.attempt == 1:
                return []
            return [
                f"JUDGED AGAIN {shown(record.source)}: attempt {record.attempt}, because frames FAILED in the attempt "
                "before though the file may be whole",
                f"  {NOTICE}",
            ]
        case Alert():
            late = " (late: not a live alert)" if record.late else ""
            return [
                f"ALERT frame {record.frame_index}{late}: {shown(record.news.text)}, "
                f"raised at frame {record.raised_at_frame}, on {shown(record.engine)}",
                f"  {NOTICE}",
            ]
        case Refusal():
            return [f"REFUSED {shown(record.source)}", f"  {record.error}: {shown(record.message)}", f"  {NOTICE}"]
        case RunSummary():
            return [*_summary_lines(record), f"  {NOTICE}"]


def _summary_lines(run: RunSummary) -> list[str]:
    verdicts = ", ".join(f"{name} {run.verdicts[name]}" for name in Outcome if run.verdicts.get(name)) or "none"
    lines = [
        f"RUN {shown(run.source)}",
        f"  frames {run.frames} at {run.frame_rate_hz:g} Hz ({run.frame_rate_origin}): {verdicts}",
    ]
    if run.positioner_primary_angle_deg is not None or run.positioner_secondary_angle_deg is not None:
        lines.append(
            f"  C-arm {_angle(run.positioner_primary_angle_deg, 'LAO', 'RAO')} "
            f"{_angle(run.positioner_secondary_angle_deg, 'CRA', 'CAU')}"
        )
    if "end_to_end" in run.latency_ms:
        latency = run.latency_ms["end_to_end"]
        lines.append(f"  end to end p50 {latency.p50:.1f} ms, p99 {latency.p99:.1f} ms, max {latency.max:.1f} ms")
    if run.flags:
        lines.append(f"  flags: {shown(', '.join(run.flags))}")
    for result in run.results:
        lines.append(f"  {shown(result.text)}")
        lines.append(f"  {shown(result.bundle)} on {shown(result.engine)}, manifest {result.manifest_sha256[:12]}")
    return lines


def _angle(degrees: float | None, positive: str, negative: str) -> str:
    if degrees is None:
        return f"{positive}/{negative} not told"
    return f"{positive if degrees >= 0 else negative} {abs(degrees):.0f}°"
