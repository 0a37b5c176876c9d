"""The page's API does what its description says, and nothing else: asked by schemathesis, with data that fits and not.

Not for: what the answers mean.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cathrt.runtime.config import JournalConfig
from cathrt.runtime.decisions.book import DecisionBook
from cathrt.runtime.processes.gateway_page import desk_of
from cathrt.runtime.processes.state_folder import StateFolder
from tests.passes import whole_pass, write
from tests.web.serving import served

# Streams have no end to wait for, and logging out would end the session that asks.
_LEFT_OUT = ["--exclude-path", "/api/events", "--exclude-method", "DELETE"]
# Rules of two parameters together, and of characters that print, are no part of JSON Schema: these requests get 400.
_UNCHECKED = ["--exclude-checks", "positive_data_acceptance"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_the_api_answers_as_it_is_described(tmp_path: Path, role: str) -> None:
    state = StateFolder(tmp_path)
    write(state.live_journal, whole_pass(20))
    book = DecisionBook(state.gateway_journal, JournalConfig(), lambda _document: True)
    try:
        with served(tmp_path, desk=desk_of(state, book)) as page:
            client = page.client(role)
            token = client.cookie.partition("=")[2]
            (tmp_path / "schemathesis.toml").write_text(
                f'[auth.openapi.session]\napi_key = "{token}"\n[auth.openapi.csrf]\napi_key = "{client.csrf}"\n'
            )
            command = [sys.executable, "-m", "schemathesis.cli", "run", f"{page.url}api/openapi.json"]
            command += ["--phases", "examples,coverage,fuzzing", "--max-examples", "40", "--seed", "1", "--no-color"]
            command += ["--rate-limit", "40/s", "--request-timeout", "30", *_LEFT_OUT, *_UNCHECKED]
            done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    finally:
        book.close()
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
