"""kill -9 of the processes of `cathrt run`, under load: `python -m benchmarks.kills --kills 1000 --seed 1 --json`.

Two live phantoms are judged, runs come in by C-STORE and are confirmed, both feeds are read, a webhook that loses
answers gets every record, and live, study, gateway and now and then the supervisor die at random moments. Then all that
was shown, delivered, stored and counted is held against the journals. A benchmark that was broken off goes on where it
was (--work); progress goes to standard error. Ends with 1 where a claim does not hold.
Not for: kills at fail points (tests/processes/test_live_kills.py and others).
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import measure
from benchmarks.kills.box import VICTIMS, KilledBox
from benchmarks.kills.evidence import confirmed_in, evidence_of, noted
from benchmarks.kills.judge import judged
from benchmarks.kills.plan import STOPS_LIVE, Killed, Killer, planned
from benchmarks.kills.receiver import receiving
from benchmarks.kills.users import Notes, User, users_of, wait_for

MOST_RESTART_S = 10.0
_STORE_EVERY_S = 1.5
_CONFIRMED_WITHIN_S = 600.0  # runs that were stored, by a process that gets the CPU last


def main(arguments: Sequence[str] | None = None) -> int:
    """Kill, judge and report. Returns the exit code."""
    options = _options(arguments)
    measure.exit_at_sigterm()
    work = options.work or measure.ROOT / "build" / "kills" / f"seed-{options.seed}"
    if (work / "judged").exists():  # of an earlier time, which came to its end
        shutil.rmtree(work)
    work.mkdir(parents=True, exist_ok=True)
    with measure.Heartbeat() as heartbeat:
        done = _kill(work, options.seed, options.kills)
        heartbeat.finish()
        evidence = evidence_of(KilledBox(work))
        claims = judged(evidence)
        rows = list(_rows(done, claims))
        rows.append(_headline(done, claims, heartbeat))
    (work / "judged").touch()
    broken = {claim: against for claim, against in claims.items() if against}
    for claim, against in broken.items():
        _say(f"NOT SO: {claim}: {'; '.join(against[:3])}")
    if options.json:
        measure.report(rows, as_json=True)
    else:
        for row in rows[:-1]:
            print("  ".join(f"{key} {value}" for key, value in row.items() if key != "bench"))
        measure.report(rows[-1:], as_json=False)
    return 1 if broken or rows[-1]["headline"]["restart_max_s"] > MOST_RESTART_S else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000, help="how many")
    parser.add_argument("--seed", type=int, default=1, help="of the order and the moments")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--work", type=Path, help="folder of the box, to go on with; default: build/kills/seed-SEED")
    return parser.parse_args(arguments)


def _kill(work: Path, seed: int, kills: int) -> list[Killed]:
    """Carry out what is left of the plan, and end the box well. Returns all kills."""
    done = [Killed(**entry) for (entry,) in noted(work / "kills.jsonl")]
    notes = Notes(work / "kills.jsonl")
    with ExitStack() as stack:
        box = KilledBox(work)
        box.more = stack.enter_context(receiving(box.outlet_folder))
        stack.callback(box.end)
        box.start()
        users = users_of(box, _STORE_EVERY_S)
        for user in users:
            user.start()
        killer = Killer(box)
        killer.await_judging()
        noted_until = len(done)
        for number in range(len(done), kills):
            done.append(killer.kill(planned(seed, number)))
            while noted_until < len(done) and done[noted_until].measured:
                notes.note(asdict(done[noted_until]))
                noted_until += 1
            if (number + 1) % 10 == 0 or number + 1 == kills:
                _say(f"{number + 1} of {kills} kills, {_seconds_each(done):.2f} s each")
        killer.await_judging()
        for killed in done[noted_until:]:
            notes.note(asdict(killed))
        _end_well(box, users)
    return done


def _seconds_each(done: Sequence[Killed]) -> float:
    return sum(killed.took_s for killed in done) / len(done)


def _end_well(box: KilledBox, users: Sequence[User]) -> None:
    """No more runs; those that are there are judged; then all end, and readers get the last events."""
    sender, *readers = users
    sender.finish()
    stored = {uid for (uid,) in noted(box.stored_notes)}

    def all_confirmed() -> bool:
        return stored <= confirmed_in(box.journal("study"))

    _say(f"{len(stored)} runs were stored; those that wait are judged now")
    wait_for(all_confirmed, _CONFIRMED_WITHIN_S, every_s=5.0)
    code = box.stop()
    for reader in readers:
        reader.finish()
    if code != 0:
        raise SystemExit(f"kills: `cathrt run` ended with {code}: see {box.folder}/err")


def _rows(done: Sequence[Killed], claims: Mapping[str, Sequence[str]]) -> Iterator[dict[str, Any]]:
    """One row for each process, and one for each claim."""
    for victim in VICTIMS:
        killed = [each for each in done if each.victim == victim]
        took = [each.first_verdict_s for each in killed if each.first_verdict_s is not None]
        measured = {"restart_p50_s": _quantile(took, 0.5), "restart_max_s": _quantile(took, 1.0)} if took else {}
        cut_short = {"cut_short": sum(each.cut_short for each in killed)} if victim in STOPS_LIVE else {}
        yield {"bench": "kills", "case": "killed", "process": victim, "n": len(killed), **cut_short, **measured}
    for claim, against in claims.items():
        yield {"bench": "kills", "case": "claim", "claim": claim, "holds": not against, "against": list(against[:3])}


def _headline(
    done: Sequence[Killed], claims: Mapping[str, Sequence[str]], heartbeat: measure.Heartbeat
) -> dict[str, Any]:
    first = [killed.first_verdict_s for killed in done if killed.first_verdict_s is not None]
    every = [killed.all_sources_s for killed in done if killed.all_sources_s is not None]
    figures = {
        "kills": len(done),
        "claims_held": sum(not against for against in claims.values()) / len(claims),
        "restart_p50_s": _quantile(first, 0.5),
        "restart_max_s": _quantile(first, 1.0),
        "all_sources_p50_s": _quantile(every, 0.5),
        "all_sources_max_s": _quantile(every, 1.0),
        "seconds_per_kill": _seconds_each(done),
    }
    return measure.headline("kills", figures, heartbeat, ("numpy", "openvino", "pynetdicom"))


def _quantile(values: Sequence[float], share: float) -> float:
    return round(float(np.quantile(values, share, method="higher")), 3) if values else 0.0


def _say(text: str) -> None:
    print(f"kills: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
