"""The page's files: nothing inline, nothing from elsewhere, no markup out of strings, vendor files as they came."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from cathrt.runtime.web.app import PARTS
from release.page_vendor import HASHES, TAKEN, VENDOR, sha256, upstream
from tests.web.front.js_texts import STATIC, code, imports, scripts
from tests.web.serving import served

OWN = [path for path in sorted(STATIC.rglob("*")) if path.suffix in (".js", ".css", ".html", ".svg", ".json")]
OWN = [path for path in OWN if "vendor" not in path.parts]


def test_the_shell_has_no_script_and_no_style_of_its_own() -> None:
    shell = (STATIC / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"<script([^>]*)>([^<]*)</script>", shell) == [(' type="module" src="/static/js/main.js"', "")]
    assert "<style" not in shell
    assert not re.search(r"\s(on\w+|style)=", shell)
    for named in re.findall(r'(?:src|href)="(/static/[^"]+)"', shell):
        assert (STATIC / named.removeprefix("/static/")).is_file(), named


def test_nothing_is_fetched_from_elsewhere() -> None:
    for path in OWN:
        found = set(re.findall(r"(?:https?:|wss?:)?//[\w.]+\.\w+", path.read_text(encoding="utf-8")))
        assert found <= {"http://www.w3.org"}, path


def test_no_script_makes_markup_or_code_out_of_a_string() -> None:
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|dangerouslySetInnerHTML|document\.write|\beval\(|new Function"
    forbidden += r"|srcdoc|\sstyle=\"|setAttribute\(\"(style|on)"
    for path in scripts():
        assert not re.search(forbidden, code(path)), path


def test_scripts_import_files_that_are_there_and_nothing_by_name() -> None:
    for path in scripts():
        for name in imports(path):
            assert name.startswith(("./", "../")), f"{path}: {name}"
            assert (path.parent / name).resolve().is_file(), f"{path}: {name}"


def test_plain_modules_know_neither_the_page_nor_the_server() -> None:
    for path in (STATIC / "js" / "plain").glob("*.js"):
        assert all(name.startswith("./") for name in imports(path)), path
        assert not re.search(r"(?<![.\w])(document\.\w|fetch\(|localStorage|addEventListener)", code(path)), path


def test_a_script_has_one_purpose_and_says_which() -> None:
    for path in scripts():
        text = path.read_text(encoding="utf-8")
        assert text.startswith("/**"), path
        assert len(text.splitlines()) <= 240, f"{path}: split it"


def test_vendor_files_are_their_makers_but_for_the_one_rewrite() -> None:
    told = json.loads((VENDOR / HASHES).read_text(encoding="utf-8"))
    by_name = {row["name"]: row for row in told["files"]}
    assert {taken.name for taken in TAKEN} == by_name.keys() == {path.name for path in VENDOR.iterdir()} - {HASHES}
    for taken in TAKEN:
        content = (VENDOR / taken.name).read_bytes()
        assert sha256(content) == by_name[taken.name]["sha256"], taken.name
        assert hashlib.sha256(upstream(taken, content)).hexdigest() == by_name[taken.name]["upstream_sha256"], (
            taken.name
        )
    assert {taken.package for taken in TAKEN if taken.name.endswith("LICENSE.txt")} == {
        taken.package for taken in TAKEN
    }


@pytest.mark.parametrize(
    "name", ["words/en.json", "js/main.js", "js/vendor/preact.mjs", "fonts/cathrt-page.woff2", "icon.svg"]
)
def test_the_server_gives_each_kind_of_file(name: str) -> None:
    from cathrt.runtime.web.static_files import FOLDER, read_static

    files = read_static(FOLDER)
    assert files[name].content == (STATIC / name).read_bytes()


def test_every_path_that_a_script_asks_is_in_the_servers_description(tmp_path: Path) -> None:
    api = code(STATIC / "js" / "net" / "api.js")
    asked = set(re.findall(r'"(/api/[^"]*)"', api))
    assert len(asked) >= 12
    for path in scripts():
        if path.name != "api.js":
            assert "/api/" not in code(path), f"{path}: paths stand in net/api.js alone"
    # The routes of studies are there with a desk; nothing is decided here.
    with served(tmp_path, parts=PARTS, desk=object()) as page:
        described = page.client().get("/api/openapi.json").json
    sockets = {"/api/pictures/{source}"}
    missing = asked - described["paths"].keys() - sockets
    assert not missing
    assert "/api/pictures/{source}" in json.dumps(described), "the description does not tell of the socket"
