"""The page over HTTP: files and headers, who may ask for what, what is said of a fault, and what the trail holds."""

from __future__ import annotations

import http.client
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cathrt.runtime.errors import CathrtError, ConfigError
from cathrt.runtime.web.app import with_description
from cathrt.runtime.web.part.context import PageContext
from cathrt.runtime.web.part.route import PageRoute, PageSocket
from cathrt.runtime.web.part.session import Role
from cathrt.runtime.web.static_files import FOLDER, read_static
from tests.web.parts import PATIENT, part
from tests.web.serving import HOST, Client, Served, served

ROLES = ("viewer", "operator", "admin")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One page for all tests that leave it as it was."""
    with served(tmp_path_factory.mktemp("page"), parts=(part,)) as opened:
        yield opened


@pytest.fixture(scope="module")
def browsers(page: Served) -> dict[str, Client]:
    """One browser of each role; "" is nobody's."""
    return {role: page.client(role) for role in ("", *ROLES)}


def test_the_shell_and_its_files_need_no_session_and_hold_to_a_strict_policy(page: Served) -> None:
    nobody = page.client()
    shell = nobody.get("/")
    assert (shell.status, shell.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = shell.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    for name, value in (("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer")):
        assert shell.headers[name] == value
    assert "server" not in shell.headers
    assert nobody.get("/", if_none_match=shell.headers["etag"]).status == 304
    assert nobody.get("/static/index.html").body == shell.body


@pytest.mark.parametrize(
    "path",
    [
        "/static/../page.py",
        "/static/%2e%2e/page.py",
        "/static//etc/passwd",
        "/static/",
        "/static/.hidden",
        "/index.html",
    ],
)
def test_nothing_but_the_files_of_the_page_is_served(page: Served, path: str) -> None:
    assert page.client().get(path).status == 404


def test_a_file_of_each_kind_is_served_as_what_it_is(page: Served) -> None:
    nobody, first_of = page.client(), {file.media: path for path, file in read_static(FOLDER).items()}
    assert "text/javascript; charset=utf-8" in first_of
    for media, path in first_of.items():
        answer = nobody.get(f"/static/{path}")
        assert (answer.status, answer.headers["content-type"]) == (200, media)
        assert answer.body == (FOLDER / path).read_bytes()


def test_a_file_of_a_kind_that_no_page_has_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"found no index\.html"):
        read_static(tmp_path)
    (tmp_path / "index.html").write_text("")
    (tmp_path / "tool.exe").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"found the suffix '\.exe'"):
        read_static(tmp_path)


PATHS = {
    ("GET", "/api/test/shown/a"): "viewer",
    ("POST", "/api/test/changed"): "operator",
    ("PUT", "/api/test/admin"): "admin",
}


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_each_role_gets_as_far_as_its_own_paths(browsers: dict[str, Client], method: str, path: str) -> None:
    least = ROLES.index(PATHS[method, path])
    document = {"text": "x"} if method == "POST" else None
    assert browsers[""].ask(method, path, document).status == 401
    for rank, role in enumerate(ROLES):
        answer = browsers[role].ask(method, path, document)
        if rank < least:
            assert (answer.status, answer.error) == (
                403,
                f"found the role {role}, expected {ROLES[least]}: ask an administrator",
            )
        else:
            assert answer.status in (200, 201), answer.body


def test_every_route_of_the_product_names_a_role_and_only_the_login_is_for_anybody(tmp_path: Path) -> None:
    with served(tmp_path, desk=object()) as page:  # nothing is decided here, but the routes are there
        paths = page.client().get("/api/openapi.json").json["paths"]
    roles = {
        (path, method): operation["x-least-role"]
        for path, methods in paths.items()
        for method, operation in methods.items()
    }
    assert set(roles.values()) <= {"anybody", *ROLES}
    assert {key for key, role in roles.items() if role == "anybody"} == {
        ("/api/session", "get"),
        ("/api/session", "post"),
        ("/api/session", "delete"),
        ("/api/openapi.json", "get"),
    }
    changes = {key: role for key, role in roles.items() if key[1] != "get" and key[0] != "/api/session"}
    assert changes
    assert all(role in ("operator", "admin") for role in changes.values()), changes


def test_a_route_without_a_role_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="role"):
        PageRoute("GET", "/api/x", handler=None, summary="")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="role"):
        PageSocket("/api/x", handler=None, summary="")  # type: ignore[call-arg]


def test_a_path_that_is_there_twice_ends_the_start(tmp_path: Path) -> None:
    async def handler(_asked: Any) -> Any:
        raise AssertionError

    def twice(_context: PageContext) -> list[PageRoute]:
        return [PageRoute("GET", "/api/x", Role.VIEWER, handler, "X.")] * 2

    with pytest.raises(ValueError, match="GET /api/x is there twice"), served(tmp_path, parts=(twice,)):
        pass


