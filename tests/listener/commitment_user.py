"""A modality that asks for storage commitment and takes the reports: what the tests of commitment share."""

from __future__ import annotations

import queue
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association

from tests.listener.listening import EXPLICIT_LITTLE, Listening, associated, wait_until

COMMITMENT, WELL_KNOWN = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
CONTEXT = (COMMITMENT, EXPLICIT_LITTLE)
TRANSACTION = "1.2.3.4.99.1"


@dataclass
class Modality:
    """What it was told: event type, transaction, UIDs committed to, failure reasons by UID. status: its answer."""

    status: int = 0
    reports: queue.Queue[tuple[int, str, list[str], dict[str, int]]] = field(default_factory=queue.Queue)

    def take(self, event: Any) -> tuple[int, None]:
        """N-EVENT-REPORT."""
        said: Dataset = event.event_information
        committed = [str(item.ReferencedSOPInstanceUID) for item in said.get("ReferencedSOPSequence", [])]
        failed = {
            str(item.ReferencedSOPInstanceUID): int(item.FailureReason) for item in said.get("FailedSOPSequence", [])
        }
        self.reports.put((event.event_type, str(said.TransactionUID), committed, failed))
        return self.status, None

    def report(self, within_s: float = 20.0) -> tuple[int, str, list[str], dict[str, int]]:
        """The next report."""
        return self.reports.get(timeout=within_s)

    @contextmanager
    def associated(self, port: int, *contexts: tuple[str, str], calling: str = "MODALITY") -> Iterator[Association]:
        """An association on which reports may come."""
        handlers = [(evt.EVT_N_EVENT_REPORT, self.take)]
        with associated(port, [CONTEXT, *contexts], calling, evt_handlers=handlers) as association:
            yield association

    @contextmanager
    def listening(self, *, takes_role: bool = True, tls: ssl.SSLContext | None = None) -> Iterator[int]:
        """A port of its own for reports. takes_role: whether its peer may be the SCP there."""
        ae = AE("MODALITY")
        roles = {"scu_role": False, "scp_role": True} if takes_role else {}
        ae.add_supported_context(COMMITMENT, [EXPLICIT_LITTLE], **roles)
        handlers = [(evt.EVT_N_EVENT_REPORT, self.take)]
        server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers, ssl_context=tls)
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()


def request(instances: Sequence[tuple[str, str]], transaction: str = TRANSACTION) -> Dataset:
    """The data set of a request. instances: SOP class and SOP Instance UID of each."""
    asked = Dataset()
    asked.TransactionUID = transaction
    asked.ReferencedSOPSequence = []
    for sop_class, uid in instances:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
        asked.ReferencedSOPSequence.append(item)
    return asked


def ask(
    association: Association,
    asked: Dataset | None,
    action: int = 1,
    instance: str = WELL_KNOWN,
) -> int:
    """N-ACTION: the status of its answer."""
    status, _ = association.send_n_action(asked, action, COMMITMENT, instance)
    return int(status.Status)


def asked_alone(running: Listening, *instances: tuple[str, str], transaction: str = TRANSACTION) -> int:
    """Ask on an association that ends at once."""
    with associated(running.listener.port, [CONTEXT]) as association:
        return ask(association, request(instances, transaction))


def answered(running: Listening, modality: Modality, count: int = 1) -> tuple[int, str, list[str], dict[str, int]]:
    """The report, once its answer is here too: pynetdicom may not release an association before. count: so far."""
    report = modality.report()
    wait_until(lambda: len(running.commitments) == count)
    return report
