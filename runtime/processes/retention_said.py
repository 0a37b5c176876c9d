"""What health says of retention: why the disk fills up, and logs of journals that grow behind a reader.

Not for: retention itself (retaining.py).
"""

from __future__ import annotations

from cathrt.runtime.config import RetentionConfig
from cathrt.runtime.journal.front import log_bytes_of
from cathrt.runtime.listener.index import NAME
from cathrt.runtime.processes.state_folder import StateFolder

_SILENT_S = 900.0  # without a look; the study process gets the CPU last
_MIB = 1 << 20


def retention_said(state: StateFolder, settings: RetentionConfig, now_ns: int) -> tuple[list[str], list[str]]:
    """Reasons and notes for health: of the reports of all processes, and of the journals' logs. Raises SinkError,
    JournalError."""
    reasons, notes = [], []
    for process in ("live", "study", "gateway"):
        report = state.read_report(f"retention-{process}")
        if report is None:
            continue
        reasons += [f"retention: {reason}" for reason in report["reasons"]]
        notes += [f"retention: {note}" for note in report["notes"]]
        if (silent_s := (now_ns - report["at_ns"]) / 1e9) > _SILENT_S:
            notes.append(f"retention: {process} has not looked for {silent_s:.0f} s")
    journals = (state.live_journal, state.study_journal, state.gateway_journal)
    for database in (*journals, state.store / NAME, state.intake, state.outbox):
        if (size := log_bytes_of(database) // _MIB) > settings.log_mib:
            reasons.append(
                f"{database.name}: its log has {size} MiB, expected at most {settings.log_mib} (retention.log_mib): "
                "some program holds a read transaction open, or the disk is slow: find and stop it"
            )
    return reasons, notes
