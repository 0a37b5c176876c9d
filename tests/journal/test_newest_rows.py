"""A journal of which only the newest rows are checked at its start: what is refused then, and what beside."""

from __future__ import annotations

from pathlib import Path

import pytest

from cathrt.runtime.errors import JournalError
from cathrt.runtime.journal.check import unsound_path
from cathrt.runtime.journal.head import head_file, head_path, noted_head
from cathrt.runtime.journal.whole import note_unsound, require_whole
from cathrt.runtime.journal.writer import Journal
from tests.journal.pruned import PASS_ROWS, first_row, of_run, until
from tests.passes import AT_ONCE, GROUPED, rows, tampered, write

NEWEST = 10
CHANGED = "UPDATE record SET body = replace(body, '0.9', '0.1') WHERE seq = {}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Three runs."""
    path = tmp_path / "live.journal"
    write(path, [record for name in "abc" for record in of_run(name)])
    return path


def test_the_newest_rows_are_checked_at_the_start_and_the_journal_says_which_are_not(path: Path) -> None:
    with Journal(path, AT_ONCE, newest=NEWEST) as journal:
        assert journal.unproved == 3 * PASS_ROWS - NEWEST
        for record in of_run("d"):
            journal.append(record)
    assert [seq for seq, _ in rows(path)] == list(range(1, 4 * PASS_ROWS + 1))
    require_whole(path)
    with Journal(path, AT_ONCE) as journal:
        assert journal.unproved == 0


def test_a_journal_with_few_rows_is_checked_as_a_whole(path: Path) -> None:
    with Journal(path, AT_ONCE, newest=3 * PASS_ROWS) as journal:
        assert journal.unproved == 0
    tampered(path, CHANGED.format(2))
    with pytest.raises(JournalError, match=r"row 2: .*not what was written"):
        Journal(path, AT_ONCE, newest=3 * PASS_ROWS)


def test_what_is_wrong_with_the_newest_rows_is_refused_before_anything_is_appended(path: Path) -> None:
    tampered(path, CHANGED.format(3 * PASS_ROWS - 3))
    with pytest.raises(JournalError, match=rf"row {3 * PASS_ROWS - 3}: .*not what was written"):
        Journal(path, GROUPED, newest=NEWEST)


def test_an_older_row_that_was_changed_is_found_beside_and_the_next_start_refuses_it(path: Path) -> None:
    tampered(path, CHANGED.format(2))
    with Journal(path, AT_ONCE, newest=NEWEST) as journal:
        assert journal.unproved
        with pytest.raises(JournalError, match=r"row 2: .*not what was written") as found:
            require_whole(path)
        note_unsound(path, str(found.value))
    for _ in range(2):
        with pytest.raises(JournalError, match=r"row 2: .*not what was written"):
            Journal(path, AT_ONCE, newest=NEWEST)
    tampered(path, CHANGED.replace("'0.9', '0.1'", "'0.1', '0.9'").format(2))  # not what was written either
    with pytest.raises(JournalError, match="row 2"):
        Journal(path, AT_ONCE, newest=NEWEST)


def test_the_note_goes_once_the_whole_journal_adds_up_again(path: Path) -> None:
    note_unsound(path, "the disk returned something else")
    with Journal(path, AT_ONCE, newest=NEWEST) as journal:
        assert journal.unproved == 0
    assert not unsound_path(path).exists()
    with Journal(path, AT_ONCE, newest=NEWEST) as journal:
        assert journal.unproved


@pytest.mark.parametrize("seq", [5, 3 * PASS_ROWS - 5])
def test_a_head_that_lags_must_still_fit_its_row(path: Path, seq: int) -> None:
    noting = head_file(path)
    noting.write(type(noted)(seq, bytes(31) + b"x") if (noted := noted_head(path)) else pytest.fail("no head"))
    noting.close()
    with pytest.raises(JournalError, match=f"row {seq}: {head_path(path).name} remembers another row"):
        Journal(path, AT_ONCE, newest=NEWEST)


def test_it_goes_together_with_pruning(path: Path) -> None:
    with Journal(path, AT_ONCE, newest=NEWEST) as journal:
        journal.prune(PASS_ROWS)
        until(lambda: first_row(path) == PASS_ROWS + 1)
        require_whole(path)
    with Journal(path, AT_ONCE, newest=2 * PASS_ROWS) as journal:
        assert journal.unproved == 0, "all that is left is checked, against the anchor"
