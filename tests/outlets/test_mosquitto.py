"""The MQTT outlet beside a broker that others have written. Skips where Mosquitto is not installed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from tests.conftest import ROOT
from tests.outlets.delivering import ALERTS, driven, journal_of, outlet

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
pytestmark = pytest.mark.skipif(MOSQUITTO is None, reason="no mosquitto: apt-get install mosquitto")
PATIENCE_S = 20.0


@dataclass
class Subscriber:
    """What a program that listens to everything has heard."""

    heard: list[tuple[str, bytes]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        with self.changed:
            self.heard.append((message.topic, message.payload))
            self.changed.notify_all()

    def ids(self) -> list[str]:
        return [json.loads(payload)["record"]["id"] for topic, payload in self.heard if topic != "cathrt/status"]

    def status(self) -> list[str]:
        return [json.loads(payload)["state"] for topic, payload in self.heard if topic == "cathrt/status"]

    def wait_for(self, condition: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, PATIENCE_S), self.heard


@contextmanager
def mosquitto(folder: Path, port: int) -> Iterator[None]:
    assert MOSQUITTO is not None
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    with subprocess.Popen([MOSQUITTO, "-c", str(config)], stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + PATIENCE_S
            while time.monotonic() < deadline:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
                    break
            yield
        finally:
            process.terminate()


@contextmanager
def subscribed(port: int) -> Iterator[Subscriber]:
    subscriber, ready = Subscriber(), threading.Event()
    client = Client(CallbackAPIVersion.VERSION2)
    client.on_message = subscriber.on_message
    client.on_subscribe = lambda *_arguments: ready.set()
    client.connect("127.0.0.1", port)
    client.subscribe("cathrt/#", 1)
    client.loop_start()
    assert ready.wait(PATIENCE_S)
    try:
        yield subscriber
    finally:
        client.disconnect()
        client.loop_stop()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def test_records_and_status_reach_a_subscriber_also_over_a_restart_of_the_broker(tmp_path: Path) -> None:
    port = free_port()
    ids = journal_of(tmp_path, ALERTS[:2])
    with driven(outlet("mqtt", f"mqtt://127.0.0.1:{port}", timeout_s=5.0), tmp_path) as driving:
        with mosquitto(tmp_path, port), subscribed(port) as first:
            driving.until(lambda: driving.delivery.state.delivered == 2)
            first.wait_for(lambda: len(first.ids()) == 2)
            first.wait_for(lambda: first.status()[-1:] == ["online"])
        driving.until(lambda: driving.delivery.state.reachable is False)
        ids = journal_of(tmp_path, ALERTS)
        driving.until(lambda: driving.seconds() > 100.0)
        with mosquitto(tmp_path, port), subscribed(port) as second:
            driving.until(lambda: driving.delivery.state.delivered == 5)
            second.wait_for(lambda: len(second.ids()) == 3 and second.status()[-1:] == ["online"])
            driving.delivery.close()
            second.wait_for(lambda: second.status()[-1:] == ["offline"])
    assert first.ids() == ids[:2]
    assert second.ids() == ids[2:]


def test_the_broker_tells_of_a_process_that_is_killed_and_the_next_one_is_online_again(tmp_path: Path) -> None:
    port = free_port()
    code = (
        "import sys; from cathrt.runtime.config import OutletConfig; from cathrt.runtime.outlets.mqtt import Mqtt\n"
        "mqtt = Mqtt(OutletConfig('out', 'mqtt', sys.argv[1])); mqtt.idle()\n"
        "print('there', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, f"mqtt://127.0.0.1:{port}"]
    with mosquitto(tmp_path, port), subscribed(port) as subscriber:
        for _ in range(2):
            with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as process:
                assert process.stdout is not None
                assert process.stdout.readline() == b"there\n"
                subscriber.wait_for(lambda: subscriber.status()[-1:] == ["online"])
                os.kill(process.pid, signal.SIGKILL)
            subscriber.wait_for(lambda: subscriber.status()[-1:] == ["offline"])
