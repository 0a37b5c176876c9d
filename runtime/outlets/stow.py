"""Objects of confirmed studies by STOW-RS, each read back by QIDO-RS and WADO-RS: what a server answers to a POST is
not believed (PS3.18 chapter 10).

No redirect is followed, no proxy is used. Not for: when a record is tried again (delivery.py).
"""

from __future__ import annotations

import json
import socket
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cathrt.runtime.config import OutletConfig
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.listener.dicom_files import content_digest, file_of, read_file
from cathrt.runtime.outlets.address import address_of
from cathrt.runtime.outlets.dicom import require_stored
from cathrt.runtime.outlets.encryption import calling_context
from cathrt.runtime.outlets.message import Message
from cathrt.runtime.outlets.peer import RefusedError, UnreachableError
from cathrt.runtime.outlets.studies import Studies
from cathrt.runtime.outside.secret_file import secret_from

MOST_BYTES = 64 << 20  # of one answer: objects of ours are some megabytes
# Answers that speak of the address, the sender or the moment. Other 4xx speak of what was sent.
_NOT_THE_OBJECTS = (401, 402, 403, 404, 405, 407, 408, 410, 421, 423, 425, 426, 429)
_FAILED, _CLASS, _INSTANCE, _REASON = "00081198", "00080016", "00080018", "00081197"
_FILE = 'multipart/related; type="application/dicom"'


