"""Each door under a few hundred seeded cases, in this process: whoever comes, the next good peer is served."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import psutil
import pytest

from tests.fuzz.network import receivers, servers
from tests.fuzz.network.client_victim import Visits, calls_of
from tests.fuzz.network.conversation import End
from tests.fuzz.network.doors import Answer, dicom_case, feed_case, listening_as, page_case, require_page
from tests.gateway.reading import QUICK, RECORDS, bodies, serving
from tests.listener.listening import associated, dataset, listening, wait_until, with_settings
from tests.passes import write
from tests.sources.dicom_bytes import text, xa_file
from tests.web.serving import served as page_served

SEED = 15
PEERS = 8


def in_parallel(case: object, cases: int) -> Counter[End]:
    """Each case with random numbers of its own, so that it can be tried alone."""
    with ThreadPoolExecutor(PEERS) as peers:
        return Counter(peers.map(lambda number: case(Random(f"{SEED} {number}")), range(cases)))  # type: ignore[operator]


def test_the_listener_takes_a_good_object_after_a_hundred_hostile_associations(tmp_path: Path) -> None:
    path = tmp_path / "run.dcm"
    path.write_bytes(xa_file(_00080018=text("UI", "1.2.3.4.99")))
    settings = with_settings(pdu_s=1.0, idle_s=1.0, max_associations=2 * PEERS)
    with listening(tmp_path / "store", settings) as running:
        ends = in_parallel(lambda random: dicom_case(running.listener.port, random), 100)
        assert sum(ends.values()) == 100
        assert ends["answered"] + ends["closed"] > 50, ends
        wait_until(lambda: running.listener.connections == 0)
        with associated(running.listener.port) as association:
            assert association.send_c_store(dataset(path)).Status == 0
        assert "1.2.3.4.99" in {arrival.sop_instance_uid for arrival, _ in running.told}
        outside = [path for path in tmp_path.rglob("*") if running.folder not in (path, *path.parents)]
        assert sorted(outside) == [path]


def test_the_feed_has_every_record_after_three_hundred_hostile_connections(tmp_path: Path) -> None:
    write(tmp_path / "live.journal", RECORDS)
    with serving(tmp_path, QUICK) as served:
        ends = in_parallel(lambda random: feed_case(served.feed.port, random), 300)
        assert ends["answered"] > 50, ends
        with served.reader() as reader:
            assert [event.data for event in reader.take(len(RECORDS))] == bodies(RECORDS)
        wait_until(lambda: served.feed.status().readers == 0)


def test_the_page_is_there_after_three_hundred_hostile_connections_and_logged_no_fault(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "live.journal", RECORDS)
    with page_served(tmp_path, users=False, page={"demo": True}) as served:
        csrf, port = served.client().get("/api/session").json["csrf"], served.page.port
        ends = in_parallel(lambda random: page_case(port, random, csrf), 300)
        assert ends["answered"] > 50, ends
        require_page(port)
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


CLIENTS: dict[str, tuple[str, str, Answer, int]] = {
    "openigtlink": ("openigtlink", "127.0.0.1:{}", servers.serve_openigtlink, 150),
    "video": ("video", "tcp://127.0.0.1:{}", servers.serve_transport_stream, 20),
    "rtsp": ("video", "rtsp://127.0.0.1:{}/x", servers.serve_rtsp, 20),
    "webhook": ("webhook", "http://127.0.0.1:{}/", receivers.serve_webhook, 60),
    "mqtt": ("mqtt", "mqtt://127.0.0.1:{}", receivers.serve_mqtt, 30),
    "syslog": ("syslog", "syslog+tcp://127.0.0.1:{}", receivers.serve_syslog, 60),
}


@pytest.mark.parametrize("door", CLIENTS)
def test_a_hostile_server_costs_its_client_a_named_error_at_most(door: str) -> None:
    kind, address, answer, cases = CLIENTS[door]
    drawn = iter(range(10**6))
    ends: Counter[End] = Counter()
    lock = threading.Lock()

    def serve(connection: socket.socket) -> None:
        with lock:
            number = next(drawn)
        end = answer(connection, Random(f"{SEED} {number}"))
        with lock:
            ends[end] += 1

    before = psutil.Process().num_fds()
    with listening_as(serve) as port:
        visits = Visits()
        calls = calls_of(kind, address.format(port), 0.2)
        with ThreadPoolExecutor(PEERS) as peers:
            list(peers.map(lambda _number: visits.visit("x", calls), range(cases)))
    assert visits.counts["x refused"] + visits.counts["x served"] > 0, visits.counts
    assert sum(ends.values()) >= cases // 2
    wait_until(lambda: psutil.Process().num_fds() <= before)
