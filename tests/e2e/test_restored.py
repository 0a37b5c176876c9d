"""A box that is backed up while it works, killed, destroyed and restored: the books go on, nothing is judged twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.kills.box import KilledBox
from benchmarks.kills.evidence import confirmed_in, noted
from benchmarks.kills.receiver import NAME, receiving
from benchmarks.kills.users import Sender
from cathrt.runtime.journal.report import verify_journal
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.models import record_parts
from tests.e2e.commands import cathrt
from tests.journal.pruned import PASS_ROWS, first_row, of_run, until
from tests.passes import AT_ONCE, rows, write

JOURNALS = ("live", "study")
RETAINING = "\n[retention]\nlive_mib = 64\nstudy_mib = 64\nstore_mib = 64\nkeep_hours = 0.0\n"


@pytest.fixture
def outlet(tmp_path: Path) -> Iterator[str]:
    with receiving(tmp_path / "box" / "outlets") as configured:
        yield configured


@pytest.fixture
def box(tmp_path: Path, outlet: str) -> Iterator[KilledBox]:
    """Whose live journal was pruned before: its oldest rows are gone."""
    made = KilledBox(tmp_path / "box")
    made.more = outlet + RETAINING
    made.state.path.mkdir(parents=True)
    write(made.state.live_journal, [record for name in "ab" for record in of_run(name)])
    with Journal(made.state.live_journal, AT_ONCE) as journal:
        journal.prune(PASS_ROWS)
        until(lambda: first_row(made.state.live_journal) == PASS_ROWS + 1)
    yield made
    made.end()


def ids_of(box: KilledBox) -> dict[str, list[str]]:
    """Of both journals, as they are now."""
    return {name: [id_ for _, id_ in rows(box.journal(name))] for name in JOURNALS}


def delivered(box: KilledBox) -> set[str]:
    return {id_ for (id_,) in noted(box.outlet_folder / f"{NAME}.jsonl")}


def send(box: KilledBox, sender: Sender, number: int) -> list[str]:
    """So many runs more, each until its sender is told success. Returns the UIDs of all so far."""
    wanted = len(list(noted(box.stored_notes))) + number
    while len(list(noted(box.stored_notes))) < wanted:
        sender.send()
    return [uid for (uid,) in noted(box.stored_notes)]


def works(box: KilledBox, frames: int) -> None:
    """Until each source has judged so many frames more."""
    before = {source: box.met(source) for source in box.sources}
    box.wait_for(lambda: all(box.met(source) >= before[source] + frames for source in box.sources))


def destroy(box: KilledBox) -> None:
    """The supervisor by kill -9, and with it all others; then the disk and the memory."""
    assert box.child is not None
    os.kill(box.child.pid, signal.SIGKILL)
    box.wait_until_killed()
    shutil.rmtree(box.state.memory.resolve())
    shutil.rmtree(box.state.path)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_restored_box_has_all_of_the_backup_judges_nothing_twice_and_delivers_the_rest(box: KilledBox) -> None:
    box.start()
    box.wait_for(lambda: box.pid("gateway"))
    sender = Sender(box)
    sent = send(box, sender, 4)
    works(box, 20)
    box.wait_for(lambda: confirmed_in(box.journal("study")) >= set(sent))
    before = ids_of(box)
    dest = box.folder / "dest"

    made = cathrt("backup", box.state.path, dest, "--json")
    assert json.loads(made.stdout)["what"] == "made"
    sent = send(box, sender, 3)  # of these the backup has nothing
    works(box, 20)
    destroy(box)
    assert json.loads(cathrt("restore", dest, box.state.path, "--json").stdout)["what"] == "restored"
    restored = ids_of(box)
    for name in JOURNALS:
        assert restored[name][: len(before[name])] == before[name], f"{name}: all up to the backup, in its order"
        verified = json.loads(cathrt("verify", box.journal(name), "--json").stdout)
        assert verified["head"], name

    box.stored_notes.unlink()  # its modalities send again whatever they are not sure of
    box.start()
    box.wait_for(lambda: box.pid("gateway"))
    again = send(box, Sender(box), len(sent) + 2)
    assert again[: len(sent)] == sent
    box.wait_for(lambda: confirmed_in(box.journal("study")) >= set(again))
    works(box, 20)
    assert box.stop() == 0, box.said

    after = ids_of(box)
    for name in JOURNALS:
        report = verify_journal(box.journal(name), record_parts())
        assert report.sound, [books.anomalies for books in report.passes]
        assert after[name][: len(restored[name])] == restored[name]
        assert max(Counter(after[name]).values()) == 1
    judged = Counter(
        books.source for books in verify_journal(box.journal("study"), record_parts()).passes if books.source
    )
    assert judged == Counter(again), "each received run once, sent once or twice"
    assert {id_ for ids in after.values() for id_ in ids} <= delivered(box)
    assert first_row(box.state.live_journal) == PASS_ROWS + 1
