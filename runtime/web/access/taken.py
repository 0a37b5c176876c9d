"""What a request brings: parameters of path and query, and JSON, checked against the dataclasses of its route.

Not for: who sent it (door.py).
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError
from starlette.requests import HTTPConnection, Request

from cathrt.runtime.outside.validation import faults_of
from cathrt.runtime.web.part.errors import RefusedError

BODY_BYTES = 64 << 10


@cache
def adapter_of(made: Any) -> TypeAdapter[Any]:
    """Checks documents against a type."""
    return TypeAdapter(made)


@cache
def schema_of(made: Any) -> dict[str, Any]:
    """The JSON schema of a dataclass of inputs."""
    return adapter_of(made).json_schema()


def taken_inputs(connection: HTTPConnection, made: Any) -> Any:
    """An instance of `made` out of path and query; None where there is none. Raises RefusedError."""
    query = connection.query_params.multi_items()
    names = [name for name, _ in query]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise RefusedError(400, f"found the parameter {twice[0][:40]!r} twice, expected it once")
    texts = dict(query)
    if clash := sorted(texts.keys() & connection.path_params.keys()):
        raise RefusedError(400, f"found the parameter {clash[0]!r} in the query, expected it in the path alone")
    if made is None:
        if names:
            raise RefusedError(400, f"found the parameter {names[0][:40]!r}, expected none: leave it out")
        return None
    texts |= connection.path_params
    properties = schema_of(made)["properties"]
    document = {name: _value(text, properties.get(name, {})) for name, text in texts.items()}
    return _checked(made, json.dumps(document).encode())


async def taken_body(request: Request, made: type[Any] | None) -> Any:
    """An instance of `made` out of the JSON sent; None where there is none. Raises RefusedError."""
    content = await _read(request)
    if made is None:
        if content:
            raise RefusedError(400, "found a body, expected none: send the request alone")
        return None
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json":
        raise RefusedError(415, f"found the media type {media[:40]!r}, expected application/json")
    return _checked(made, content)


async def _read(request: Request) -> bytes:
    too_long = RefusedError(413, f"found a body of more than {BODY_BYTES} bytes, expected fewer: send less")
    declared = request.headers.get("content-length", "0")
    if declared.isascii() and declared.isdigit() and (len(declared) > 9 or int(declared) > BODY_BYTES):
        raise too_long
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > BODY_BYTES:
            raise too_long
    return bytes(content)


def _checked(made: Any, document: bytes) -> Any:
    try:
        return adapter_of(made).validate_json(document)
    except ValidationError as exc:
        raise RefusedError(400, "; ".join(faults_of(exc)[:5])) from exc


def _value(text: str, schema: dict[str, Any]) -> Any:
    """A text of the query as its schema has it. What does not fit stays text, which the check then refuses."""
    types = {schema.get("type"), *(one.get("type") for one in schema.get("anyOf", ()))}
    if types & {"integer", "number", "boolean"} and not any(character.isspace() for character in text):
        try:
            value = json.loads(text)
        except ValueError:
            return text
        return value if isinstance(value, int | float | bool) else text
    return text
