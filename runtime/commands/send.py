"""`cathrt send`: DICOM files, or the objects of a state folder's studies, to an archive by hand.

Not for: delivery while `cathrt run` works, which outlets do (outlets/dicom.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cathrt.runtime.alert import NOTICE
from cathrt.runtime.commands.options import UNJUDGED, ConfigOption, JsonOption, say, show, show_json
from cathrt.runtime.errors import SinkError, SourceError
from cathrt.runtime.models import load_config

if TYPE_CHECKING:
    from cathrt.runtime.listener.send import Sent

_WAIT_S = 30.0


def send_command(
    what: Annotated[list[Path], typer.Argument(readable=False, help="State folder of `cathrt run`, or DICOM files.")],
    to: Annotated[str, typer.Option("--to", help="The archive: AE@HOST:PORT.")],
    calling: Annotated[str, typer.Option("--calling", help="Our own AE title.")] = "CATHRT",
    commit: Annotated[bool, typer.Option("--commit", help="Ask for storage commitment, and wait for it.")] = False,
    tls_ca: Annotated[Path | None, typer.Option("--tls-ca", readable=False, help="Use TLS; authority, PEM.")] = None,
    tls_certificate: Annotated[
        Path | None, typer.Option("--tls-certificate", readable=False, help="Our own certificate, PEM; with TLS.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", readable=False, help="Its key, PEM; with TLS.")] = None,
    config: ConfigOption = None,
    json_: JsonOption = False,
) -> None:
    """Send DICOM files, or all objects that are due of a state folder's studies, by C-STORE.

    What the archive has already is no fault. Ends with 9 if it did not take an object, 8 if it could not be reached.
    """
    from cathrt.runtime.listener.send import send_all, service_from
    from cathrt.runtime.listener.store_calls import Called
    from cathrt.runtime.outlets.encryption import context_for

    settings, service = load_config(config), service_from(to)
    tls = None if tls_ca is None else context_for(str(tls_ca), str(tls_certificate or ""), str(tls_key or ""), "--tls")
    objects = list(_of_state(what[0], settings.limits)) if len(what) == 1 and what[0].is_dir() else list(_files(what))
    if not objects:
        say("nothing is due: no study has ended there")
        raise typer.Exit(0)
    refused = 0
    for sent in send_all(objects, Called(service, calling, _WAIT_S, tls), commit=commit):
        refused += not sent.taken
        _show(sent, json_=json_)
    raise typer.Exit(UNJUDGED if refused else 0)


def _files(paths: Sequence[Path]) -> Iterator[tuple[str, Any]]:
    from cathrt.runtime.listener.dicom_files import read_file

    for path in paths:
        try:
            data_set = read_file(path.read_bytes())
        except OSError as exc:
            raise SourceError(f"{path}: cannot be read ({exc.strerror})") from exc
        if data_set is None:
            raise SourceError(f"{path}: no DICOM file that can be read")
        yield path.name, data_set


def _of_state(folder: Path, limits: Any) -> Iterator[tuple[str, Any]]:
    """The objects of each study at its newest end, as the last finished review of it has them. Raises CathrtError."""
    import time

    from cathrt.runtime.alert import StoredRecord
    from cathrt.runtime.journal.lookups import records_of_type
    from cathrt.runtime.journal.records import values_of
    from cathrt.runtime.objects.due import Evidence
    from cathrt.runtime.outlets.message import Lane, message_from
    from cathrt.runtime.outlets.peer import RefusedError
    from cathrt.runtime.outlets.studies import Studies
    from cathrt.runtime.processes.state_folder import StateFolder

    state = StateFolder(folder)
    if not state.study_journal.exists():
        raise SinkError(f"{folder}: no study.journal, expected the state folder of a `cathrt run`")
    studies = Studies(Evidence(state.study_journal, state.store, state.gateway_journal), limits)
    newest: dict[str, tuple[int, StoredRecord]] = {}
    for journal, type_ in ((state.study_journal, "ended"), (state.gateway_journal, "review")):
        for row in records_of_type(journal, type_) if journal.exists() else ():
            study, revision = values_of(row.body, "study", "revision")
            if revision >= newest.get(study, (0, row))[0]:
                newest[study] = (revision, row)
    for _, row in newest.values():
        try:
            message = message_from(row, Lane("study", 0, names=False), time.monotonic_ns())
            objects = studies.objects(message, ())
        except RefusedError as exc:
            say(f"a study is left out: {exc}")
            continue
        for data_set in objects:
            yield f"{data_set.Modality} {data_set.SOPInstanceUID}", data_set


def _show(sent: Sent, *, json_: bool) -> None:
    if json_:
        document = {"name": sent.name, "sop_instance_uid": sent.sop_instance_uid, "taken": sent.taken}
        more = {"status": sent.status, "committed": sent.committed, "error": sent.error or None}
        show_json({"type": "sent", **document, **more, "notice": NOTICE})
    elif sent.taken:
        show(f"{sent.name}: stored{', committed to' if sent.committed else ''}")
    else:
        say(f"NOT TAKEN {sent.name}: {sent.error}")
