"""benchmarks/soak: slopes of known samples, books that must balance, and a minute of everything at once."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from benchmarks.measure import ROOT
from benchmarks.soak.activity import Activities
from benchmarks.soak.books import Books, counts_from_lines, outlet_faults
from benchmarks.soak.figures import WHOLE, headline_figures, restarts_of, sizes, slope_rows, slopes
from benchmarks.soak.latency import quarters_p99_ms, windows
from benchmarks.soak.plan import Plan, short
from benchmarks.soak.receiver import Receiver
from benchmarks.soak.sampling import MIB, ProcessSample, Sample, process_sample, size_of
from benchmarks.soak.trend import trend

HOUR_S = 3600.0
EVERY_S = 10.0


def times(hours: float = 1.0) -> list[float]:
    return [EVERY_S * number for number in range(round(hours * HOUR_S / EVERY_S))]


def test_a_straight_line_has_its_own_slope_and_no_width() -> None:
    found = trend(times(), [100.0 + 7.2 * at / HOUR_S for at in times()])
    assert found is not None
    assert (found.per_hour, found.low, found.high) == pytest.approx((7.2, 7.2, 7.2))


@pytest.mark.parametrize("seed", range(5))
def test_the_true_slope_lies_within_the_bounds_under_noise_and_spikes(seed: int) -> None:
    noise = np.random.default_rng(seed)
    values = [300.0 + 3.0 * at / HOUR_S + float(noise.normal(0.0, 2.0)) for at in times()]
    for number in range(0, len(values), 37):
        values[number] += 500.0  # a backup, a swap: an odd sample now and then
    found = trend(times(), values)
    assert found is not None
    assert found.low - 0.3 <= 3.0 <= found.high + 0.3
    assert found.high - found.low < 6.0
    assert found.low < found.high


def test_what_stays_has_slope_zero_and_bounds_of_zero() -> None:
    found = trend(times(), [57.0] * len(times()))
    assert found is not None
    assert (found.per_hour, found.low, found.high) == (0.0, 0.0, 0.0)


def test_a_descriptor_that_is_lost_every_quarter_of_an_hour_is_seen() -> None:
    found = trend(times(2.0), [float(57 + at // 900) for at in times(2.0)])
    assert found is not None
    assert 3.0 < found.low <= 4.0 <= found.high < 5.0


def test_too_few_samples_have_no_slope() -> None:
    assert trend([0.0, 1.0, 2.0], [1.0, 2.0, 3.0]) is None
    assert trend([], []) is None


def sample(at_s: float, pids: dict[str, int] | None = None, **rss_mb: float) -> Sample:
    processes = {
        name: ProcessSample(rss_mb=rss, descriptors=20, threads=5, processes=1) for name, rss in rss_mb.items()
    }
    return Sample(at_s, pids or {}, processes, {"store": round((300.0 - at_s / HOUR_S) * MIB)}, 1000.0)


def test_the_whole_grows_as_its_processes_do() -> None:
    samples = [sample(at, live=200.0 + at / HOUR_S, study=300.0 + 2.0 * at / HOUR_S) for at in times()]
    found = slopes(samples)["rss_slope_mb_per_h"]
    assert {name: round(one.per_hour, 6) for name, one in found.items() if one} == {
        WHOLE: 3.0,
        "live": 1.0,
        "study": 2.0,
    }
    assert all(one is not None and one.per_hour == 0.0 for one in slopes(samples)["fd_slope_per_h"].values())
    rows = slope_rows(samples, 900.0, {"bench": "soak"})
    assert [row["impl"] for row in rows] == [WHOLE, "live", "study"]
    assert rows[0]["rss_slope_mb_per_h"]["per_hour"] == 3.0
    assert (rows[0]["threads"], rows[1]["threads"]) == (10, 5)


def test_a_file_that_is_bounded_is_as_large_in_both_halves() -> None:
    found = sizes([sample(at, live=1.0) for at in times()])
    assert found["store"]["slope_mb_per_h"] == pytest.approx(-1.0)
    assert found["store"]["first_half_mb"] == 300.0
    assert found["store"]["second_half_mb"] == 299.5


def test_another_process_number_is_a_restart() -> None:
    pids = [{"live": 7}, {"live": 7, "study": 8}, {"live": 9, "study": 8}, {"study": 8}, {"live": 9, "study": 10}]
    assert restarts_of([sample(at, one) for at, one in enumerate(pids)]) == 2


def test_p99_drift_is_the_last_quarter_of_the_first_without_the_warm_up() -> None:
    came = np.arange(0.0, 1000.0, 0.1)
    latency = np.where(came < 200.0, 500.0, np.where(came < 800.0, 20.0, 30.0))
    quarters = quarters_p99_ms(came, latency, 200.0, 1000.0)
    assert quarters == [20.0, 20.0, 20.0, 30.0]
    assert quarters_p99_ms(came[:900], latency[:900], 0.0, 400.0) is None, "a quarter without frames"
    found = list(windows(came, latency, 500.0))
    assert [(one.from_s, one.judged, one.p50_ms) for one in found] == [(0.0, 5000, 20.0), (500.0, 5000, 20.0)]


COUNTS = {
    "received": 110, "held": 10, "frames": 100, "met": 90, "late": 4, "dropped": 1, "failed": 0, "duplicate": 2,
    "lost": 2, "refused": 1,
}  # fmt: skip
DELIVERED = {"MET": 90, "LATE": 4, "DROPPED": 1, "DUPLICATE": 2}


def books(**delivered: int) -> Books:
    lines = [{"type": "counts", "source": "A", "notice": "x", **COUNTS}]
    return Books(counts_from_lines(lines), {"A": {**DELIVERED, **delivered}}, stored=4)


def test_books_that_balance_account_for_every_frame() -> None:
    assert books().frames_accounted == 1.0
    assert books().disagreements() == []
    assert books().outcome_totals()["lost"] == 2
    assert Books().frames_accounted is None


def test_a_verdict_that_was_not_delivered_is_missed_and_named() -> None:
    assert books(MET=89).frames_accounted == 0.99
    assert books(MET=89).disagreements() == ["A, met: 90 counted, 89 delivered"]
    assert books(LATE=5).frames_accounted == 1.01


def test_an_outlet_owes_each_record_of_its_types_once_at_least() -> None:
    expected = {"live": {"alert": {"a", "b"}, "verdict": {"v"}}, "study": {"run": {"r"}}}
    taken = {"live": Counter(a=1, b=3), "study": Counter[str]()}
    assert outlet_faults(expected, taken, ("alert", "run")) == ["outlet: 1 records of type run of study did not arrive"]
    assert outlet_faults(expected, taken | {"study": Counter(r=1)}, ("alert", "run")) == []


def test_figures_name_what_was_asked_for_and_leave_out_what_nobody_can_say() -> None:
    samples = [sample(at, {"live": 1}, live=200.0) for at in times()]
    came = [at / 10.0 for at in range(36_000)]
    full = Books(counts_from_lines([{"source": "A", **COUNTS}]), {"A": DELIVERED}, (), came, [20.0] * len(came), 2, 1)
    assert headline_figures(samples, full, 900.0, HOUR_S) == {
        "rss_slope_mb_per_h": 0.0, "anonymous_slope_mb_per_h": 0.0, "fd_slope_per_h": 0.0, "thread_slope_per_h": 0.0,
        "p99_drift": 1.0, "p99_last_quarter_ms": 20.0, "frames_accounted": 1.0, "delivered_equals_journal": 1.0,
        "stores_confirmed": 0.5, "restarts": 0.0,
    }  # fmt: skip
    short_one = headline_figures(samples[:5], Books(faults_of_delivery=["a row was left out"]), 0.0, 50.0)
    assert short_one == {"delivered_equals_journal": 0.0, "stores_confirmed": 1.0, "restarts": 0.0}


def test_a_sample_of_this_process_is_what_the_kernel_says() -> None:
    with open(os.devnull) as _one_more:
        found = process_sample(os.getpid())
    assert found is not None
    assert found.rss_mb > 20.0
    assert found.anonymous_mb <= found.rss_mb
    assert found.descriptors > 3
    assert found.threads >= 1


def test_children_that_are_sampled_themselves_are_not_counted_twice() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        with_child, without = process_sample(os.getpid()), process_sample(os.getpid(), {child.pid, os.getpid()})
        assert with_child is not None
        assert without is not None
        assert with_child.processes == without.processes + 1
        child.communicate(b"\n")
    assert process_sample(child.pid) is None


def test_the_size_of_a_folder_is_that_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "a").write_bytes(bytes(10))
    (tmp_path / "below" / "b").write_bytes(bytes(32))
    assert size_of(tmp_path) == 42
    assert size_of(tmp_path / "nothing") == 0


def test_a_short_soak_does_everything_more_often() -> None:
    hour, minute = short(Plan(HOUR_S)), short(Plan(60.0))
    assert hour == Plan(HOUR_S)
    assert hour.warm_up_s == 900.0
    assert minute.warm_up_s == 15.0
    assert minute.swap_s <= 30.0
    assert minute.sample_s == 1.0


def signed(key: bytes, body: bytes, identity: str = "id-1") -> dict[str, str]:
    digest = base64.b64encode(hmac.new(key, f"{identity}.17.".encode() + body, hashlib.sha256).digest()).decode()
    return {"webhook-id": identity, "webhook-timestamp": "17", "webhook-signature": f"v1,{digest}"}


def test_a_receiver_takes_what_is_signed_and_nothing_else(tmp_path: Path) -> None:
    receiver = Receiver(tmp_path)
    key = base64.b64decode(receiver.secret_file.read_text().strip().removeprefix("whsec_"))
    body = json.dumps({"journal": "live", "record": {"id": "r1"}}).encode()
    assert receiver.handle(signed(key, body), body) == 204
    assert receiver.handle(signed(key, body), body) == 204
    assert receiver.handle(signed(b"x" * 32, body), body) == 401
    assert receiver.handle({}, body) == 401
    assert receiver.taken == {"live": Counter(r1=2)}
    assert receiver.forged == 2


def test_an_activity_that_fails_is_reported_and_one_that_may_fail_is_counted() -> None:
    activities = Activities()
    knocked, broke = threading.Event(), threading.Event()

    def refused() -> None:
        knocked.set()
        raise OSError("nobody there")

    def broken() -> None:
        broke.set()
        raise ZeroDivisionError("a bug")

    activities.every(0.001, "knocks", refused, OSError)
    activities.every(0.001, "breaks", broken, OSError)
    assert knocked.wait(60.0)
    assert broke.wait(60.0)
    activities.end(10.0)
    assert activities.faults["knocks"]["OSError: nobody there"] >= 1
    (failure,) = activities.failures
    assert failure.startswith("breaks: ")
    assert "ZeroDivisionError: a bug" in failure


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_minute_of_everything_at_once_accounts_for_every_frame(tmp_path: Path) -> None:
    samples = tmp_path / "samples.jsonl"
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.soak", "--minutes", "1", "--quick", "--json", "--samples", str(samples),
         "--work", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    *rows, last = map(json.loads, ended.stdout.splitlines())
    (load,) = (row for row in rows if row["case"] == "load")
    assert last["headline"]["frames_accounted"] == 1.0, load
    assert last["headline"]["delivered_equals_journal"] == 1.0, load["faults_of_delivery"]
    assert last["headline"]["restarts"] == 0.0, load
    assert load["failures"] == []
    assert load["disagreements"] == []
    assert load["exit_code"] == 0
    assert min(load["swaps"], load["stored_runs"], load["scrapes"], load["outlet_turned_away"]) >= 1
    written = [json.loads(line) for line in samples.read_text().splitlines()]
    taken = [one["at_s"] for one in written if one["type"] == "sample"]
    assert len(taken) > 40
    assert all(after > before for before, after in pairwise(taken))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_one_that_is_stopped_early_reports_what_it_has(tmp_path: Path) -> None:
    import signal

    samples = tmp_path / "samples.jsonl"
    command = [sys.executable, "-m", "benchmarks.soak", "--hours", "1", "--quick", "--json", "--samples", str(samples)]
    with subprocess.Popen([*command, "--work", str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        deadline = time.monotonic() + 300.0
        while not samples.exists() or len(samples.read_text().splitlines()) < 2:
            assert child.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
        child.send_signal(signal.SIGINT)
        said, _ = child.communicate(timeout=400.0)
    assert child.returncode == 0
    last = json.loads(said.splitlines()[-1])
    assert last["partial"] is True
    assert last["headline"]["frames_accounted"] == 1.0
