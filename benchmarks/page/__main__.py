"""From verdict to picture at the browsers, and what they cost the live line: python -m benchmarks.page --json

A whole `cathrt run` watches a recorded screen at 15 frames/s. Five browsers, in a process of their own, watch its page
and rest in turns. Journal to both: from the moment at which a frame's record is durable, as a reader beside the page
sees it that looks every 2 ms, until a browser has the frame's picture and its record. Verdict to both also has the time
that the record waits for its group's commit (journal.group_commit_ms). Painting is in neither: the tests in Chromium
measure that. Live line: capture to verdict of every judged frame, with browsers and without, in turns of one run.
Peers: the newest picture as a file, polled over HTTP. Limit: a picture's bytes through a local socket.
"""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from benchmarks import measure
from benchmarks.page import peers
from benchmarks.soak.inputs import RATE_HZ, write_screens
from benchmarks.soak.lab import COMMAND, Lab, SoakError
from benchmarks.soak.plan import Plan
from cathrt.runtime.alert import JUDGED
from cathrt.runtime.journal.head import Head
from cathrt.runtime.journal.reader import JournalReader
from cathrt.runtime.web.access.passwords import password_hash
from cathrt.runtime.web.access.users_file import User, write_users
from cathrt.runtime.web.page import USERS_FILE
from cathrt.runtime.web.part.session import Role

BROWSERS = 5
SOURCE = "A"
MATRIX = 512
_PASSWORD = "a password of the benchmark"
_PAGE = "page"  # the report that says where the page is
_SETTLE_S = 1.0  # at the beginning of a turn, which is no part of it
_PEERS_S = 8.0
_WARM_UP_S = 6.0
_START_S = 180.0
_LOOK_S = 0.5
_LIMIT_ROUNDS = 200
_OBSERVED_MS = 2.0


@dataclass(frozen=True, slots=True)
class Turn:
    """A time in which browsers watched, or rested, ns."""

    begin_ns: int
    end_ns: int
    watched: bool


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict of the live journal. made_ns: when it was made."""

    acquired_ns: int
    made_ns: int
    end_to_end_ms: float
    counts: bool


def rows(turns: int, seconds: float) -> Iterator[dict[str, Any]]:
    """turns: with browsers, and as many without. seconds: of each."""
    heartbeat = measure.Heartbeat()
    with tempfile.TemporaryDirectory() as name, running(Path(name)) as lab:
        with observing(lab.state.live_journal) as durable_ns:
            taken, came = measured(lab, turns, seconds)
            lab.stop()
        judged = verdicts(lab.state.live_journal)
    figures = yield from _page_rows(judged, taken, came | {"durable": durable_ns}, heartbeat)
    yield from _peer_rows(heartbeat)
    heartbeat.finish()
    yield measure.headline("page", figures, heartbeat, ("starlette", "uvicorn", "websockets", "pillow", "numpy"))


@contextmanager
def running(folder: Path) -> Iterator[Lab]:
    """`cathrt run` with one live source and a page with one user, warm."""
    screens = write_screens(folder, Plan(60.0, matrix=MATRIX, runs=4))
    lab = Lab(folder, {SOURCE: screens[SOURCE]})
    lab.state.path.mkdir(parents=True)
    write_users(lab.state.path / USERS_FILE, {"viewer": User("viewer", Role.VIEWER, password_hash(_PASSWORD))})
    try:
        begin(lab)
        yield lab
    finally:
        lab.kill()


def begin(lab: Lab) -> None:
    """Start it and wait until its page answers and its line judges; the study process need not be ready.

    Raises SoakError.
    """
    config = lab.folder / "lab.toml"
    config.write_text(lab.config(), encoding="utf-8")
    command = [*COMMAND, "run", str(lab.state.path), "--json", "--config", str(config)]
    with lab.printed.open("wb") as out, lab.log.open("wb") as err:
        lab.child = subprocess.Popen(command, stdout=out, stderr=err, cwd=measure.ROOT, start_new_session=True)
    deadline_s = time.monotonic() + _START_S
    while not (page_url(lab) and verdicts(lab.state.live_journal)):
        lab.require_alive()
        if time.monotonic() > deadline_s:
            raise SoakError(f"not ready within {_START_S:g} s: {lab.log.read_text(encoding='utf-8')[-2000:]}")
        time.sleep(_LOOK_S)
    time.sleep(_WARM_UP_S)


def measured(lab: Lab, turns: int, seconds: float) -> tuple[list[Turn], dict[str, list[list[int]]]]:
    """Browsers watch and rest in turns. Returns the turns and what came to the browsers."""
    url = page_url(lab)
    command = [sys.executable, "-m", "benchmarks.page.clients", url, cookie_of(url), SOURCE, str(BROWSERS)]
    taken: list[Turn] = []
    with subprocess.Popen(
        command, cwd=measure.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as browsers:
        _answer(browsers, "ready")
        for number in range(2 * turns):
            watched = number % 2 == 1
            _tell(browsers, "watch" if watched else "rest")
            _answer(browsers, "done")
            time.sleep(_SETTLE_S)
            begin_ns = time.monotonic_ns()
            time.sleep(seconds)
            taken.append(Turn(begin_ns, time.monotonic_ns(), watched))
            lab.require_alive()
        _tell(browsers, "end")
        assert browsers.stdout is not None
        return taken, json.loads(browsers.stdout.readline())


@contextmanager
def observing(journal: Path) -> Iterator[dict[int, int]]:
    """When the record of each frame was first read as durable, by the frame's moment; filled while the block runs."""
    seen_ns: dict[int, int] = {}
    stop = threading.Event()

    def follow() -> None:
        reader = JournalReader(journal)
        for row in reader.follow(reader.end(), stop, _OBSERVED_MS):
            if row.stored.type == "verdict":
                seen_ns[json.loads(row.stored.body)["acquired_ns"]] = time.monotonic_ns()
        reader.close()

    following = threading.Thread(target=follow)
    following.start()
    try:
        yield seen_ns
    finally:
        stop.set()
        following.join()