def test_what_was_sent_arrives_checked(browsers: dict[str, Client]) -> None:
    viewer = browsers["viewer"]
    assert viewer.get("/api/test/shown/a").json == ["a", 0, 0.5, False, "viewer"]
    assert viewer.get("/api/test/shown/7?count=3&share=1e-3&deep=true").json == ["7", 3, 0.001, True, "viewer"]
    assert viewer.get("/api/test/shown/%E6%A3%AE").json[0] == "森"


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("count=9", "count: found 9, expected less than or equal to 8"),
        ("count=x", "count: found 'x'"),
        ("count=%203", "count: found ' 3'"),
        ("count=1&count=1", "found the parameter 'count' twice"),
        ("deep=yes", "deep: found 'yes'"),
        ("share=NaN", "share: "),
        ("share=1e999", "share: "),
        ("more=1", "more: unknown key: remove it"),
        ("name=b", "found the parameter 'name' in the query"),
    ],
)
def test_a_parameter_that_does_not_fit_is_named(browsers: dict[str, Client], query: str, says: str) -> None:
    answer = browsers["viewer"].get(f"/api/test/shown/a?{query}")
    assert answer.status == 400
    assert says in answer.error


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"{", 400, "not valid JSON"),
        (b"[]", 400, ""),
        (b'{"text": 1}', 400, "text: found 1"),
        (b'{"text": "a", "more": 1}', 400, "more: unknown key"),
        (b'{"text": "\xff"}', 400, ""),
        (b'{"text": "\\ud800"}', 400, ""),
        (b"[" * 10_000, 400, ""),
        (b'{"text": "%b"}' % (b"x" * (64 << 10)), 413, "more than 65536 bytes"),
    ],
)
def test_a_body_that_does_not_fit_is_refused(browsers: dict[str, Client], body: bytes, status: int, says: str) -> None:
    answer = browsers["operator"].post("/api/test/changed", body)
    assert answer.status == status
    assert says in answer.error


def test_a_body_is_json_and_only_where_one_is_expected(browsers: dict[str, Client]) -> None:
    operator = browsers["operator"]
    assert operator.post("/api/test/changed", b"text=a", content_type="text/plain").status == 415
    assert operator.ask("GET", "/api/test/shown/a", b"{}").status == 400
    assert operator.post("/api/test/changed", {"text": "é" * 10}).json == {"length": 10, "by": "operator"}


def test_a_method_that_is_not_there_is_said_with_those_that_are(browsers: dict[str, Client]) -> None:
    answer = browsers["admin"].ask("PUT", "/api/test/shown/a")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    assert browsers["admin"].ask("TRACE", "/").status == 405
    head = browsers["admin"].ask("HEAD", "/api/test/shown/a")
    assert (head.status, head.body) == (200, b"")


def test_no_change_without_the_csrf_value_of_the_session(page: Served, browsers: dict[str, Client]) -> None:
    operator = browsers["operator"]
    for wrong in ("", "x", browsers["admin"].csrf, "é"):
        forged = Client(page.page.port, cookie=operator.cookie, headers={"x-csrf": wrong} if wrong else {})
        answer = forged.ask("POST", "/api/test/changed", b'{"text": ""}')
        assert (answer.status, "X-CSRF" in answer.error) == (403, True)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:1"}, 403),
        ({"origin": "http://[::1"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "same-origin"}, 201),
    ],
)
def test_a_change_that_another_page_asks_for_is_refused(
    browsers: dict[str, Client], headers: dict[str, str], status: int
) -> None:
    assert browsers["operator"].post("/api/test/changed", {"text": ""}, **headers).status == status


def test_another_page_may_lead_to_this_one_and_reads_nothing(page: Served, browsers: dict[str, Client]) -> None:
    assert page.client().get("/", sec_fetch_site="cross-site").status == 200
    assert browsers["viewer"].get("/api/test/shown/a", sec_fetch_site="cross-site").status == 403
    own = f"http://{HOST}:{page.page.port}"
    assert browsers["operator"].post("/api/test/changed", {"text": ""}, origin=own).status == 201


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("127.0.0.1:9", 200),
        ("[::1]:8733", 200),
        ("cath-page.lab.example", 200),
        ("CATH-PAGE.lab.example:443", 200),
        ("evil.example", 421),
        ("cath-page.lab.example.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("", 421),
    ],
)
def test_the_page_is_asked_for_by_its_own_names(tmp_path: Path, host: str, status: int) -> None:
    with served(tmp_path, parts=(), users=False, page={"names": ("cath-page.lab.example",)}) as page:
        assert page.client().get("/api/session", host=host).status == status


