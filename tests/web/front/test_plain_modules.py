"""The page's scripts by node: each can be read, and the plain modules compute what plain.test.mjs says."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.web.front.js_texts import STATIC

NODE = shutil.which("node")


@pytest.mark.skipif(NODE is None, reason="node is not installed: the page's plain modules are not tried here")
def test_plain_modules() -> None:
    assert NODE is not None
    tried = subprocess.run(
        [NODE, "--test", Path(__file__).with_name("plain.test.mjs")], capture_output=True, text=True, timeout=240
    )
    assert tried.returncode == 0, tried.stdout[-6000:]


@pytest.mark.skipif(NODE is None, reason="node is not installed: the page's scripts are not read here")
def test_every_script_can_be_read() -> None:
    assert NODE is not None
    # One process for all: a module that cannot be parsed fails its import, whatever it needs of a browser.
    code = "const{readFileSync}=require('fs');const vm=require('vm');"
    code += "for(const f of process.argv.slice(1))new vm.SourceTextModule(readFileSync(f,'utf8'),{identifier:f});"
    scripts = [str(path) for path in sorted((STATIC / "js").rglob("*.js"))]
    read = subprocess.run(
        [NODE, "--experimental-vm-modules", "-e", code, *scripts], capture_output=True, text=True, timeout=240
    )
    assert read.returncode == 0, read.stderr[-3000:]
