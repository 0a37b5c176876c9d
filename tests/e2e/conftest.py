"""Ends the process that the commands of these tests are forked from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e import commands


@pytest.fixture(scope="session", autouse=True)
def _server() -> Iterator[None]:
    yield
    commands.end_server()
