"""Token and TLS of the gateway's HTTP: who has neither is refused, and an address of other machines has both."""

from __future__ import annotations

import datetime
import http.client
import ipaddress
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from starlette.datastructures import Headers

from cathrt.runtime.config import FeedConfig
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.gateway.doors import doors_from
from cathrt.runtime.gateway.feed import Feed, FeedLimits, opened_feed
from cathrt.runtime.gateway.stream import RefusedError
from tests.gateway.reading import NAMES, PATIENCE_S, QUICK, RECORDS, bodies
from tests.passes import whole_pass, write

TOKEN = "b7e0c4f19a2d4c58a1f3e6d7908b5c42"
NAME = "cathbox.lab.example"


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for NAME and 127.0.0.1, and its key, in PEM files."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName(NAME), x509.DNSName("*.lan.example"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "box.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "box.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, none))
    return folder / "box.crt", folder / "box.key"


@pytest.fixture
def settings(tmp_path: Path, identity: tuple[Path, Path]) -> FeedConfig:
    """An address of all machines, with all that it needs."""
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    token.chmod(0o600)
    return FeedConfig("0.0.0.0", 0, 8, str(token), str(identity[0]), str(identity[1]))


@contextmanager
def serving(folder: Path, settings: FeedConfig, limits: FeedLimits = QUICK) -> Iterator[Feed]:
    with opened_feed(settings, {name: folder / f"{name}.journal" for name in NAMES}, lambda _: {}, limits) as feed:
        yield feed


def trusting(settings: FeedConfig) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=settings.tls_certificate)


