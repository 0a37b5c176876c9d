"""The judge of the kills finds what is wrong in doctored evidence, and a few real kills pass it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.kills.box import SOURCES, VICTIMS, KilledBox
from benchmarks.kills.evidence import Evidence, JournalFound, evidence_of
from benchmarks.kills.judge import CLAIMS, judged
from benchmarks.kills.plan import planned
from benchmarks.kills.users import Notes
from cathrt.runtime.counts import FRAME_ENDS
from cathrt.runtime.listener.object_store import Arrival, ObjectStore
from tests.conftest import ROOT
from tests.listener.listening import EXPLICIT_LITTLE, LIMITS, XA
from tests.passes import alert, rows, start, summary, tampered, verdict, write
from tests.sources.dicom_bytes import xa_file

UID = "1.2.826.0.1.1"


@pytest.fixture
def box(tmp_path: Path) -> KilledBox:
    """What an undisturbed box and its users leave behind."""
    box = KilledBox(tmp_path)
    box.state.path.mkdir()
    for name, run in (("live", "A 10:00:00"), ("study", UID)):
        verdicts = [verdict(index, run) for index in range(10)]
        ends = (replace(start(run), source=run), replace(summary(verdicts, run), source=run))
        write(box.journal(name), [ends[0], *verdicts, alert(9, run), ends[1]])
        notes = Notes(box.feed_notes(name))
        for seq, id_ in rows(box.journal(name)):
            notes.note(seq, id_)
    store = ObjectStore(box.state.store, LIMITS)
    file = store.spool.open()
    store.spool.take(file)
    file.write(xa_file(2))
    store.place(file, Arrival(UID, XA, EXPLICIT_LITTLE, "ANGIO1", "10.0.0.1"))
    store.close()
    Notes(box.stored_notes).note(UID)
    receiver = Notes(box.outlet_folder / "webhook.jsonl")
    shown = []
    for name in ("live", "study"):
        for _, id_ in rows(box.journal(name)):
            receiver.note(id_)
            shown.append({"type": "verdict", "id": id_})
    counted = {"received": 12, "held": 2, "frames": 10} | dict.fromkeys(FRAME_ENDS, 0) | {"met": 10}
    counts = [{"type": "counts", "source": source, **counted} for source in SOURCES]
    (tmp_path / "out-0001.jsonl").write_bytes(b'{"type":"verdict","id":"cut')
    (tmp_path / "out-0002.jsonl").write_text("".join(json.dumps(line) + "\n" for line in (*shown, *counts)))
    return box


def broken(evidence: Evidence) -> set[str]:
    return {claim for claim, against in judged(evidence).items() if against}


def test_what_an_undisturbed_box_leaves_behind_is_right(box: KilledBox) -> None:
    assert broken(evidence_of(box)) == set()


def without_its_last(name: str) -> Callable[[Evidence], Evidence]:
    def doctored(evidence: Evidence) -> Evidence:
        return replace(evidence, feeds={**evidence.feeds, name: evidence.feeds[name][:-1]})

    return doctored


def twice_in_the_journal(evidence: Evidence) -> Evidence:
    found = list(evidence.journals["live"].rows)
    found.append((len(found) + 1, found[0][1]))
    feeds = {**evidence.feeds, "live": found}
    return replace(evidence, journals={**evidence.journals, "live": JournalFound(found)}, feeds=feeds)


def with_counts(**changes: int) -> Callable[[Evidence], Evidence]:
    return lambda evidence: replace(evidence, counts={**evidence.counts, "A": {**evidence.counts["A"], **changes}})


def without_one_delivered(evidence: Evidence) -> Evidence:
    return replace(evidence, delivered={name: ids[1:] for name, ids in evidence.delivered.items()})


def a_feed_that_repeats(evidence: Evidence) -> Evidence:
    found = list(evidence.feeds["study"])
    return replace(evidence, feeds={**evidence.feeds, "study": [*found[:3], *found[2:]]})


DOCTORED: list[tuple[Callable[[Evidence], Evidence], str]] = [
    (lambda e: replace(e, shown=[*e.shown, "never-stored"]), "shown is in the journal"),
    (lambda e: replace(e, shown=[*e.shown, e.shown[0]]), "shown is in the journal"),
    (lambda e: replace(e, shown=[]), "shown is in the journal"),
    (lambda e: replace(e, torn=e.starts), "shown is in the journal"),
    (twice_in_the_journal, "no id twice"),
    (without_its_last("live"), "a feed's reader has the journal"),
    (a_feed_that_repeats, "a feed's reader has the journal"),
    (without_one_delivered, "each outlet has the journal"),
    (lambda e: replace(e, delivered={"webhook": [*e.delivered["webhook"], "unknown"]}), "each outlet has the journal"),
    (lambda e: replace(e, stored=[*e.stored, "1.2.3"]), "what a sender was told is stored"),
    (lambda e: replace(e, stored=[]), "what a sender was told is stored"),
    (lambda e: replace(e, confirmed=frozenset()), "what is stored is judged"),
    (with_counts(met=9), "the counts add up"),
    (with_counts(held=3), "the counts add up"),
    (with_counts(received=0), "the counts add up"),
]


@pytest.mark.parametrize(("doctor", "claim"), DOCTORED, ids=[f"{n} {claim}" for n, (_, claim) in enumerate(DOCTORED)])
def test_doctored_evidence_breaks_its_claim_and_no_other(
    doctor: Callable[[Evidence], Evidence], claim: str, box: KilledBox
) -> None:
    assert broken(doctor(evidence_of(box))) == {claim}


def test_every_claim_has_its_doctored_evidence() -> None:
    assert {claim for _, claim in DOCTORED} | {"every journal verifies"} == CLAIMS.keys()


@pytest.mark.parametrize("name", ["live", "study"])
def test_a_tampered_journal_does_not_verify(name: str, box: KilledBox) -> None:
    tampered(box.journal(name), "UPDATE record SET body = replace(body, '\"met\"', '\"late\"') WHERE seq = 3",
             "UPDATE record SET body = body || ' ' WHERE seq = 3")  # fmt: skip
    assert "every journal verifies" in broken(evidence_of(box))


def test_a_pass_without_summary_does_not_verify_unless_a_refusal_says_why(box: KilledBox) -> None:
    write(box.journal("live"), [start("A 11:00:00"), verdict(0, "A 11:00:00")])
    assert "every journal verifies" in broken(evidence_of(box))


@pytest.mark.parametrize("act", [os.truncate, lambda path, _: path.unlink(), lambda path, _: _flip(path)],
                         ids=["cut", "removed", "changed"])  # fmt: skip
def test_an_object_that_is_not_as_it_was_sent_is_found(act: Callable[[Path, int], None], box: KilledBox) -> None:
    (path,) = (box.state.store / "objects").rglob("*.dcm")
    act(path, 500)
    assert broken(evidence_of(box)) == {"what a sender was told is stored"}


def _flip(path: Path) -> None:
    octets = bytearray(path.read_bytes())
    octets[-1] ^= 1
    path.write_bytes(octets)


def test_the_plan_is_the_same_for_the_same_seed_and_meets_every_process() -> None:
    plan = [planned(7, number) for number in range(1000)]
    assert plan == [planned(7, number) for number in range(1000)]
    assert plan != [planned(8, number) for number in range(1000)]
    share = {victim: sum(kill.victim == victim for kill in plan) / 1000 for victim in VICTIMS}
    assert min(share["live"], share["study"], share["gateway"]) > 0.2
    assert 0.01 < share["supervisor"] < 0.1


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_six_kills_leave_every_claim_true_and_the_benchmark_goes_on_where_it_was(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    for kills in (3, 6):  # the second goes on with the first
        (tmp_path / "judged").unlink(missing_ok=True)
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.kills", "--kills", str(kills), "--seed", "5", "--json",
             "--work", str(tmp_path)],
            cwd=ROOT, capture_output=True, text=True, timeout=400, check=False,
        )  # fmt: skip
        *found, last = [json.loads(line) for line in done.stdout.splitlines()]
        assert all(row["holds"] for row in found if row["case"] == "claim"), (found, done.stderr)
        assert last["headline"]["kills"] == kills
        assert sum(row["n"] for row in found if row["case"] == "killed") == kills
    assert last["headline"]["restart_max_s"] > 0
    record_property("recovery_s", last["headline"]["restart_max_s"])