def page_url(lab: Lab) -> str:
    """Where the page is; "" while it is not."""
    told = lab.state.read_report(_PAGE) if lab.state.memory.exists() else None
    return str((told or {}).get("url", ""))


def cookie_of(url: str) -> str:
    """Of a session that is logged in."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=_START_S)
    body = json.dumps({"user": "viewer", "password": _PASSWORD})
    connection.request("POST", "/api/session", body, {"content-type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    if answer.status != 201:
        raise SoakError(f"the login was answered with {answer.status}, expected 201")
    return (answer.getheader("set-cookie") or "").partition(";")[0]


def verdicts(journal: Path) -> list[Judged]:
    """All of a journal."""
    reader, place, found = JournalReader(journal), Head(), []
    while batch := reader.read(place):
        place = batch[-1].place
        for row in batch:
            if row.stored.type == "verdict":
                body = json.loads(row.stored.body)
                took_ms = body["latency_ms"]["end_to_end"]
                made_ns = body["acquired_ns"] + round(took_ms * 1e6)
                found.append(Judged(body["acquired_ns"], made_ns, took_ms, body["outcome"] in JUDGED))
    reader.close()
    return found


def _page_rows(
    judged: Sequence[Judged], turns: Sequence[Turn], came: Mapping[str, Any], heartbeat: measure.Heartbeat
) -> Generator[dict[str, Any], None, dict[str, float]]:
    """Rows of our page; returns the figures. came: pictures and records to browsers; durable: as observing() says."""
    counted = [one for one in judged if one.counts]
    within = {
        watched: [
            one
            for one in counted
            if any(t.watched is watched and t.begin_ns <= one.acquired_ns < t.end_ns for t in turns)
        ]
        for watched in (False, True)
    }
    made_ns = {one.acquired_ns: one.made_ns for one in within[True]}
    durable_ns = {
        captured_ns: came["durable"][captured_ns] for captured_ns in made_ns if captured_ns in came["durable"]
    }
    both: dict[tuple[int, int], int] = {}
    for begun, begin_ns in (("verdict", made_ns), ("journal", durable_ns)):
        arrived = {what: _arrived(came[what], begin_ns) for what in ("pictures", "records")}
        both = {key: max(arrived["pictures"][key], arrived["records"][key]) for key in _shared(arrived)}
        for what, found in (("picture", arrived["pictures"]), ("record", arrived["records"]), ("both", both)):
            samples = measure.Samples(
                [begin_ns[captured_ns] for _, captured_ns in found], [max(0, took_ns) for took_ns in found.values()]
            )
            seen = round(len(found) / BROWSERS / len(begin_ns), 4)
            yield measure.row("page", f"{begun} to {what}", "cathrt", samples, heartbeat, browsers=BROWSERS, seen=seen)
    p99_ms = {}
    for watched, name in ((False, "without page"), (True, "with page")):
        took_ns = [round(one.end_to_end_ms * 1e6) for one in within[watched]]
        samples = measure.Samples([one.acquired_ns for one in within[watched]], took_ns)
        row = measure.row("page", "live line", name, samples, heartbeat, browsers=BROWSERS if watched else 0)
        p99_ms[watched] = row["p99_ms"]
        yield row
    return {
        "journal_to_picture_p99_ms": _p99_ms(both.values()),
        "live_p99_page_vs_without": p99_ms[True] / p99_ms[False],
        "frames_seen": len(both) / BROWSERS / len(made_ns),
    }


def _arrived(came: Sequence[Sequence[int]], made_ns: dict[int, int]) -> dict[tuple[int, int], int]:
    """From the verdict until it came, ns, by browser and frame; the first time alone."""
    found: dict[tuple[int, int], int] = {}
    for browser, captured_ns, received_ns in came:
        if captured_ns in made_ns:
            found.setdefault((browser, captured_ns), received_ns - made_ns[captured_ns])
    return found


def _shared(arrived: dict[str, dict[tuple[int, int], int]]) -> list[tuple[int, int]]:
    return [key for key in arrived["pictures"] if key in arrived["records"]]


def _p99_ms(took_ns: Any) -> float:
    return float(np.quantile(np.fromiter(took_ns, float), 0.99, method="higher")) / 1e6


def _peer_rows(heartbeat: measure.Heartbeat) -> Iterator[dict[str, Any]]:
    with peers.serving(MATRIX, float(RATE_HZ)) as port:
        for name in peers.FORMATS:
            found = peers.polled(port, name, BROWSERS, MATRIX, _PEERS_S)
            samples = measure.Samples([shown for shown, _ in found], [came - shown for shown, came in found])
            yield measure.row(
                "page", "verdict to picture", f"{name} files polled", samples, heartbeat, browsers=BROWSERS
            )
    yield measure.row("page", "verdict to picture", "limit", _limit(), heartbeat, browsers=1)


def _limit() -> measure.Samples:
    """The bytes of one picture from one thread to another."""
    ours, theirs = socket.socketpair()
    data, samples = bytes(MATRIX * MATRIX), measure.Samples()

    def taken() -> None:
        for _ in range(_LIMIT_ROUNDS):
            left = len(data)
            while left:
                left -= len(theirs.recv(left))
            theirs.sendall(b"x")

    taking = threading.Thread(target=taken)
    taking.start()
    for _ in range(_LIMIT_ROUNDS):
        began_ns = time.monotonic_ns()
        ours.sendall(data)
        ours.recv(1)
        samples.began_ns.append(began_ns)
        samples.took_ns.append(time.monotonic_ns() - began_ns)
    taking.join()
    ours.close()
    theirs.close()
    return samples


def _tell(child: subprocess.Popen[str], word: str) -> None:
    assert child.stdin is not None
    print(word, file=child.stdin, flush=True)


def _answer(child: subprocess.Popen[str], expected: str) -> None:
    assert child.stdout is not None
    if (found := child.stdout.readline().strip()) != expected:
        raise SoakError(f"the browsers said {found!r}, expected {expected!r}: their message stands above")


def _rows(turns: int) -> Iterator[dict[str, Any]]:
    return rows(turns, 10.0 if turns > 1 else 6.0)


if __name__ == "__main__":
    measure.exit_at_sigterm()
    measure.command(__doc__, _rows, quick=1, full=8)
