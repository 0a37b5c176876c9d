"""Webhooks: what is sent, how it is signed, and every way in which an HTTP server may answer or not."""

from __future__ import annotations

import base64
import hmac
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from cathrt.runtime.errors import ConfigError
from cathrt.runtime.outlets.message import Lane, Message, message_from
from cathrt.runtime.outlets.peer import RefusedError, UnreachableError
from cathrt.runtime.outlets.signing import signature
from cathrt.runtime.outlets.webhook import Webhook
from tests.outlets.certificates import self_signed, server_context
from tests.outlets.delivering import outlet
from tests.outlets.receivers import Receiver, receiving
from tests.passes import alert, stored

KEY = bytes(range(32))
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
MESSAGE: Message = message_from(stored(alert(1)), Lane("live", 0, names=False), 0)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving("webhook") as made:
        yield made


def secret_file(folder: Path, text: str = SECRET) -> str:
    path = folder / "secret"
    path.write_text(f"{text}\n")
    path.chmod(0o600)
    return str(path)


def test_a_signature_is_that_of_the_published_example() -> None:
    # https://www.standardwebhooks.com, the example that its libraries are tested with
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    made = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_receiver_can_check_who_sent_it_and_when(receiver: Receiver, tmp_path: Path) -> None:
    settings = outlet("webhook", f"{receiver.address}/in?room=1", secret_file=secret_file(tmp_path))
    with closing(Webhook(settings, lambda: 1_700_000_000.7)) as webhook:
        webhook.send(MESSAGE)
    (taken,) = receiver.told.taken
    signed = f"{MESSAGE.id}.1700000000.".encode() + taken.payload
    expected = base64.b64encode(hmac.digest(KEY, signed, "sha256")).decode()
    assert taken.headers["webhook-signature"] == f"v1,{expected}"
    assert taken.headers["webhook-timestamp"] == "1700000000"
    assert taken.headers["webhook-id"] == MESSAGE.id
    assert taken.headers["idempotency-key"] == f'"{MESSAGE.id}"'
    assert taken.headers["content-type"] == "application/json"
    assert taken.headers[""] == "POST /in?room=1 HTTP/1.1"
    assert taken.payload == MESSAGE.payload


def test_without_a_secret_it_is_not_signed(receiver: Receiver) -> None:
    with closing(Webhook(outlet("webhook", receiver.address))) as webhook:
        webhook.send(MESSAGE)
    assert "webhook-signature" not in receiver.told.taken[0].headers


def test_the_connection_is_kept_between_messages_and_made_anew_where_the_receiver_has_closed_it(
    receiver: Receiver,
) -> None:
    with closing(Webhook(outlet("webhook", receiver.address))) as webhook:
        for _ in range(3):
            webhook.send(MESSAGE)
        assert receiver.connections == 1
        receiver.down()
        receiver.up()
        webhook.send(MESSAGE)
    assert (receiver.connections, len(receiver.told.taken)) == (2, 4)


@pytest.mark.parametrize(
    ("word", "error", "says", "heard"),
    [
        ("refuse", RefusedError, "answered 422 No", None),
        ("error", UnreachableError, "answered 500 Fault", True),
        ("busy", UnreachableError, "answered 503 Busy", False),
        ("secret", UnreachableError, "answered 401 Who", False),
        ("moved", UnreachableError, "answered 302 There: redirects are not followed", False),
        ("reset", UnreachableError, "ConnectionResetError", True),
        ("lost", UnreachableError, "RemoteDisconnected", True),
        ("hang", UnreachableError, "TimeoutError", False),
    ],
)
def test_what_an_answer_means(
    receiver: Receiver, word: str, error: type[Exception], says: str, heard: bool | None
) -> None:
    receiver.told.script.append(word)
    with closing(Webhook(outlet("webhook", receiver.address, timeout_s=0.1))) as webhook:
        with pytest.raises(error, match=says) as caught:
            webhook.send(MESSAGE)
    assert getattr(caught.value, "heard", None) is heard


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    with receiving("webhook") as elsewhere:
        receiver.told.script.append("moved")
        receiver.told.more_headers["location"] = elsewhere.address
        with closing(Webhook(outlet("webhook", receiver.address))) as webhook, pytest.raises(UnreachableError):
            webhook.send(MESSAGE)
        assert elsewhere.connections == 0


