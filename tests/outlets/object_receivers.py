"""Receivers of objects on loopback that do as a test says: a DICOM storage service with Storage Commitment, and a
DICOMweb server.

Each attempt to store an object takes the next word of the script: "take" (also when it is empty), "busy" (0xA700, 503),
a word of REASONS (the status, or 409 with it as the reason), "warn" (stored, 0xB000), "reset" (not stored, connection
gone), "lost" (stored, no answer), "lie" (success, not stored). Not for: TLS of receivers, which tests hand in.
"""

from __future__ import annotations

import json
import re
import ssl
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.presentation import build_context, build_role

from cathrt.runtime.listener.dicom_files import file_of, read_file

CLASSES = ("1.2.840.10008.5.1.4.1.1.88.59", "1.2.840.10008.5.1.4.1.1.88.33", "1.2.840.10008.5.1.4.1.1.7")
EXPLICIT_LITTLE, IMPLICIT_LITTLE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
COMMITMENT, WELL_KNOWN = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"

REASONS = {"refuse": 0xC000, "full": 0xA700, "mismatch": 0xA900, "invalid": 0x0106}


@dataclass
class Told:
    """stored: by SOP Instance UID. attempts: UIDs in order, repeats too. tokens: of requests over HTTP.

    commit: how requests for commitment end: "same" (on that association), "call" (on one of its own), "never", "fail".
    """

    script: deque[str] = field(default_factory=deque)
    stored: dict[str, Dataset] = field(default_factory=dict)
    attempts: list[str] = field(default_factory=list)
    commit: str = "same"
    asked: list[list[str]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def word(self, uid: str) -> str:
        with self.lock:
            self.attempts.append(uid)
            return self.script.popleft() if self.script else "take"


class ObjectReceiver:
    """up() and down() keep the port and what was stored."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.told, self._tls, self._port = Told(), tls, 0
        self.listener_port = 0  # where reports go that it opens an association for
        self.up()

    @property
    def address(self) -> str:
        raise NotImplementedError

    def up(self) -> None:
        raise NotImplementedError

    def down(self) -> None:
        raise NotImplementedError


class DicomReceiver(ObjectReceiver):
    """A storage service, as SCP of Storage Commitment too."""

    syntaxes: tuple[str, ...] = (EXPLICIT_LITTLE, IMPLICIT_LITTLE)

    @property
    def address(self) -> str:
        return f"dicom{'s' if self._tls else ''}://PACS@127.0.0.1:{self._port}"

    def up(self) -> None:
        ae = AE("PACS")
        ae.require_called_aet = True
        ae.maximum_associations = 1000  # aborted ones linger
        for context in AllStoragePresentationContexts:
            ae.add_supported_context(context.abstract_syntax, list(self.syntaxes))
        ae.add_supported_context(COMMITMENT, [EXPLICIT_LITTLE])
        handlers = [(evt.EVT_C_STORE, self._store), (evt.EVT_N_ACTION, self._commit)]
        handlers += [(evt.EVT_DIMSE_SENT, self._answering), (evt.EVT_DATA_SENT, self._answered)]
        self._pending: dict[Any, Dataset] = {}
        self._due: dict[Any, Dataset] = {}
        where = ("127.0.0.1", self._port)
        self._server = ae.start_server(where, block=False, evt_handlers=handlers, ssl_context=self._tls)
        self._port = self._server.server_address[1]

    def down(self) -> None:
        self._server.shutdown()

    def _store(self, event: Any) -> int:
        data_set: Dataset = event.dataset
        data_set.file_meta = FileMetaDataset()
        data_set.file_meta.TransferSyntaxUID = event.context.transfer_syntax
        uid = str(data_set.SOPInstanceUID)
        word = self.told.word(uid)
        if word in ("take", "warn", "lost"):
            if uid in self.told.stored:
                assert self.told.stored[uid] == data_set, "the same UID with other content"
                return 0x0111  # as some archives answer
            self.told.stored[uid] = data_set
        if word in ("reset", "lost"):
            event.assoc.abort()
        return {"busy": 0xA700, "warn": 0xB000, **REASONS}.get(word, 0)

    def _commit(self, event: Any) -> tuple[int, None]:
        asked: Dataset = event.action_information
        self.told.asked.append([str(item.ReferencedSOPInstanceUID) for item in asked.ReferencedSOPSequence])
        self._pending[event.assoc] = asked
        return 0x0000, None

    def _answering(self, event: Any) -> None:
        if type(event.message).__name__ == "N_ACTION_RSP" and self.told.commit != "never":
            self._due[event.assoc] = self._pending.pop(event.assoc)

    def _answered(self, event: Any) -> None:
        """The answer to a request is on its way: now the report may follow."""
        if (asked := self._due.pop(event.assoc, None)) is not None:
            where = self._called_back if self.told.commit == "call" else self._on_the_same
            threading.Thread(target=where, args=(event.assoc, self._report(asked)), daemon=True).start()

    def _report(self, asked: Dataset) -> Dataset:
        report = Dataset()
        report.TransactionUID = asked.TransactionUID
        there = [item for item in asked.ReferencedSOPSequence if item.ReferencedSOPInstanceUID in self.told.stored]
        gone = [item for item in asked.ReferencedSOPSequence if item not in there or self.told.commit == "fail"]
        kept = [item for item in there if item not in gone]
        if kept:
            report.ReferencedSOPSequence = kept
        if gone:
            report.FailedSOPSequence = gone
            for item in gone:
                item.FailureReason = 0x0112
        return report

    def _on_the_same(self, association: Any, report: Dataset) -> None:
        with suppress(RuntimeError, ValueError):
            association.send_n_event_report(report, 2 if "FailedSOPSequence" in report else 1, COMMITMENT, WELL_KNOWN)

    def _called_back(self, _association: Any, report: Dataset) -> None:
        ae = AE("PACS")
        association = ae.associate(
            "127.0.0.1",
            self.listener_port,
            contexts=[build_context(COMMITMENT, [EXPLICIT_LITTLE])],
            ae_title="CATHRT",
            ext_neg=[build_role(COMMITMENT, scp_role=True)],
        )
        with suppress(RuntimeError, ValueError):
            self._on_the_same(association, report)
        association.release()


class WebReceiver(ObjectReceiver):
    """STOW-RS, QIDO-RS and WADO-RS, as far as an outlet speaks them."""

    @property
    def address(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self._port}/dicom-web"

    def up(self) -> None:
        told = self.told

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                told.tokens.append(self.headers.get("Authorization", ""))
                found = re.fullmatch(r"/dicom-web/studies/([^/]+)/series/([^/]+)/instances(?:/([^/]+))?", self.path)
                assert found, self.path
                study, series, uid = found.groups()
                there = {key: one for key, one in told.stored.items() if one.SeriesInstanceUID == series}
                assert all(one.StudyInstanceUID == study for one in there.values())
                if uid is None:
                    items = [{"00080018": {"vr": "UI", "Value": [key]}} for key in there]
                    self.answer(200 if items else 204, json.dumps(items).encode() if items else b"")
                elif uid in there:
                    body = (
                        b"--xyz\r\nContent-Type: application/dicom\r\n\r\n" + file_of(there[uid]) + b"\r\n--xyz--\r\n"
                    )
                    self.answer(200, body, 'multipart/related; type="application/dicom"; boundary=xyz')
                else:
                    self.answer(404, b"")

            def do_POST(self) -> None:
                told.tokens.append(self.headers.get("Authorization", ""))
                body = self.rfile.read(int(self.headers["Content-Length"]))
                boundary = self.headers["Content-Type"].partition("boundary=")[2].encode()
                parts = [part.partition(b"\r\n\r\n")[2][:-2] for part in body.split(b"--" + boundary)[1:-1]]
                failed: list[tuple[str, int]] = []
                for part in parts:
                    data_set = read_file(part)
                    assert data_set is not None
                    uid = str(data_set.SOPInstanceUID)
                    word = told.word(uid)
                    if word in ("take", "warn", "lost"):
                        assert uid not in told.stored, "a repeat that a look would have spared"
                        told.stored[uid] = data_set
                    if word in ("reset", "lost"):
                        self.close_connection = True
                        self.connection.close()
                        return
                    if word == "busy":
                        self.answer(503, b"")
                        return
                    if word in REASONS:
                        failed.append((uid, REASONS[word]))
                answer: dict[str, Any] = {}
                if failed:
                    items = [
                        {"00081155": {"vr": "UI", "Value": [uid]}, "00081197": {"vr": "US", "Value": [reason]}}
                        for uid, reason in failed
                    ]
                    answer["00081198"] = {"vr": "SQ", "Value": items}
                self.answer(409 if len(failed) == len(parts) else 202 if failed else 200, json.dumps(answer).encode())

            def answer(self, status: int, body: bytes, kind: str = "application/dicom+json") -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        if self._tls is not None:
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True)
        self._port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def down(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


OBJECT_RECEIVERS: dict[str, type[ObjectReceiver]] = {"dicom": DicomReceiver, "stow": WebReceiver}


@contextmanager
def receiving_objects(kind: str, tls: ssl.SSLContext | None = None) -> Iterator[ObjectReceiver]:
    """A receiver of that kind that listens."""
    receiver = OBJECT_RECEIVERS[kind](tls)
    try:
        yield receiver
    finally:
        receiver.down()
