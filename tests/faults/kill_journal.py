"""Kills a writer at random, again and again, with a reader in a second process, and looks for a fault.

Run as `python -m tests.faults.kill_journal --kills 1000 --seed 1 --json`. Half of the kills come at a random time, half
at a random system call; now and then the reader is killed too. After each round: is every row there once and in order,
in the books and for the reader? Was anything shown, noted or read before it was synced, by the order of system calls?
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path

from cathrt.runtime.alert import Record
from cathrt.runtime.errors import JournalError
from cathrt.runtime.journal.report import verify_journal
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.models import record_parts
from cathrt.runtime.sinks.jsonl import JsonlSink
from tests.faults.call_order import Call, calls_in, read_ahead, unsynced_when_shown
from tests.faults.calls import Conditions, Nursery, Strike, nursery
from tests.faults.reader_play import bodies_taken
from tests.faults.test_kill import stored_bodies
from tests.passes import AT_ONCE, pass_of, rows, summary, verdict

KILLS_A_ROUND = 25
LATEST_S = 0.12  # of the kills by time; opening takes a part of it
LATEST_CALL = 200  # of the kills by call; opening makes some thirty
READER_KILLED = 0.2  # part of the kills after which the reader is killed as well
WRITE = "tests.faults.kill_journal:write_on"
FOLLOW = "tests.faults.reader_play:follow_until_the_run_ends"


@dataclass(slots=True)
class Tally:
    """What was done and found."""

    seed: int
    kills: int = 0
    killed_at_a_call: int = 0
    reader_kills: int = 0
    rounds: int = 0
    rows: int = 0
    shown: int = 0
    calls: int = 0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)


def write_on(folder: str, sync_every: int, last: int) -> None:
    """Go on with the pass where it is stored to, for ever; or, if it is the last start, end it."""
    root = Path(folder)
    with (root / "shown").open("ab") as shown:
        with Journal(root / "journal.db", AT_ONCE, (JsonlSink(shown),)) as journal:
            stored = len(journal.stored(pass_of("run a")))
            if last:
                record: Record = summary([verdict(index) for index in range(stored)])
                journal.append(record)
                return
            for number in count(max(stored - 3, 0)):  # some that are stored: they are shown again as stored
                journal.append(verdict(number, end_to_end_ms=float(os.getpid())))
                if number % sync_every == 0:
                    journal.sync()


def kill_journal(kills: int, seed: int, root: Path) -> Tally:
    """Kill so often, in rounds of one journal each below `root`."""
    chance, tally, began = random.Random(seed), Tally(seed), time.monotonic()
    with nursery() as processes:
        while tally.kills < kills:
            folder = root / f"round {tally.rounds}"
            folder.mkdir()
            _round(processes, folder, chance, tally, min(KILLS_A_ROUND, kills - tally.kills))
            tally.rounds += 1
    tally.seconds = round(time.monotonic() - began, 1)
    return tally


def _round(processes: Nursery, folder: Path, chance: random.Random, tally: Tally, kills: int) -> None:
    log, journal = folder.with_name(f"{folder.name} calls"), folder / "journal.db"
    conditions = Conditions(str(log), str(folder))
    reader = processes.start(FOLLOW, str(folder), conditions=conditions)
    writers: list[tuple[int, bool]] = []

    def start(strike: Strike | None, last: int) -> int:
        log_found = journal.with_name("journal.db-wal").exists()
        met = Conditions(str(log), str(folder), strike)
        pid = processes.start(WRITE, str(folder), chance.randint(1, 5), last, conditions=met)
        writers.append((pid, log_found))
        return pid

    for _ in range(kills):
        if chance.random() < 0.5:
            pid = start(Strike("", "", chance.randint(1, LATEST_CALL)), 0)
            tally.killed_at_a_call += 1
        else:
            pid = start(None, 0)
            time.sleep(chance.uniform(0.0, LATEST_S))
            os.kill(pid, signal.SIGKILL)
        ended = processes.wait(pid)
        tally.kills += 1
        if ended != -signal.SIGKILL:
            tally.faults.append(f"{folder.name}, kill {tally.kills}: the writer ended by itself with {ended}")
        if chance.random() < READER_KILLED:
            os.kill(reader, signal.SIGKILL)
            processes.wait(reader)
            tally.reader_kills += 1
            reader = processes.start(FOLLOW, str(folder), conditions=conditions)
    last = start(None, 1)
    for who, pid in (("writer", last), ("reader", reader)):
        if ended := processes.wait(pid):
            tally.faults.append(f"{folder.name}: the last {who} ended with {ended}")
    _judge(folder, calls_in(log), writers, tally)


def _judge(folder: Path, calls: list[Call], writers: list[tuple[int, bool]], tally: Tally) -> None:
    journal, stored = folder / "journal.db", stored_bodies(folder)
    shown = (folder / "shown").read_bytes().splitlines()
    found = []
    try:
        if not verify_journal(journal, record_parts()).sound:
            found.append("the books do not balance")
    except JournalError as exc:
        found.append(str(exc))
    if [json.loads(body)["frame_index"] for body in stored[:-1]] != list(range(len(stored) - 1)):
        found.append("the verdicts are not stored once and in order")
    if bodies_taken(folder / "reader.db") != stored:
        found.append("the reader has not every row once and in order")
    if set(shown) - set(stored):
        found.append(f"{len(set(shown) - set(stored))} rows were shown and are not in the journal")
    if max(Counter(shown).values(), default=0) > len(writers):
        found.append("a row was shown twice by one process")
    found += read_ahead(calls, journal, folder / "taken", {id_: seq for seq, id_ in rows(journal)})
    for pid, log_found in writers:
        of_writer = [call for call in calls if call.pid == pid]
        found += unsynced_when_shown(of_writer, journal, (folder / "shown",), log_found)
    tally.faults += [f"{folder.name}: {fault}" for fault in found]
    tally.rows += len(stored)
    tally.shown += len(shown)
    tally.calls += len(calls)


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill a journal's writer at random, with a reader beside it.")
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cathrt-kill-") as folder:
        tally = kill_journal(options.kills, options.seed, Path(folder))
    if options.json:
        print(json.dumps({"type": "kill_journal", **asdict(tally)}))
    else:
        print("\n".join(f"{key:18}{value}" for key, value in asdict(tally).items()))
    sys.exit(1 if tally.faults else 0)


if __name__ == "__main__":
    main()
