"""How often a login may fail, on a clock of the test's own."""

from __future__ import annotations

import pytest

from cathrt.runtime.web.access.login_limit import LoginLimit, LoginLimits, network_of
from cathrt.runtime.web.access.rate import Rate

LIMITS = LoginLimits(of_user=3, of_address=5, within_s=100.0)


class Hand:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Hand:
    """The time."""
    return Hand()


@pytest.fixture
def limit(clock: Hand) -> LoginLimit:
    """Three tries for a user, five from an address, within 100 s."""
    return LoginLimit(clock, LIMITS)


def test_a_user_is_held_back_wherever_the_tries_come_from(limit: LoginLimit, clock: Hand) -> None:
    for number in range(3):
        assert limit.begin("mori", f"10.0.0.{number}") == 0
        clock.now_s += 10.0
    assert limit.begin("mori", "10.0.0.9") == 70  # until the first of them is 100 s old
    assert limit.begin("sato", "10.0.0.9") == 0


def test_an_address_is_held_back_whoever_it_tries(limit: LoginLimit) -> None:
    assert [limit.begin(f"user{number}", "10.0.0.1") for number in range(6)] == [0, 0, 0, 0, 0, 100]
    assert limit.begin("user9", "10.0.0.2") == 0


def test_tries_that_were_held_back_do_not_make_it_longer(limit: LoginLimit, clock: Hand) -> None:
    for _ in range(3):
        limit.begin("mori", "10.0.0.1")
    for _ in range(50):
        clock.now_s += 1.0
        assert limit.begin("mori", "10.0.0.1") > 0
    clock.now_s += 50.0
    assert limit.begin("mori", "10.0.0.1") == 0


def test_who_gets_in_has_all_tries_again_but_the_address_keeps_the_others_failures(limit: LoginLimit) -> None:
    for _ in range(2):
        limit.begin("mori", "10.0.0.1")
    assert limit.begin("mori", "10.0.0.1") == 0
    limit.succeeded("mori", "10.0.0.1")
    assert limit.begin("mori", "10.0.0.1") == 0  # the user's failures are forgotten, the address has 2 + 1
    assert [limit.begin(name, "10.0.0.1") for name in ("a", "b", "c")] == [0, 0, 100]


def test_made_up_names_do_not_fill_the_memory(limit: LoginLimit) -> None:
    for number in range(5000):
        limit.begin(f"user{number}", f"10.{number >> 8}.{number & 255}.1")
    assert len(limit._tries) <= 4096


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_an_address_of_ipv6_counts_as_its_network(address: str, network: str) -> None:
    assert network_of(address) == network


def test_requests_have_a_burst_and_then_a_rate(clock: Hand) -> None:
    rate = Rate(clock, per_s=2.0, burst=4.0)
    assert [rate.wait_s("a") for _ in range(6)] == [0, 0, 0, 0, 1, 1]
    assert rate.wait_s("b") == 0
    clock.now_s += 1.0
    assert [rate.wait_s("a") for _ in range(3)] == [0, 0, 1]