def test_a_fault_of_the_program_is_an_id_and_no_patient_reaches_client_or_log(
    browsers: dict[str, Client], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = browsers["viewer"].get("/api/test/failing")
        unnoted = browsers["viewer"].get("/api/test/unnoted")
        with pytest.raises(http.client.IncompleteRead):
            browsers["viewer"].get("/api/test/breaking")
    assert (answer.status, unnoted.status) == (500, 500)
    for said in (answer, unnoted):
        assert said.error.startswith("found a fault of the program, id ")
        number = said.error.partition("id ")[2].partition(":")[0]
        assert number in caplog.text
    assert "KeyError" in caplog.text
    assert "in failing" in caplog.text  # where it was, for who looks after it
    assert PATIENT not in caplog.text
    assert PATIENT.encode() not in answer.body + unnoted.body
    assert b"Traceback" not in answer.body + unnoted.body


def test_a_refusal_and_an_error_of_the_runtime_are_said_as_they_are(browsers: dict[str, Client]) -> None:
    refused = browsers["viewer"].get("/api/test/refusing")
    assert (refused.status, refused.error, refused.headers["x-more"]) == (
        409,
        "found another, expected this: load again",
        "1",
    )
    unreadable = browsers["viewer"].get("/api/test/unreadable")
    assert (unreadable.status, unreadable.error) == (503, "study.journal: the disk is gone: check it")
    assert browsers["viewer"].get("/api/nothing").status == 404


def test_a_view_is_in_the_trail_once_with_who_from_where_and_of_what(tmp_path: Path) -> None:
    with served(tmp_path, parts=(part,)) as page:
        viewer, operator = page.client("viewer"), page.client("operator")
        for client in (viewer, viewer, operator):
            assert client.get("/api/test/shown/a").status == 200
        assert viewer.get("/api/test/shown/toolonganame").status == 400
    lines = (tmp_path / "audit.xml").read_text().splitlines()
    views = [line for line in lines if 'csd-code="110103"' in line]
    assert len(views) == 2  # the same again soon is the same view
    for line, name in zip(views, ("viewer", "operator"), strict=True):
        assert f'UserID="{name}"' in line
        assert 'NetworkAccessPointID="127.0.0.1"' in line
        assert 'ParticipantObjectID="1.2.3"' in line


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"host": "0.0.0.0"}, r"page\.host: found 0\.0\.0\.0, which other machines reach, and no page\.tls_certif"),
        ({"host": "somewhere"}, r"page\.host: found 'somewhere', expected an address"),
        ({"tls_certificate": "x"}, r"page\.tls_key: found nothing"),
        ({"demo": True, "host": "0.0.0.0", "tls_certificate": "x", "tls_key": "x"}, r"page\.demo: .*0\.0\.0\.0"),
        ({"proxy_addresses": ("10.0.0.5",)}, r"page\.proxy_user_header: found nothing"),
        ({"proxy_user_header": "x-user"}, r"page\.proxy_addresses: found nothing"),
        ({"proxy_addresses": ("lab",), "proxy_user_header": "x-user"}, r"page\.proxy_addresses: 'lab'"),
        ({"demo": True, "proxy_addresses": ("10.0.0.5",), "proxy_user_header": "x"}, r"page\.demo: .*proxy"),
    ],
)
def test_a_page_that_would_be_open_to_others_does_not_start(tmp_path: Path, keys: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says), served(tmp_path, parts=(), users=False, page=keys):
        pass


def test_an_address_that_is_taken_is_said(page: Served, tmp_path: Path) -> None:
    with (
        pytest.raises(CathrtError, match=r"the page cannot be there .*choose another page\.port"),
        served(tmp_path, parts=(), page={"port": page.page.port}, users=False),
    ):
        pass


def test_the_description_names_every_route(page: Served) -> None:
    document = page.client().get("/api/openapi.json").json
    routes = [route for route in part(None) if isinstance(route, PageRoute)]  # type: ignore[arg-type]
    for route in with_description(routes, "cathrt_session"):
        assert isinstance(route, PageRoute)
        operation = document["paths"][route.path][route.method.lower()]
        assert operation["x-least-role"] == route.role.word
        assert str(route.status) in operation["responses"]
    shown = document["paths"]["/api/test/shown/{name}"]["get"]["parameters"]
    assert [(one["name"], one["in"], one["required"]) for one in shown] == [
        ("name", "path", True),
        ("count", "query", False),
        ("share", "query", False),
        ("deep", "query", False),
    ]
    assert "/api/test/echo (viewer): Echo." in document["info"]["description"]
