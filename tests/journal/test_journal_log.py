"""The journal's log behind a reader that holds a read transaction open: it grows, is noticed, and shrinks again."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from cathrt.runtime.config import RetentionConfig
from cathrt.runtime.journal import books, file
from cathrt.runtime.journal.front import log_bytes_of
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.processes.retention_said import retention_said
from cathrt.runtime.processes.state_folder import StateFolder
from tests.passes import AT_ONCE, verdict


def test_a_stuck_reader_is_a_reason_of_health_and_the_log_shrinks_when_it_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books, "CHECKPOINT_ROWS", 50)
    monkeypatch.setattr(file, "_LOG_BYTES", 1 << 20)
    state, index = StateFolder(tmp_path), 0
    limit = RetentionConfig(log_mib=16)

    def reasons() -> list[str]:
        return retention_said(state, limit, 0)[0]

    with Journal(state.live_journal, AT_ONCE) as journal:
        journal.append(verdict(0))
        journal.sync()
        with closing(sqlite3.connect(state.live_journal, isolation_level=None)) as stuck:
            stuck.execute("BEGIN")
            stuck.execute("SELECT count(*) FROM record").fetchall()
            while log_bytes_of(state.live_journal) <= 17 << 20:
                assert index < 20_000, "the log does not grow"
                index += 1
                journal.append(verdict(index))
                if index % 2 == 0:  # each transaction writes some pages anew
                    journal.sync()
            assert len(reasons()) == 1
            assert "live.journal: its log has 17 MiB, expected at most 16 (retention.log_mib)" in reasons()[0]
            stuck.execute("ROLLBACK")
        for more in range(index + 1, index + 300):
            journal.append(verdict(more))
            journal.sync()
        assert log_bytes_of(state.live_journal) <= 2 << 20
        assert reasons() == []
