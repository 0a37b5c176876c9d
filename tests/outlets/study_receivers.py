"""Receivers of studies on loopback that do as a test says: a FHIR server with what its transactions store, and an HL7
v2 receiver over MLLP. Words of a script: those of receivers.py, and

FHIR: "forget" (says that it stored, and did not), "nothing" (200 and an empty body), "entry" (200, and one entry was
not stored), "fewer" (200 with an entry too few), "later" (stores once the test says so; the answer is lost).
HL7: "other" (acknowledges another message), "noise" (no HL7), "type" (does not want this type of message).
"""

from __future__ import annotations

import json
import re
import socket
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import hl7

from tests.outlets.receivers import EndedError, Receiver, Taken, exactly, hang, reset

_STATUS = {"error": "500 Fault", "refuse": "422 No", "busy": "503 Busy", "secret": "401 Who", "moved": "302 There"}


class PreconditionError(Exception):
    """What was asked for does not hold. The whole transaction is void."""


@dataclass
class Shelf:
    """What a FHIR server has: by TYPE/ID, with all versions of each."""

    versions: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    created: int = 0

    def now(self, kind: str) -> list[dict[str, Any]]:
        """The newest version of each resource of a kind."""
        return [found[-1] for place, found in self.versions.items() if place.startswith(f"{kind}/")]

    def found(self, kind: str, query: str) -> list[dict[str, Any]]:
        """Those that have the identifier, or the tag, of a query such as identifier=SYSTEM|VALUE."""
        ((name, (token,)),) = parse_qs(query, strict_parsing=True).items()
        system, _, value = token.partition("|")

        def has(resource: dict[str, Any]) -> bool:
            if name == "_tag":
                return {"system": system, "code": value} in resource["meta"].get("tag", [])
            assert name == "identifier"
            return any((one.get("system"), one["value"]) == (system, value) for one in resource.get("identifier", []))

        return [resource for resource in self.now(kind) if has(resource)]

    def store(self, bundle: dict[str, Any]) -> list[dict[str, str]]:
        """All entries or none. Returns the responses. Raises PreconditionError."""
        places, statuses = [], []
        for entry in bundle["entry"]:
            place, status = self._place(entry)
            places.append(place)
            statuses.append(status)
        text = json.dumps([entry["resource"] for entry in bundle["entry"]])
        for entry, place in zip(bundle["entry"], places, strict=True):
            text = text.replace(f'"reference": "{entry["fullUrl"]}"', f'"reference": "{place}"')
        for place, status, resource in zip(places, statuses, json.loads(text), strict=True):
            if status == "200 found":
                continue
            versions = self.versions.setdefault(place, [])
            meta = {**resource.get("meta", {}), "versionId": str(len(versions) + 1)}
            versions.append({**resource, "id": place.split("/")[1], "meta": meta})
        return [
            {"status": "200 OK" if status == "200 found" else status, "location": f"http://x/{place}/_history/1"}
            for place, status in zip(places, statuses, strict=True)
        ]

    def _place(self, entry: dict[str, Any]) -> tuple[str, str]:
        request, kind = entry["request"], entry["resource"]["resourceType"]
        if request["method"] == "PUT":
            place = request["url"]
            seen = self.versions[place][-1]["meta"]["versionId"]
            if request["ifMatch"] != f'W/"{seen}"':
                raise PreconditionError(f"{place} has version {seen}")
            return place, "200 OK"
        found = self.found(kind, request["ifNoneExist"])
        if len(found) > 1:
            raise PreconditionError(f"{len(found)} of {request['ifNoneExist']}")
        if found:
            return f"{kind}/{found[0]['id']}", "200 found"
        self.created += 1
        return f"{kind}/{self.created}", "201 Created"


