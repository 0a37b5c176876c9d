"""What the pages show works: Python and quick commands run, long commands exist with every flag, TOML and JSON load.

Each block runs in a scratch folder of its own, which holds `study/phantom-0007.dcm` and `study/phantom-0008.dcm`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from cathrt.export.models.keyframe.semantics import semantics_from_toml
from cathrt.export.models.report.prompts_file import prompts_from
from cathrt.export.models.study.products import PRODUCTS
from cathrt.export.models.study.settings_file import Settings, with_settings
from cathrt.runtime.config import Config
from cathrt.runtime.models import load_config
from cathrt.runtime.models.report.section import ReportPrompts
from tests.docs.blocks import PAGES, ROOT, Block, all_blocks, blocks_of
from tests.docs.commands_named import commands_in, faults_of_command
from tests.e2e import commands

LANGUAGES = {"python", "sh", "sh check", "toml", "json", "text", "cpp"}
SCRIPTS = str(Path(sys.executable).parent)


@pytest.fixture(scope="session", autouse=True)
def _server() -> Iterator[None]:
    yield
    commands.end_server()


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "study"
    size = ("--matrix", "128", "--frames", "12", "--rate-hz", "15")
    done = commands.cathrt("phantom", "--seed", "7", "--runs", "2", *size, "--out", folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def scratch(study: Path, tmp_path: Path) -> Path:
    shutil.copytree(study, tmp_path / "study")
    return tmp_path


def run(command: list[str], folder: Path, block: Block) -> None:
    environment = {**os.environ, "PATH": f"{SCRIPTS}:{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{block} ended with {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


@pytest.mark.parametrize("block", all_blocks("python"), ids=str)
def test_a_python_example_runs(block: Block, scratch: Path) -> None:
    run([sys.executable, "-W", "error", "-c", f"{block.given}\n{block.text}"], scratch, block)


@pytest.mark.parametrize("block", all_blocks("sh"), ids=str)
def test_a_command_runs(block: Block, scratch: Path) -> None:
    run(["bash", "-euo", "pipefail", "-c", f"{block.given}\n{block.text}"], scratch, block)


@pytest.mark.parametrize("block", all_blocks("sh check"), ids=str)
def test_a_command_that_is_not_run_exists_with_all_its_flags(block: Block) -> None:
    assert not [fault for words in commands_in(block.text) for fault in faults_of_command(words)]


@pytest.mark.parametrize("block", all_blocks("toml"), ids=str)
def test_a_toml_example_loads(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "example.toml"
    path.write_text(block.text, encoding="utf-8")
    keys = set(tomllib.loads(block.text))
    if keys <= {section.name for section in fields(Config)}:
        load_config(path)
    elif keys == {one.name for one in fields(ReportPrompts)}:
        prompts_from(path, pictures=True)
    elif keys <= {one.name for one in fields(Settings)}:
        with_settings(PRODUCTS["generic"], path)
    else:
        semantics_from_toml(path)


@pytest.mark.parametrize("block", all_blocks("json"), ids=str)
def test_a_json_example_is_json(block: Block) -> None:
    try:
        json.loads(block.text)
    except ValueError:  # JSON lines
        for line in block.text.splitlines():
            json.loads(line)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_has_a_language_and_text_holds_no_command(page: Path) -> None:
    for block in blocks_of(page, page.read_text(encoding="utf-8")):
        assert block.language in LANGUAGES, f"{block}: found {block.language!r}, expected one of {sorted(LANGUAGES)}"
        if block.language == "text":
            assert not re.findall(r"^\s*(?:\$ |cathrt [a-z]+ |make [a-z]|pip |python -)", block.text, re.MULTILINE), (
                block
            )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        name, _, anchor = link.partition("#")
        if "://" in name:
            continue
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.name}: {link} leads nowhere"
        if anchor:
            assert anchor in _anchors(target), f"{page.name}: {link}: no such heading"


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    "command",
    ["cathrt reply study", "cathrt replay --speed max", "make demos", "python -m benchmarks.kernels --fast", "rm -r x"],
)
def test_a_wrong_command_is_noticed(command: str) -> None:
    assert [fault for words in commands_in(command) for fault in faults_of_command(words)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_block_is_indented_instead_of_fenced(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert not re.findall(r"\n\n {4,}\S.*", text)


def test_the_index_of_decisions_lists_every_page() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(r"\]\((0[^)]+)\)", (folder / "README.md").read_text(encoding="utf-8"))
    assert listed == sorted(page.name for page in folder.glob("0*.md"))
