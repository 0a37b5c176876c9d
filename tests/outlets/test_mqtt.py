"""MQTT: topics, the retained status, the last will, logins, and a broker that does not answer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cathrt.runtime.alert import NOTICE
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.outlets.message import Lane, message_from
from cathrt.runtime.outlets.mqtt import Mqtt
from cathrt.runtime.outlets.peer import UnreachableError
from tests.conftest import ROOT
from tests.outlets.certificates import self_signed, server_context
from tests.outlets.delivering import outlet
from tests.outlets.receivers import MqttReceiver, receiving
from tests.passes import alert, stored

MESSAGE = message_from(stored(alert(1)), Lane("live", 0, names=False), 0)
PASSWORD = "short"


@pytest.fixture
def broker() -> Iterator[MqttReceiver]:
    with receiving("mqtt") as made:
        assert isinstance(made, MqttReceiver)
        yield made


def password_file(folder: Path) -> str:
    path = folder / "password"
    path.write_text(f"{PASSWORD}\n")
    path.chmod(0o600)
    return str(path)


def test_a_record_goes_to_the_topic_of_its_journal_and_type_and_is_acknowledged(broker: MqttReceiver) -> None:
    with closing(Mqtt(outlet("mqtt", broker.address))) as mqtt:
        mqtt.send(MESSAGE)
        (taken,) = broker.told.taken
    assert taken.headers == {"topic": "cathrt/live/alert", "qos": "1"}
    assert taken.payload == MESSAGE.payload


def test_the_status_is_online_while_it_is_connected_and_offline_after_a_goodbye(broker: MqttReceiver) -> None:
    with closing(Mqtt(outlet("mqtt", broker.address))) as mqtt:
        mqtt.idle()
        assert broker.status == "online"
    broker.told.wait_for(lambda: broker.status == "offline")
    assert NOTICE.encode() in broker.retained["cathrt/status"]


def test_the_broker_says_offline_for_a_process_that_is_killed(broker: MqttReceiver) -> None:
    code = (
        "import sys; from cathrt.runtime.config import OutletConfig; from cathrt.runtime.outlets.mqtt import Mqtt\n"
        "mqtt = Mqtt(OutletConfig('out', 'mqtt', sys.argv[1])); mqtt.idle()\n"
        "print('there', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, broker.address], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"there\n"
        assert broker.status == "online"
        os.kill(process.pid, signal.SIGKILL)
        broker.told.wait_for(lambda: broker.status == "offline")


def test_each_connection_has_the_same_client_id_so_that_none_outlives_the_next(broker: MqttReceiver) -> None:
    for name in ("out", "out", "other"):
        with closing(Mqtt(outlet("mqtt", broker.address, name=name))) as mqtt:
            mqtt.idle()
    first, again, other = broker.client_ids
    assert first == again != other
    assert len(first) <= 23


def test_user_and_password_come_from_the_configuration_and_from_a_file(broker: MqttReceiver, tmp_path: Path) -> None:
    settings = outlet("mqtt", broker.address, user="cath", secret_file=password_file(tmp_path))
    with closing(Mqtt(settings)) as mqtt:
        mqtt.idle()
    assert broker.logins == [("cath", PASSWORD)]


def test_a_broker_that_does_not_let_us_in_says_why(broker: MqttReceiver) -> None:
    broker.refused_with = 5
    with closing(Mqtt(outlet("mqtt", broker.address))) as mqtt:
        with pytest.raises(UnreachableError, match="Not authorized") as caught:
            mqtt.send(MESSAGE)
    assert not caught.value.heard


def test_a_broker_that_does_not_acknowledge_is_left_after_the_time_of_an_attempt(broker: MqttReceiver) -> None:
    broker.told.script.append("hang")
    with closing(Mqtt(outlet("mqtt", broker.address, timeout_s=0.2))) as mqtt:
        with pytest.raises(UnreachableError, match=r"no PUBACK within 0\.2 s"):
            mqtt.send(MESSAGE)


def test_a_connection_that_has_ended_is_noticed_while_there_is_nothing_to_send(broker: MqttReceiver) -> None:
    with closing(Mqtt(outlet("mqtt", broker.address))) as mqtt:
        mqtt.idle()
        broker.down()
        with pytest.raises(UnreachableError, match="the connection has ended"):
            for _ in range(100):
                mqtt.idle()


def test_over_tls_the_broker_has_to_show_who_it_is(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path, "127.0.0.1")
    with receiving("mqtt", server_context(certificate)) as broker:
        address = broker.address.replace("mqtt:", "mqtts:")
        with closing(Mqtt(outlet("mqtt", address, tls_ca=str(certificate.certificate)))) as mqtt:
            mqtt.send(MESSAGE)
        with closing(Mqtt(outlet("mqtt", address))) as mqtt, pytest.raises(UnreachableError, match="CERTIFICATE"):
            mqtt.send(MESSAGE)
        by_name = address.replace("127.0.0.1", "localhost")
        with closing(Mqtt(outlet("mqtt", by_name, tls_ca=str(certificate.certificate)))) as mqtt:
            with pytest.raises(UnreachableError, match=r"[Hh]ostname mismatch"):
                mqtt.send(MESSAGE)
    assert len(broker.told.taken) == 1


@pytest.mark.parametrize("topic", ["cath/#", "cath/+/x", "$SYS/cath"])
def test_a_topic_that_is_a_filter_is_refused(topic: str) -> None:
    with pytest.raises(ConfigError, match=r"outlets\.out\.topic"):
        Mqtt(outlet("mqtt", "mqtt://127.0.0.1", topic=topic))


def test_a_password_does_not_go_to_another_machine_in_the_clear(tmp_path: Path) -> None:
    settings = outlet("mqtt", "mqtt://10.1.2.3", user="cath", secret_file=password_file(tmp_path))
    with pytest.raises(ConfigError, match=r"expected mqtts://"):
        Mqtt(settings)