class FhirReceiver(Receiver):
    """A FHIR server: search for reports, transactions, reading."""

    scheme = "http"

    def __init__(self, *given: Any) -> None:
        self.shelf = Shelf()
        self.pending: list[dict[str, Any]] = []  # of "later"
        self.asked: list[str] = []  # first line of each request
        self.headers: dict[str, str] = {}  # of the last one
        super().__init__(*given)

    def store_pending(self) -> list[str]:
        """What came with "later" is stored now, as far as it still may be. Returns why not."""
        refused = []
        for bundle in self.pending:
            try:
                self.shelf.store(bundle)
            except PreconditionError as exc:
                refused.append(str(exc))
        self.pending.clear()
        return refused

    def serve(self, connection: socket.socket) -> None:
        while True:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += exactly(connection, 1)
            first, *lines = head.decode("latin-1").strip().split("\r\n")
            self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            self.asked.append(first)
            method, target, _ = first.split()
            if method == "GET":
                self._get(connection, target.removeprefix("/fhir/"))
            else:
                self._post(connection, exactly(connection, int(self.headers["content-length"])))

    def _get(self, connection: socket.socket, target: str) -> None:
        parts = urlsplit(target)
        if parts.query:
            found = self.shelf.found(parts.path, unquote(parts.query))
            entries = [{"resource": one, "search": {"mode": "match"}} for one in found]
            return _say(connection, "200 OK", {"resourceType": "Bundle", "type": "searchset", "entry": entries})
        versions = self.shelf.versions.get(parts.path)
        return _say(connection, "200 OK", versions[-1]) if versions else _say(connection, "404 None", {})

    def _post(self, connection: socket.socket, body: bytes) -> None:
        bundle = json.loads(body)
        assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "transaction")
        taken = Taken(bundle["identifier"]["value"].removeprefix("urn:uuid:"), dict(self.headers), body)
        word = self.told.word(taken.id)
        if word == "hang":
            hang(connection)
        if word == "reset":
            reset(connection)
        if word in _STATUS:
            return _say(connection, _STATUS[word], _outcome(self.told.reason or "because"), self.told.more_headers)
        if word == "nothing":
            return _say(connection, "200 OK", None)
        if word == "later":
            self.pending.append(bundle)
            raise EndedError
        before = {place: list(versions) for place, versions in self.shelf.versions.items()}
        try:
            responses: list[dict[str, Any]] = list(self.shelf.store(bundle))
        except PreconditionError as exc:
            return _say(connection, "412 Changed", _outcome(str(exc)))
        if word in ("forget", "entry", "fewer"):
            self.shelf.versions = before
        else:
            self.told.take(taken)
        if word == "lost":
            raise EndedError
        if word == "entry":
            responses[-1] = {"status": "422 No", "outcome": _outcome("this one not")}
        if word == "fewer":
            responses.pop()
        entries = [{"response": response} for response in responses]
        return _say(connection, "200 OK", {"resourceType": "Bundle", "type": "transaction-response", "entry": entries})


def _outcome(said: str) -> dict[str, Any]:
    issue = {"severity": "error", "code": "processing", "diagnostics": said}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def _say(connection: socket.socket, status: str, document: Any, more: dict[str, str] | None = None) -> None:
    body = b"" if document is None else json.dumps(document).encode()
    headers = "".join(f"{name}: {value}\r\n" for name, value in (more or {}).items())
    connection.sendall(f"HTTP/1.1 {status}\r\n{headers}content-length: {len(body)}\r\n\r\n".encode() + body)


_CONTROL_ID = re.compile(rb"MSH(?:\|[^|]*){8}\|([^|]*)\|")
_ERRORS = {"error": ("AE", "207"), "refuse": ("AE", "101"), "busy": ("AR", ""), "type": ("AR", "200")}


class Hl7Receiver(Receiver):
    """Takes ORU^R01 over MLLP. results: by filler order number, as the newest message has them."""

    scheme = "mllp"

    def __init__(self, *given: Any) -> None:
        self.by_control_id: dict[str, str] = {}
        self.results: dict[str, dict[tuple[str, str], tuple[str, str]]] = {}
        super().__init__(*given)

    def serve(self, connection: socket.socket) -> None:
        while True:
            assert exactly(connection, 1) == b"\x0b"
            message = b""
            while not message.endswith(b"\x1c\r"):
                message += exactly(connection, 1)
            self._one(connection, message[:-2])

    def _one(self, connection: socket.socket, message: bytes) -> None:
        found = _CONTROL_ID.match(message)
        assert found
        control_id, parsed = found[1].decode(), hl7.parse(message.decode())
        record = next(str(one[5]) for one in parsed["OBX"] if str(one[3][0][0]) == "record-id")
        word = self.told.word(record)
        if word == "hang":
            hang(connection)
        if word == "reset":
            reset(connection)
        if word in ("take", "lost"):
            known = control_id in self.by_control_id
            assert self.by_control_id.setdefault(control_id, record) == record
            self.results[str(parsed["OBR"][0][3][0][0])] = filed(parsed)
            self.told.take(Taken(record, {"control id": control_id}, message))
            if known and self.told.reason == "duplicates":
                word = "twice"
        if word == "lost":
            raise EndedError
        code, error = _ERRORS.get(word, ("AA", ""))
        if word == "twice":
            code, error = "AE", "205"
        acknowledged = "SOMETHING ELSE" if word == "other" else control_id
        lines = [
            "MSH|^~\\&|EHR||CATHRT||20261201||ACK^R01^ACK|1|T|2.5.1",
            f"MSA|{code}|{acknowledged}|{self.told.reason or 'because'}",
        ]
        if error:
            lines.append(f"ERR||{'MSH^1^10' if word == 'twice' else ''}|{error}|E")
        answer = "what?" if word == "noise" else "\r".join(lines) + "\r"
        connection.sendall(b"\x0b" + answer.encode() + b"\x1c\r")


def filed(parsed: Any) -> dict[tuple[str, str], tuple[str, str]]:
    """The observations of a message by code and part: their values and statuses."""
    return {
        (str(one[3][0][0]), str(one[4])): (str(one[5]), str(one[11]))
        for one in parsed["OBX"]
        if str(one[3][0][0]) != "record-id"
    }


STUDY_RECEIVERS: dict[str, type[Receiver]] = {"fhir": FhirReceiver, "hl7": Hl7Receiver}
