"""`cathrt listen`: receives runs by C-STORE until it is told to stop. Not for: the service itself (listener/)."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cathrt.runtime.alert import NOTICE
from cathrt.runtime.commands.options import ConfigOption, JsonOption, say, show, show_json
from cathrt.runtime.commands.standard_streams import limit_output_wait
from cathrt.runtime.commands.teller import Teller
from cathrt.runtime.errors import CathrtError, SinkError
from cathrt.runtime.models import load_config

if TYPE_CHECKING:
    from cathrt.runtime.listener.commitment_book import Commitment
    from cathrt.runtime.listener.object_store import Arrival, Placed
    from cathrt.runtime.listener.study_end import StudyEnd

_LAST_WAIT_S = 5.0  # for a reader who takes nothing, once the listener has ended
_LOOK_S = 1.0  # between two looks at whether the listener is well


def listen_command(
    store: Annotated[Path, typer.Argument(readable=False, help="Folder of received objects; made if it is not there.")],
    json_: JsonOption = False,
    config: ConfigOption = None,
    end_study: Annotated[
        str | None,
        typer.Option("--end-study", metavar="UID", help="Tell the listener of STORE that this study has ended."),
    ] = None,
) -> None:
    """Receive X-ray runs as a DICOM storage service, and say when a study has ended.

    Each object is on the disk before its sender is told so. Stop it with Ctrl-C or SIGTERM: what is being received
    comes to its end first. `cathrt replay STORE/objects` judges what was received.
    """
    from cathrt.runtime.listener.object_store import ObjectStore
    from cathrt.runtime.listener.scp import opened_listener
    from cathrt.runtime.listener.spool import spool_limits

    settings = load_config(config)
    if end_study is not None:
        _end_study(store, end_study)
        return
    shown = _Shown(json_)
    try:
        opened = ObjectStore(store, spool_limits(settings))
    except (OSError, sqlite3.Error) as exc:
        raise _unusable(store, exc) from exc
    try:
        with opened_listener(settings.listener, opened, shown.received, shown.ended, shown.committed) as listener:
            say(f"listening as {settings.listener.ae_title} on {settings.listener.host}:{listener.port}")
            with contextlib.suppress(SystemExit):  # of a signal: for a service the way to end well
                while not threading.Event().wait(_LOOK_S):
                    if not listener.is_well:
                        raise CathrtError("a thread of the listener has died, as logged: start it again")
            if not listener.close(settings.listener.drain_s):
                say("some associations were aborted: what they were sending was not confirmed")
    except sqlite3.Error as exc:
        raise _unusable(store, exc) from exc
    except OSError as exc:
        raise CathrtError(
            f"{settings.listener.host}:{settings.listener.port}: cannot listen there ({exc.strerror}): "
            "choose another listener.host or listener.port"
        ) from exc
    finally:
        opened.close()
        shown.finish()
    if shown.failure is not None:
        raise shown.failure


class _Shown:
    """Prints what happens, one line at a time; called from threads of the listener, which no reader holds up.

    failure: why standard output takes no more; then nothing more is printed, and the listener goes on.
    """

    def __init__(self, as_json: bool) -> None:
        self.failure: SinkError | None = None
        self._as_json = as_json
        self._teller = Teller("cathrt-listen-told")
        self._teller.start()

    def finish(self) -> None:
        """Print what waits, for as long as there is a reader."""
        limit_output_wait(_LAST_WAIT_S)
        if left_out := self._teller.finish():
            say(f"{left_out} lines were not shown, since nobody read those before them: see the store")

    def received(self, arrival: Arrival, placed: Placed) -> None:
        uid = arrival.sop_instance_uid
        row = {"type": "received", "placed": placed, "sop_instance_uid": uid}
        self._show(row, f"{placed:12}{uid} from {arrival.calling_ae}")

    def ended(self, end: StudyEnd) -> None:
        row = {
            "type": "study_end",
            "seq": end.seq,
            "study_instance_uid": end.study_instance_uid,
            "revision": end.revision,
            "evidence": list(end.evidence),
            "objects": list(end.objects),
            "flags": list(end.flags),
        }
        which = "study end" if end.revision == 1 else "addendum"
        signs = ", ".join((*end.evidence, *end.flags))
        self._show(row, f"{which:12}{end.study_instance_uid} with {len(end.objects)} objects: {signs}")

    def committed(self, commitment: Commitment) -> None:
        row = {
            "type": "commitment",
            "state": commitment.state,
            "transaction_uid": commitment.transaction_uid,
            "peer_ae": commitment.peer_ae,
            "count": commitment.count,
            "failed": commitment.failed,
            "reason": commitment.reason,
        }
        told = f"{commitment.count - commitment.failed} of {commitment.count} objects committed to {commitment.peer_ae}"
        if commitment.reason:
            told = f"report to {commitment.peer_ae} given up: {commitment.reason}"
        self._show(row, f"{'commitment':12}{commitment.transaction_uid} {told}")

    def _show(self, row: dict[str, Any], line: str) -> None:
        self._teller.tell(partial(self._print, row, line))

    def _print(self, row: dict[str, Any], line: str) -> None:
        if self.failure is not None:
            return
        try:
            if self._as_json:
                show_json({**row, "notice": NOTICE})
            else:
                show(line)
        except SinkError as exc:
            self.failure = exc
            say(f"{exc} [the listener goes on; what it receives is in its store]")


def _end_study(store: Path, study_instance_uid: str) -> None:
    """The button, from a process beside the listener."""
    from cathrt.runtime.listener.index import NAME, Index
    from cathrt.runtime.listener.study_book import StudyBook
    from cathrt.runtime.listener.study_watch import press_button

    if not (store / NAME).exists():
        raise CathrtError(f"{store}: no {NAME} in it, expected the store of a listener: check the path")
    try:
        with contextlib.closing(Index(store)) as index:
            press_button(StudyBook(index), study_instance_uid)
    except (OSError, sqlite3.Error) as exc:
        raise _unusable(store, exc) from exc
    say(f"study {study_instance_uid}: its end is noted by the listener once nothing more comes")


def _unusable(store: Path, exc: Exception) -> SinkError:
    return SinkError(f"{store}: cannot be used as a store ({exc}): choose another folder")
