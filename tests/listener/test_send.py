"""The phantom as a modality: addresses, what is stored, and what a service that does not take it is said to do."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from cathrt.runtime.errors import ConfigError, SinkError
from cathrt.runtime.listener.peer_address import PeerAddress
from cathrt.runtime.listener.send import send_file, service_from
from tests.listener.listening import Listening, listening
from tests.sources.dicom_bytes import text, xa_file


def file_of(folder: Path, uid: str, **changes: bytes) -> Path:
    path = folder / "run.dcm"
    path.write_bytes(xa_file(_00080018=text("UI", uid), **changes))
    return path


def address_of(running: Listening) -> PeerAddress:
    return service_from(f"CATHRT@127.0.0.1:{running.listener.port}")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("CATHRT@127.0.0.1:11112", PeerAddress("CATHRT", "127.0.0.1", 11112)),
        ("B C@[::1]:104", PeerAddress("B C", "::1", 104)),
    ],
)
def test_an_address_is_read_as_dicom_tools_write_it(given: str, expected: PeerAddress) -> None:
    assert service_from(given) == expected


@pytest.mark.parametrize(
    "given",
    ["", "CATHRT", "CATHRT@host", "@host:104", "A@:104", "A@host:", "A@host:0", "A@host:65536", f"{'A' * 17}@h:1"],
)
def test_what_is_no_address_is_refused_with_an_example(given: str) -> None:
    with pytest.raises(ConfigError, match=r"expected AE@HOST:PORT, such as CATHRT@127\.0\.0\.1:11112"):
        service_from(given)


def test_a_file_is_in_the_store_when_it_has_been_sent(tmp_path: Path) -> None:
    with listening(tmp_path / "store") as running:
        send_file(file_of(tmp_path, "1.2.3.4"), address_of(running))
        assert len(running.files("objects")) == 1


def test_a_service_that_refuses_the_object_is_an_error_with_its_status(tmp_path: Path) -> None:
    with listening(tmp_path / "store") as running:
        send_file(file_of(tmp_path, "1.2.3.4"), address_of(running))
        other = file_of(tmp_path, "1.2.3.4", _00100020=text("LO", "another"))
        with pytest.raises(SinkError, match=r"answered 0x0111 to run\.dcm, expected 0x0000"):
            send_file(other, address_of(running))


def test_a_service_of_another_title_takes_no_association(tmp_path: Path) -> None:
    with listening(tmp_path / "store") as running:
        service = PeerAddress("ANOTHER", "127.0.0.1", running.listener.port)
        with pytest.raises(SinkError, match="no association: check its AE title"):
            send_file(file_of(tmp_path, "1.2.3.4"), service)


def test_where_nothing_listens_it_says_so(tmp_path: Path) -> None:
    with socket.socket() as taken:  # bound, and not listening
        taken.bind(("127.0.0.1", 0))
        service = PeerAddress("CATHRT", "127.0.0.1", taken.getsockname()[1])
        with pytest.raises(SinkError, match=r"cannot be reached .*: check that it listens there"):
            send_file(file_of(tmp_path, "1.2.3.4"), service)
