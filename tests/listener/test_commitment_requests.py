"""Requests for storage commitment: which are taken, and what their sender is answered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cathrt.runtime.errors import ConfigError
from cathrt.runtime.listener import commitment_service, statuses
from cathrt.runtime.listener.commitment_calls import peers_from_settings
from cathrt.runtime.listener.commitment_service import MOST_INSTANCES
from tests.listener.commitment_user import CONTEXT, Modality, answered, ask, asked_alone, request
from tests.listener.listening import XA, Listening, associated, listening, with_settings

STORED = "1.2.3.4"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Listening]:
    with listening(tmp_path / "store") as running:
        yield running


@pytest.mark.parametrize(
    ("asked", "changes", "status"),
    [
        (request([(XA, STORED)]), {"instance": "1.2.3"}, statuses.NO_SUCH_INSTANCE),
        (request([(XA, STORED)]), {"action": 2}, statuses.NO_SUCH_ACTION),
        (request([(XA, STORED)], transaction=""), {}, statuses.INVALID_ARGUMENT),
        (request([]), {}, statuses.INVALID_ARGUMENT),
        (None, {}, statuses.INVALID_ARGUMENT),
        (request([(XA, "")]), {}, statuses.INVALID_ARGUMENT),
        (request([(XA, f"1.2.{n}") for n in range(MOST_INSTANCES + 1)]), {}, statuses.RESOURCE_LIMITATION),
    ],
)
def test_a_request_that_cannot_be_taken_is_refused(
    asked: object, changes: dict[str, object], status: int, running: Listening
) -> None:
    with associated(running.listener.port, [CONTEXT]) as association:
        assert ask(association, asked, **changes) == status  # type: ignore[arg-type]
        assert association.is_established


def test_the_most_that_one_request_may_hold_is_reported_on(tmp_path: Path) -> None:
    modality = Modality()
    asked = [(XA, f"1.2.3.{number}") for number in range(MOST_INSTANCES)]
    with (
        listening(tmp_path / "store", with_settings(idle_s=60.0, pdu_s=60.0)) as running,
        modality.associated(running.listener.port) as association,
    ):
        assert ask(association, request(asked)) == statuses.SUCCESS
        assert len(answered(running, modality)[3]) == MOST_INSTANCES


def test_the_same_request_again_is_taken_and_another_with_its_transaction_is_not(running: Listening) -> None:
    assert asked_alone(running, (XA, STORED)) == statuses.SUCCESS
    assert asked_alone(running, (XA, STORED)) == statuses.SUCCESS
    assert asked_alone(running, (XA, "1.2.3.5")) == statuses.INVALID_ARGUMENT


def test_one_peer_may_have_only_so_many_requests_without_an_answer(
    running: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commitment_service, "MOST_PENDING", 3)
    taken = [asked_alone(running, (XA, STORED), transaction=f"1.2.3.{number}") for number in range(4)]
    assert taken == [statuses.SUCCESS] * 3 + [statuses.RESOURCE_LIMITATION]


def test_a_request_that_cannot_be_made_durable_is_refused(running: Listening) -> None:
    running.store.index._database.execute("PRAGMA query_only=ON")
    assert asked_alone(running, (XA, STORED)) == statuses.RESOURCE_LIMITATION
    running.store.index._database.execute("PRAGMA query_only=OFF")
    assert asked_alone(running, (XA, STORED)) == statuses.SUCCESS


@pytest.mark.parametrize("peer", ["ANGIO1", "@h:1", "ANGIO1@:1", "ANGIO1@h:x", "ANGIO1@h:0", "A" * 17 + "@h:1"])
def test_an_address_that_is_none_is_a_configuration_error(peer: str, tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match=r"listener\.commitment_peers: found"),
        listening(tmp_path / "store", with_settings(commitment_peers=(peer,))),
    ):
        pass


def test_addresses_of_both_kinds_are_understood() -> None:
    assert peers_from_settings(["A@10.1.2.3:104", "B C@[::1]:11112"]) == {"A": ("10.1.2.3", 104), "B C": ("::1", 11112)}
