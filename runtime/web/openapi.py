"""The description of the page's API as OpenAPI 3.1, made of the routes and the dataclasses that they name.

Not for: the routes themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from cathrt.runtime.alert import NOTICE
from cathrt.runtime.web.access.door import CSRF_HEADER
from cathrt.runtime.web.access.taken import adapter_of, schema_of
from cathrt.runtime.web.part.answers import JSON
from cathrt.runtime.web.part.route import PageRoute, PageSocket
from cathrt.runtime.web.part.session import Role

_MEANINGS = {
    200: "The answer.",
    201: "It was made, and is durable.",
    204: "Done; nothing to say.",
    400: "A parameter or the body does not fit.",
    401: "No session: log in.",
    403: "The role is not enough, X-CSRF is wrong, or another page asks.",
    404: "There is no such thing.",
    409: "It does not go with what is there now.",
    413: "The body is too long.",
    415: "The body is no JSON.",
    422: "It is understood, and cannot be done.",
    421: "The host is not one of this page.",
    429: "Too many requests: wait.",
    431: "Path and headers are too long.",
    500: "A fault of the program; the log has its id.",
    503: "It cannot be had now.",
}
_REFERENCE = "#/components/schemas/{model}"


def openapi_document(routes: Sequence[PageRoute | PageSocket], cookie: str) -> Mapping[str, Any]:
    """The document. cookie: name of the session's."""
    schemas: dict[str, Any] = {"Refused": _REFUSED}
    paths: dict[str, dict[str, Any]] = {}
    sockets = []
    for route in routes:
        if isinstance(route, PageSocket):
            sockets.append(f"{route.path} ({route.role.word}): {route.summary}")
            continue
        paths.setdefault(_plain(route.path), {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "cathrt page",
            "version": version("cathrt"),
            "description": "\n".join((NOTICE, "", "WebSockets, which OpenAPI cannot describe:", *sockets)),
        },
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": cookie},
                "csrf": {"type": "apiKey", "in": "header", "name": CSRF_HEADER},
            },
        },
    }


_REFUSED = {
    "type": "object",
    "properties": {"error": {"type": "string", "description": "What was found, expected, and what to do."}},
    "required": ["error"],
    "additionalProperties": False,
}


def _operation(route: PageRoute, schemas: dict[str, Any]) -> dict[str, Any]:
    changes = route.method != "GET"
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": f"{route.method.lower()}{re.sub('[^A-Za-z0-9]+', '_', route.path)}",
        "x-least-role": route.role.word,
        "responses": {str(route.status): _answer(route, schemas)} | dict(_refusals(_statuses(route))),
    }
    if parameters := list(_parameters(route)):
        operation["parameters"] = parameters
    if route.body is not None:
        schema = _schema(route.body, schemas, "validation")
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": schema}}}
    if route.role is not Role.ANYBODY:
        operation["security"] = [{"session": [], **({"csrf": []} if changes else {})}]
    elif changes:
        operation["security"] = [{}, {"session": [], "csrf": []}]
    return operation


def _answer(route: PageRoute, schemas: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": _meaning(route.status)}
    if route.status != 204:
        schema: dict[str, Any] = {}
        if route.media == JSON:
            schema = {"type": "object"} if route.answer is None else _schema(route.answer, schemas, "serialization")
        answer["content"] = {route.media: {"schema": schema}}
    return answer


def _statuses(route: PageRoute) -> Iterable[int]:
    usual = {400, 403, 421, 429, 431, 500, 503} | set(route.errors)
    usual |= {413} | ({415} if route.body is not None else set())
    return sorted(usual | ({401} if route.role is not Role.ANYBODY or route.path == "/api/session" else set()))


def _refusals(statuses: Iterable[int]) -> Iterable[tuple[str, dict[str, Any]]]:
    content = {JSON: {"schema": {"$ref": _REFERENCE.format(model="Refused")}}}
    for status in statuses:
        yield str(status), {"description": _meaning(status), "content": content}


def _meaning(status: int) -> str:
    return _MEANINGS.get(status, HTTPStatus(status).phrase)


def _parameters(route: PageRoute) -> Iterable[dict[str, Any]]:
    inputs: Any = route.inputs
    if inputs is None:
        return
    schema = schema_of(inputs)
    in_path = set(re.findall(r"{([a-z_]+)", route.path))
    for name, property_ in schema["properties"].items():
        shown = {key: value for key, value in property_.items() if key != "title"}
        where = "path" if name in in_path else "query"
        yield {
            "name": name,
            "in": where,
            "required": where == "path" or name in schema.get("required", ()),
            "schema": shown,
        }


def _schema(made: Any, schemas: dict[str, Any], mode: Any) -> dict[str, Any]:
    found = adapter_of(made).json_schema(mode=mode, ref_template=_REFERENCE)
    schemas.update(found.pop("$defs", {}))
    name = getattr(made, "__name__", None)
    if name is None or "$ref" in found:
        return found
    schemas[name] = found
    return {"$ref": _REFERENCE.format(model=name)}


def _plain(path: str) -> str:
    """A path without Starlette's convertors."""
    return re.sub(r"{([a-z_]+):[a-z]+}", r"{\1}", path)
