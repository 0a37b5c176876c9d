"""What is wrong with the configuration of an outlet is said before anything is started, and names its key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from cathrt.runtime.config import OutletConfig, config_from_document
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.models import policies
from cathrt.runtime.outlets import opening
from cathrt.runtime.outlets.address import address_of
from cathrt.runtime.outlets.opening import require_outlets, wanted_types
from tests.e2e.commands import cathrt

GOOD = {"webhook": "http://127.0.0.1:1/in", "mqtt": "mqtt://127.0.0.1", "syslog": "syslog+tcp://127.0.0.1"}


def outlets_of(*tables: dict[str, Any]) -> tuple[OutletConfig, ...]:
    document = {"outlets": [{"name": "out", **table} for table in tables]}
    return config_from_document(document, policies(), origin="lab.toml").outlets


@pytest.mark.parametrize("kind", GOOD)
def test_an_outlet_needs_a_name_a_kind_and_an_address(kind: str) -> None:
    require_outlets(outlets_of({"kind": kind, "address": GOOD[kind]}))


@pytest.mark.parametrize(
    ("table", "key", "says"),
    [
        ({"address": "ftp://host"}, "address", "expected https://HOST:PORT or http://HOST:PORT"),
        ({"address": "127.0.0.1:80"}, "address", "expected https://HOST:PORT"),
        ({"address": "https://"}, "address", "expected https://HOST:PORT"),
        ({"address": "https://h:99999/"}, "address", "expected https://HOST:PORT"),
        ({"address": "https://me:secret@host/"}, "address", "found a user or a password in it"),
        ({"address": "https://host/#part"}, "address", "expected https://HOST:PORT"),
        ({"address": "https://host/ä"}, "address", "expected it percent-encoded"),
        ({"kind": "mqtt", "address": "mqtt://host/path"}, "address", "found the path '/path'"),
        ({"kind": "syslog", "address": "udp://host"}, "address", "expected syslog+tls://HOST:PORT or"),
        ({"types": ["alert", "alarm"]}, "types", "found 'alarm', expected some of"),
        ({"kind": "dicom", "address": "dicom://h:104"}, "address", "expected dicoms://AE_TITLE@HOST:PORT"),
        ({"kind": "dicom", "address": "dicom://PACS:secret@h"}, "address", "found a user or a password in it"),
        ({"kind": "dicom", "address": "dicom://PACS@h", "types": ["alert"]}, "types", "expected some of ended, study"),
        ({"kind": "stow", "address": "http://h/web", "secret_file": "s"}, "address", "only with https://"),
        ({"modalities": ["SR"]}, "modalities", "expected only for dicom or stow"),
        ({"commitment": False}, "commitment", "expected only for dicom"),
        ({"topic": "a"}, "topic", "expected only for mqtt"),
        ({"facility": "local3"}, "facility", "expected only for syslog"),
        ({"kind": "syslog", "address": GOOD["syslog"], "secret_file": "s"}, "secret_file", "only for webhook or"),
        ({"tls_ca": "ca.pem"}, "tls_ca", "expected only for an address with TLS"),
        ({"address": "https://h/", "tls_ca": "none.pem"}, "tls_*", "the certificates cannot be used"),
        ({"address": "https://h/", "tls_key": "none.pem"}, "tls_certificate", "found nothing, expected a file"),
        ({"kind": "mqtt", "address": GOOD["mqtt"], "user": "u"}, "secret_file", "the file with the password"),
        ({"secret_file": "none"}, "secret_file", "cannot be read"),
        (
            {"kind": "syslog", "address": "syslog+udp://h", "mandatory": True}, "mandatory", "over UDP nobody can tell",
        ),
        ({"mandatory": True}, "rate_per_minute", "expected 0, since what is mandatory must not be kept back"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_key(table: dict[str, Any], key: str, says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)) as caught:
        require_outlets(outlets_of({"kind": "webhook", "address": GOOD["webhook"], **table}))
    assert f"outlets.out.{key}: " in str(caught.value)
    assert "secret@" not in str(caught.value)


def test_two_outlets_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="outlets: found the name 'out' twice"):
        outlets_of({"kind": "webhook", "address": GOOD["webhook"]}, {"kind": "webhook", "address": GOOD["webhook"]})


def test_mqtt_without_its_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match=re.escape("pip install '.[mqtt]'")):
        require_outlets(outlets_of({"kind": "mqtt", "address": GOOD["mqtt"]}))


def test_by_default_it_gets_what_is_for_a_person() -> None:
    (given,) = outlets_of({"kind": "webhook", "address": GOOD["webhook"]})
    assert wanted_types(given) == {
        "alert", "run", "refusal", "draft", "study", "engine", "decision", "signoff", "review",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("address", "host", "port", "path"),
    [
        ("https://host", "host", 443, "/"),
        ("http://[::1]:8080/a?b=c", "::1", 8080, "/a?b=c"),
        ("https://Host.example/x", "host.example", 443, "/x"),
    ],
)
def test_an_address_is_taken_apart(address: str, host: str, port: int, path: str) -> None:
    found = address_of(OutletConfig("out", "webhook", address))
    assert (found.host, found.port, found.path) == (host, port, path)


def test_only_an_address_that_no_other_machine_can_have_is_local() -> None:
    local = ["http://127.0.0.1", "http://localhost", "http://[::1]"]
    other = ["http://127.0.0.1.example", "http://10.0.0.1", "http://localhost.example"]
    assert [address_of(OutletConfig("o", "webhook", one)).is_local for one in (*local, *other)] == [True] * 3 + [
        False
    ] * 3


def test_a_relative_secret_is_that_of_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="none cannot be read"):
        require_outlets(outlets_of({"kind": "webhook", "address": GOOD["webhook"], "secret_file": "none"}))


def test_cathrt_run_refuses_it_before_it_starts_anything(tmp_path: Path) -> None:
    config = tmp_path / "lab.toml"
    config.write_text('[[outlets]]\nname = "out"\nkind = "webhook"\naddress = "ftp://host"\n')
    done = cathrt("run", tmp_path / "state", "--config", config)
    assert done.returncode == ConfigError.exit_code
    assert "outlets.out.address: found 'ftp://host', expected https://HOST:PORT" in done.stderr
    assert not (tmp_path / "state").exists()