def get(feed: Feed, settings: FeedConfig, path: str = "/health", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """One request over TLS, with the certificate checked."""
    connection = http.client.HTTPSConnection("127.0.0.1", feed.port, timeout=PATIENCE_S, context=trusting(settings))
    try:
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_who_shows_the_token_over_tls_gets_what_a_program_of_this_machine_gets(
    tmp_path: Path, settings: FeedConfig
) -> None:
    write(tmp_path / "live.journal", RECORDS)
    with serving(tmp_path, settings) as feed:
        assert feed.url.startswith("https://0.0.0.0:")
        for path in ("/", "/health", "/metrics"):
            assert get(feed, settings, path, Authorization=f"Bearer {TOKEN}")[0] == 200
        connection = http.client.HTTPSConnection("127.0.0.1", feed.port, timeout=PATIENCE_S, context=trusting(settings))
        connection.request("GET", "/feeds/live", headers={"Authorization": f"bearer {TOKEN}"})
        answer = connection.getresponse()
        lines = (line for line in iter(answer.readline, b"") if line.startswith(b"data: "))
        assert [line[6:-1] for line in islice(lines, len(RECORDS))] == bodies(RECORDS)
        connection.close()


@pytest.mark.parametrize(
    "shown",
    [None, "", "Bearer", "Bearer ", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", f"Bearer  {TOKEN}", f"Basic {TOKEN}",
     TOKEN, "Bearer \xff\xfe", f"Bearer {TOKEN.upper()}", f"Bearer {'a' * 8000}"]
)  # fmt: skip
def test_another_token_is_none(settings: FeedConfig, shown: str | None) -> None:
    doors = doors_from(replace(settings, host="127.0.0.1"))
    headers = Headers({} if shown is None else {"authorization": shown})
    with pytest.raises(RefusedError, match="Authorization: Bearer TOKEN") as refused:
        doors.require_token(headers)
    assert refused.value.status == 401


def test_without_the_token_nothing_is_shown(tmp_path: Path, settings: FeedConfig) -> None:
    with serving(tmp_path, settings) as feed:
        for path in ("/", "/health", "/metrics", "/feeds/live", "/nothing"):
            for given in ({}, {"Authorization": f"Bearer {TOKEN}x"}):
                status, answered, body = get(feed, settings, path, **given)
                assert (status, answered["www-authenticate"]) == (401, "Bearer")
                assert TOKEN not in body.decode()


def test_plain_http_gets_nothing_where_tls_is_asked_for(tmp_path: Path, settings: FeedConfig) -> None:
    with serving(tmp_path, settings) as feed, socket.create_connection(("127.0.0.1", feed.port), PATIENCE_S) as plain:
        plain.sendall(f"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
        with suppress(ConnectionResetError):
            assert b"200" not in plain.recv(4096)


def test_tls_older_than_1_2_is_refused(tmp_path: Path, settings: FeedConfig) -> None:
    old = trusting(settings)
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with serving(tmp_path, settings) as feed, socket.create_connection(("127.0.0.1", feed.port), PATIENCE_S) as plain:
        with pytest.raises((ssl.SSLError, OSError)):
            old.wrap_socket(plain, server_hostname="127.0.0.1")


def test_a_peer_that_never_shakes_hands_is_cut_off_and_delays_nobody(tmp_path: Path, settings: FeedConfig) -> None:
    limits = replace(QUICK, request_s=0.2)
    with serving(tmp_path, settings, limits) as feed:
        silent = [socket.create_connection(("127.0.0.1", feed.port), PATIENCE_S) for _ in range(8)]
        assert get(feed, settings, Authorization=f"Bearer {TOKEN}")[0] == 200
        for connection in silent:
            with connection, suppress(ConnectionResetError):
                assert connection.recv(1) == b""


def test_a_reader_that_stands_still_over_tls_is_cut_off(tmp_path: Path, settings: FeedConfig) -> None:
    write(tmp_path / "live.journal", whole_pass(1500))  # more than the system and TLS hold for a reader
    ended = threading.Event()
    limits = replace(QUICK, take_s=0.3)
    with serving(tmp_path, settings, limits) as feed:
        plain = socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.settimeout(PATIENCE_S)
        plain.connect(("127.0.0.1", feed.port))
        with trusting(settings).wrap_socket(plain, server_hostname="127.0.0.1") as reader:
            request = f"GET /feeds/live HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
            reader.sendall(request.encode())
            assert reader.recv(1) == b"H"
            while feed.status().readers:  # and reads no more
                ended.wait(0.01)
        assert get(feed, settings, Authorization=f"Bearer {TOKEN}")[0] == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [(NAME, 200), (f"{NAME.upper()}:8732", 200), ("box.lan.example", 200), ("127.0.0.1:8732", 200), ("localhost", 200),
     ("evil.example", 421), ("a.box.lan.example", 421), ("lan.example", 421), ("10.0.0.1", 421), ("0.0.0.0", 421)],
)  # fmt: skip
def test_the_names_of_the_certificate_are_those_to_ask_by(settings: FeedConfig, host: str, status: int) -> None:
    doors = doors_from(settings)
    if status == 200:
        doors.require_host(host)
    else:
        with pytest.raises(RefusedError, match="name of the certificate") as refused:
            doors.require_host(host)
        assert refused.value.status == status


@pytest.mark.parametrize("missing", ["token_file", "tls_certificate", "tls_key"])
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7"])
def test_an_address_of_other_machines_without_all_of_them_is_refused_by_name(
    settings: FeedConfig, host: str, missing: str
) -> None:
    with pytest.raises(ConfigError, match=rf"feed\.host: found {host}, which other machines reach, .*feed\.{missing}"):
        doors_from(replace(settings, host=host, **{missing: ""}))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1"])
def test_a_loopback_address_needs_none_of_them_and_takes_them(settings: FeedConfig, host: str) -> None:
    bare = doors_from(FeedConfig(host=host))
    assert (bare.token_sha256, bare.tls) == (None, None)
    both = doors_from(replace(settings, host=host))
    assert both.token_sha256 is not None
    assert both.tls is not None
    with pytest.raises(ConfigError, match=r"feed\.tls_key: found nothing"):
        doors_from(FeedConfig(host=host, tls_certificate=settings.tls_certificate))


def test_a_second_loopback_address_is_served_in_plain(tmp_path: Path) -> None:
    with serving(tmp_path, FeedConfig(host="127.0.0.2", port=0)) as feed:
        connection = http.client.HTTPConnection("127.0.0.2", feed.port, timeout=PATIENCE_S)
        connection.request("GET", "/health")
        assert connection.getresponse().status == 200
        connection.close()


@pytest.mark.parametrize(
    ("mode", "content", "says"),
    [
        (0o644, f"{TOKEN}\n", "has mode 0644"),
        (0o620, f"{TOKEN}\n", "has mode 0620"),
        (0o602, f"{TOKEN}\n", "has mode 0602"),
        (0o600, "", "holds no secret"),
        (0o600, "short\n", "holds no secret"),
        (0o600, f"{TOKEN}\n{TOKEN}\n", "holds no secret"),
        (0o600, f"{TOKEN} {TOKEN}\n", "holds no secret"),
        (0o600, "é" * 20, "holds no secret"),
        (0o600, "x" * 5000, "holds no secret"),
    ],
)
def test_a_token_file_that_others_may_use_or_that_holds_none_is_refused_without_being_quoted(
    settings: FeedConfig, mode: int, content: str, says: str
) -> None:
    path = Path(settings.token_file)
    path.write_text(content)
    path.chmod(mode)
    with pytest.raises(ConfigError, match=f"feed.token_file: .*{says}") as refused:
        doors_from(settings)
    assert TOKEN not in str(refused.value)


def test_a_group_may_read_the_token(settings: FeedConfig) -> None:
    Path(settings.token_file).chmod(0o640)
    assert doors_from(settings).token_sha256 is not None


def test_files_that_are_not_there_or_no_pem_are_refused_by_name(tmp_path: Path, settings: FeedConfig) -> None:
    with pytest.raises(ConfigError, match=r"feed\.token_file: .*cannot be read"):
        doors_from(replace(settings, token_file=str(tmp_path / "none")))
    with pytest.raises(ConfigError, match=r"feed\.tls_certificate, feed\.tls_key: cannot be used"):
        doors_from(replace(settings, tls_key=settings.token_file))
    with pytest.raises(ConfigError, match=r"feed\.tls_certificate, feed\.tls_key: cannot be used"):
        doors_from(replace(settings, tls_certificate=str(tmp_path / "none")))


def test_a_key_with_a_password_is_refused_and_nobody_is_asked_for_it(tmp_path: Path, settings: FeedConfig) -> None:
    key = serialization.load_pem_private_key(Path(settings.tls_key).read_bytes(), None)
    form, locked = serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
    (tmp_path / "locked.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, locked))
    with pytest.raises(ConfigError, match="which has no password"):
        doors_from(replace(settings, tls_key=str(tmp_path / "locked.key")))


def test_the_owner_of_the_token_file_is_checked(settings: FeedConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    found = os.fstat
    monkeypatch.setattr(os, "fstat", lambda file: os.stat_result((found(file).st_mode, 0, 0, 1, 4712, 0, 0, 0, 0, 0)))
    with pytest.raises(ConfigError, match="owner 4712"):
        doors_from(settings)