@pytest.mark.parametrize(("asked", "wait_s"), [("120", 120.0), ("soon", None), ("-1", None), ("9" * 50, None)])
def test_a_receiver_may_say_how_long_it_wants_to_be_left_alone(
    receiver: Receiver, asked: str, wait_s: float | None
) -> None:
    receiver.told.script.append("busy")
    receiver.told.more_headers["retry-after"] = asked
    with closing(Webhook(outlet("webhook", receiver.address))) as webhook, pytest.raises(UnreachableError) as caught:
        webhook.send(MESSAGE)
    assert caught.value.wait_s == wait_s


def test_an_answer_without_end_is_broken_off(receiver: Receiver) -> None:
    receiver.told.script.append("drip")
    with closing(Webhook(outlet("webhook", receiver.address, timeout_s=5.0))) as webhook:
        breaking = threading.Thread(
            target=lambda: (receiver.told.wait_for(lambda: len(receiver.told.attempts) == 1), webhook.abort())
        )
        breaking.start()
        with suppress(UnreachableError):  # it counts as taken if its first line had come
            webhook.send(MESSAGE)
        breaking.join()
    assert len(receiver.told.attempts) == 1


def test_a_long_answer_is_read_to_its_limit_and_costs_the_connection(receiver: Receiver) -> None:
    receiver.told.more_headers["content-length"] = "1000000"
    with (
        closing(Webhook(outlet("webhook", receiver.address, timeout_s=0.1))) as webhook,
        pytest.raises(UnreachableError),
    ):
        webhook.send(MESSAGE)  # two bytes of a million came


def test_nobody_there_is_no_fault_of_the_record() -> None:
    with receiving("webhook") as gone:
        address = gone.address
    with closing(Webhook(outlet("webhook", address))) as webhook, pytest.raises(UnreachableError) as caught:
        webhook.send(MESSAGE)
    assert not caught.value.heard


def test_over_tls_the_receiver_has_to_show_who_it_is(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path, "127.0.0.1")
    with receiving("webhook", server_context(certificate)) as receiver:
        address = receiver.address.replace("http:", "https:")
        with closing(Webhook(outlet("webhook", address, tls_ca=str(certificate.certificate)))) as webhook:
            webhook.send(MESSAGE)
        with closing(Webhook(outlet("webhook", address))) as webhook, pytest.raises(UnreachableError, match="CERTIFI"):
            webhook.send(MESSAGE)
        by_name = address.replace("127.0.0.1", "localhost")
        with closing(Webhook(outlet("webhook", by_name, tls_ca=str(certificate.certificate)))) as webhook:
            with pytest.raises(UnreachableError, match=r"[Hh]ostname mismatch"):
                webhook.send(MESSAGE)
    assert len(receiver.told.taken) == 1


def test_old_tls_is_not_spoken(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path, "127.0.0.1")
    webhook = Webhook(outlet("webhook", "https://127.0.0.1:1", tls_ca=str(certificate.certificate)))
    context = webhook._connection._context  # type: ignore[attr-defined]
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    webhook.close()


@pytest.mark.parametrize(
    ("text", "mode", "says"),
    [
        (SECRET, 0o644, "of root or of user"),
        (SECRET.removeprefix("whsec_"), 0o600, "holds no signing key"),
        ("whsec_" + base64.b64encode(bytes(8)).decode(), 0o600, "holds no signing key"),
        ("whsec_not?base64!at-all-but-long-enough", 0o600, "holds no signing key"),
    ],
    ids=["readable by others", "no prefix", "too short", "no base64"],
)
def test_a_secret_that_cannot_be_used_is_named_by_its_key_and_never_shown(
    tmp_path: Path, text: str, mode: int, says: str
) -> None:
    path = Path(secret_file(tmp_path, text))
    path.chmod(mode)
    with pytest.raises(ConfigError, match=says) as caught:
        Webhook(outlet("webhook", "http://127.0.0.1:1", secret_file=str(path)))
    assert "outlets.out.secret_file" in str(caught.value)
    assert text not in str(caught.value)


@pytest.mark.parametrize("word", ["refuse", "error", "no HTTP at all \x00\x1b[2J" + 20_000 * "x"])
def test_what_a_receiver_says_of_itself_is_cut_and_cannot_drive_a_terminal(receiver: Receiver, word: str) -> None:
    hostile = "\x1b[31m\x00" + 20_000 * "y"
    receiver.told.script.append(word)
    receiver.told.reason = hostile
    with closing(Webhook(outlet("webhook", receiver.address))) as webhook:
        with pytest.raises((RefusedError, UnreachableError)) as caught:
            webhook.send(MESSAGE)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) <= 200
