"""C-STORE as SCP: an object is answered once it is durable. Not for: what is kept where (object_store.py)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from cathrt.runtime.listener import statuses
from cathrt.runtime.listener.object_store import Arrival, ObjectStore, Placed
from cathrt.runtime.listener.peers import address_of, refused, title_of
from cathrt.runtime.listener.spool import NoRoomError, SpoolFile
from cathrt.runtime.outside.disk import takes_no_more
from cathrt.runtime.sources.syntax import is_uid

Told = Callable[[Arrival, Placed], None]


class StorageService:
    """Each association calls it from its own thread. told: called once an object is durable, before the answer."""

    def __init__(self, store: ObjectStore, told: Told) -> None:
        self._store = store
        self._told = told

    def store(self, event: Any) -> int:
        """C-STORE: the status for the sender. Success only once object and index are durable."""
        request = event.request
        file: SpoolFile = request._dataset_file
        self._store.spool.take(file)
        try:
            return self._stored(event, file)
        finally:
            file.discard()

    def _stored(self, event: Any, file: SpoolFile) -> int:
        request, context = event.request, event.context
        uid, sop_class = str(request.AffectedSOPInstanceUID), str(request.AffectedSOPClassUID)
        peer = event.assoc.requestor
        if not is_uid(uid):
            return refused(statuses.CANNOT_UNDERSTAND, peer, "object", "no valid SOP Instance UID")
        if sop_class != context.abstract_syntax:
            reason = "its SOP class is not that of its presentation context"
            return refused(statuses.SOP_CLASS_MISMATCH, peer, "object", reason)
        arrival = Arrival(uid, sop_class, str(context.transfer_syntax), title_of(peer), address_of(peer))
        try:
            placed = self._store.place(file, arrival)
            self._told(arrival, placed)
        except NoRoomError as exc:
            return refused(statuses.OUT_OF_RESOURCES, peer, "object", str(exc))
        except (OSError, sqlite3.Error) as exc:
            status = statuses.OUT_OF_RESOURCES if takes_no_more(exc) else statuses.PROCESSING_FAILURE
            return refused(status, peer, "object", f"cannot be made durable ({exc})")
        if placed is Placed.QUARANTINED:
            reason = f"{uid} is there with other content: kept in quarantine"
            return refused(statuses.DUPLICATE_INSTANCE, peer, "object", reason)
        return statuses.SUCCESS