class Stow:
    """One server. The address names the service: https://pacs.example/dicom-web."""

    def __init__(self, outlet: OutletConfig, studies: Studies) -> None:
        """Raises ConfigError: the address, the token or a certificate cannot be used."""
        address = address_of(outlet)
        self._root = address.path.rstrip("/")
        self._outlet, self._studies, self._aborted = outlet, studies, False
        self._token = ""
        if outlet.secret_file:
            if not address.is_encrypted and not address.is_local:
                raise ConfigError(f"outlets.{outlet.name}.address: a token goes to another machine only with https://")
            self._token = secret_from(Path(outlet.secret_file), f"outlets.{outlet.name}.secret_file")
        self._connection = (
            HTTPSConnection(address.host, address.port, timeout=outlet.timeout_s, context=calling_context(outlet))
            if address.is_encrypted
            else HTTPConnection(address.host, address.port, timeout=outlet.timeout_s)
        )

    def send(self, message: Message) -> None:
        """Store the objects of the record's study, and find each there. Raises RefusedError, UnreachableError."""
        objects = self._studies.objects(message, self._outlet.modalities)
        if not objects:
            return
        missing = [one for one in objects if not self._has(one)]  # a repeat sends nothing twice
        if not missing:
            return
        well = False
        try:
            self._store(missing)
            well = True
        finally:
            self._studies.sent(missing, self._root or "/", self._connection.host, well=well)

    def idle(self) -> bool:
        """Between records nothing is known of the server."""
        return False

    def abort(self) -> None:
        """Break the connection."""
        self._aborted = True
        if (connected := self._connection.sock) is not None:
            with suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _store(self, objects: Sequence[Any]) -> None:
        """Post them, and look whether they are there. Raises RefusedError, UnreachableError."""
        failed = self._post(objects)
        for one in objects:
            if self._has(one):
                continue
            reason = failed.get(str(one.SOPInstanceUID))
            if reason is not None:
                require_stored(reason, str(one.Modality))
            raise UnreachableError(f"took a {one.Modality} object, and does not have it when asked", heard=True)

    def _post(self, objects: Sequence[Any]) -> dict[str, int]:
        """Store them. Returns the Failure Reason of each that was not taken. Raises RefusedError, UnreachableError."""
        boundary = uuid.uuid4().hex
        parts = b"".join(
            b"--%b\r\nContent-Type: application/dicom\r\n\r\n%b\r\n" % (boundary.encode(), file_of(one))
            for one in objects
        )
        headers = {"Content-Type": f"{_FILE}; boundary={boundary}", "Accept": "application/dicom+json"}
        status, body, _ = self._asked("POST", "/studies", headers, parts + b"--%b--\r\n" % boundary.encode())
        if status in (200, 202, 409):
            return _failures(body)
        reason = f"answered {status} to STOW-RS"
        if 400 <= status < 500 and status not in _NOT_THE_OBJECTS:
            raise RefusedError(reason)
        raise UnreachableError(reason, heard=status == 500)

    def _has(self, data_set: Any) -> bool:
        """Whether the server lists the object (QIDO-RS), and what it gives back (WADO-RS) is what was made here."""
        series = f"/studies/{data_set.StudyInstanceUID}/series/{data_set.SeriesInstanceUID}/instances"
        status, body, _ = self._asked("GET", series, {"Accept": "application/dicom+json"})
        if status in (204, 404) or not body:
            return False
        if status != 200:
            raise UnreachableError(f"answered {status} to QIDO-RS")
        if str(data_set.SOPInstanceUID) not in {_first(item, _INSTANCE) for item in _listed(body)}:
            return False
        where = f"{series}/{data_set.SOPInstanceUID}"
        status, body, kind = self._asked("GET", where, {"Accept": f"{_FILE}; transfer-syntax=*"})
        if status != 200:
            raise UnreachableError(f"answered {status} to WADO-RS for an object that it lists")
        found = read_file(_only_part(body, kind))
        if found is None:
            raise UnreachableError("answered WADO-RS with what is no DICOM file", heard=True)
        if content_digest(found) != content_digest(data_set):
            raise RefusedError(f"has another {data_set.Modality} object under the same SOP Instance UID")
        return True

    def _answered(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> tuple[HTTPResponse, bytes]:
        more = {"User-Agent": f"cathrt/{version('cathrt')}"}
        if self._token:
            more["Authorization"] = f"Bearer {self._token}"
        self._connection.request(method, self._root + path, body, {**headers, **more})
        response = self._connection.getresponse()
        return response, response.read(MOST_BYTES + 1)

    def _failed(self, exc: Exception) -> UnreachableError:
        self._connection.close()
        heard = not self._aborted and isinstance(exc, ConnectionResetError | BrokenPipeError | HTTPException)
        return UnreachableError(f"{type(exc).__name__}: {exc}", heard=heard)

    def _asked(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> tuple[int, bytes, str]:
        """Status, body and Content-Type. Raises UnreachableError."""
        if body is not None:
            self._connection.close()  # so that what is posted goes out once, and looked for before it does again
        kept = self._connection.sock is not None
        try:
            response, answer = self._answered(method, path, headers, body)
        except (OSError, HTTPException) as exc:
            self._connection.close()
            if not kept or isinstance(exc, TimeoutError) or self._aborted:
                raise self._failed(exc) from exc
            try:  # servers close connections that were quiet for a while
                response, answer = self._answered(method, path, headers, body)
            except (OSError, HTTPException) as again:
                raise self._failed(again) from again
        if len(answer) > MOST_BYTES:
            self._connection.close()
            raise UnreachableError(f"an answer of more than {MOST_BYTES >> 20} MiB")
        if 300 <= response.status < 400:
            raise UnreachableError(f"answered {response.status}: redirects are not followed")
        return response.status, answer, response.getheader("content-type", "")


def _failures(body: bytes) -> dict[str, int]:
    """Of the Store Instances Response: SOP Instance UID and Failure Reason of what was not taken."""
    found: dict[str, int] = {}
    for answer in _listed(body):
        for item in _values(answer, _FAILED):
            if isinstance(item, dict) and (uid := _first(item, "00081155")):
                reason = _first(item, _REASON)
                found[str(uid)] = reason if isinstance(reason, int) else 0x0110
    return found


def _listed(body: bytes) -> list[dict[str, Any]]:
    """DICOM JSON: a list of data sets, or one. What is none of these is nothing."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return []
    items = found if isinstance(found, list) else [found]
    return [item for item in items if isinstance(item, dict)]


def _values(item: dict[str, Any], tag: str) -> list[Any]:
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else []


def _first(item: dict[str, Any], tag: str) -> Any:
    return next(iter(_values(item, tag)), None)


def _only_part(body: bytes, content_type: str) -> bytes:
    """The content of the first part of a multipart body; the body itself where it is none."""
    _, _, rest = content_type.partition("boundary=")
    boundary = rest.split(";")[0].strip().strip('"').encode()
    if not boundary or (begin := body.find(b"--" + boundary)) < 0:
        return body
    head_end = body.find(b"\r\n\r\n", begin)
    end = body.find(b"\r\n--" + boundary, head_end)
    return body[head_end + 4 : end] if 0 <= head_end < end else b""
