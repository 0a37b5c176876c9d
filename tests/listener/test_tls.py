"""Mutual TLS: who has no certificate of our authority does not get in, and who dawdles delays nobody."""

from __future__ import annotations

import datetime
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cathrt.runtime.config import ListenerConfig
from cathrt.runtime.listener.commitment_book import CommitmentBook, Instance
from cathrt.runtime.listener.object_store import ObjectStore
from cathrt.runtime.listener.statuses import SUCCESS
from tests.listener.commitment_user import Modality
from tests.listener.listening import LIMITS, Listening, associated, dataset, listening, wait_until, with_settings
from tests.sources.dicom_bytes import text, xa_file

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Identity:
    """A certificate and its key, in PEM files."""

    certificate: Path
    key: Path


class Authority:
    """Makes certificates."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.path = folder / f"{name}.pem"
        certificate = self._certificate(name, self._key, until=NOW + DAY, is_authority=True)
        self.path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def identity(self, name: str, until: datetime.datetime = NOW + DAY) -> Identity:
        key = ec.generate_private_key(ec.SECP256R1())
        made = Identity(self._folder / f"{self._name}-{name}.crt", self._folder / f"{self._name}-{name}.key")
        certificate = self._certificate(name, key, until=until, is_authority=False)
        made.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        form = serialization.PrivateFormat.PKCS8
        made.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
        return made

    def _certificate(
        self, name: str, key: ec.EllipticCurvePrivateKey, *, until: datetime.datetime, is_authority: bool
    ) -> x509.Certificate:
        def named(text: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

        builder = (
            x509.CertificateBuilder()
            .subject_name(named(name))
            .issuer_name(named(self._name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - 2 * DAY)
            .not_valid_after(until)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        )
        return builder.sign(self._key, hashes.SHA256())


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ours"), "ours")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("other"), "other")


def settings_of(authority: Authority, **others: object) -> ListenerConfig:
    ours = authority.identity("listener")
    return with_settings(
        tls_certificate=str(ours.certificate), tls_key=str(ours.key), tls_ca=str(authority.path), pdu_s=1.0, **others
    )


@pytest.fixture
def running(authority: Authority, tmp_path: Path) -> Iterator[Listening]:
    with listening(tmp_path / "store", settings_of(authority)) as running:
        yield running


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run.dcm"
    path.write_bytes(xa_file(_00080018=text("UI", "1.2.3.4")))
    return path


def client(authority: Authority, identity: Identity | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority.path)
    if identity is not None:
        context.load_cert_chain(identity.certificate, identity.key)
    return context


def send(running: Listening, authority: Authority, file: Path) -> int:
    context = client(authority, authority.identity("modality"))
    with associated(running.listener.port, tls_args=(context, "localhost")) as association:
        return int(association.send_c_store(dataset(file)).Status)


def is_let_in(running: Listening, context: ssl.SSLContext) -> bool:
    """Whether a handshake holds. With TLS 1.3 a client learns of its refusal with its first read."""
    with socket.create_connection(("127.0.0.1", running.listener.port), timeout=5.0) as plain:
        try:
            with context.wrap_socket(plain, server_hostname="localhost") as wrapped:
                wrapped.settimeout(0.3)
                wrapped.recv(1)
        except TimeoutError:
            return True
        except OSError:
            return False
    return False


def test_a_sender_with_a_certificate_of_ours_is_let_in(running: Listening, authority: Authority, file: Path) -> None:
    assert send(running, authority, file) == SUCCESS
    assert is_let_in(running, client(authority, authority.identity("second")))


@pytest.mark.parametrize("kind", ["none", "of another authority", "expired"])
def test_another_certificate_is_refused(
    kind: str, running: Listening, authority: Authority, other: Authority, file: Path
) -> None:
    identities = {
        "none": None, "of another authority": other.identity("modality"),
        "expired": authority.identity("expired", until=NOW - DAY),
    }  # fmt: skip
    assert not is_let_in(running, client(authority, identities[kind]))
    assert send(running, authority, file) == SUCCESS


def test_tls_below_1_2_is_refused(running: Listening, authority: Authority) -> None:
    context = client(authority, authority.identity("old"))
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    assert not is_let_in(running, context)


def test_who_dawdles_over_the_handshake_delays_nobody(running: Listening, authority: Authority, file: Path) -> None:
    slow = [running.connect() for _ in range(3)]
    slow[1].sendall(b"\x16\x03\x01")
    slow[2].sendall(b"plain text is no handshake")
    assert send(running, authority, file) == SUCCESS
    for connection in slow:
        connection.settimeout(5.0)
        with suppress(ConnectionResetError):
            while connection.recv(100):
                pass


@pytest.mark.skipif(shutil.which("storescu") is None, reason="no storescu of DCMTK here: apt-get install dcmtk")
def test_dcmtk_sends_over_mutual_tls(running: Listening, authority: Authority, file: Path) -> None:
    identity = authority.identity("dcmtk")
    tls = ["+tls", str(identity.key), str(identity.certificate), "+cf", str(authority.path)]
    command = ["storescu", *tls, "-aec", "CATHRT", "localhost", str(running.listener.port), str(file)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    assert len(running.files("objects")) == 1


@pytest.mark.parametrize("known", [True, False])
def test_a_report_is_sent_by_tls_and_only_to_a_peer_of_our_authority(
    known: bool, tmp_path: Path, authority: Authority, other: Authority
) -> None:
    identity = (authority if known else other).identity("modality")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate, identity.key)
    context.load_verify_locations(authority.path)
    context.verify_mode = ssl.CERT_REQUIRED
    store = ObjectStore(tmp_path / "store", LIMITS)
    CommitmentBook(store.index).ask("MODALITY", "127.0.0.1", "1.2.3", [Instance("1.2", "1.2.3.4")])
    store.close()
    modality = Modality()
    with modality.listening(tls=context) as port:
        settings = settings_of(
            authority, commitment_peers=(f"MODALITY@127.0.0.1:{port}",), commitment_attempts=1, idle_s=20.0
        )
        with listening(tmp_path / "store", settings) as running:
            wait_until(lambda: len(running.commitments) == 1)
    assert running.commitments[0].state == ("answered" if known else "given_up")
    assert modality.reports.qsize() == int(known)
