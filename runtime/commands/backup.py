"""`cathrt backup` and `cathrt restore`: copies of a state folder while everything runs, and back into an empty one.

Not for: how it is done (retention/backup.py, restore.py).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cathrt.runtime.alert import NOTICE
from cathrt.runtime.commands.options import BundlesOption, ConfigOption, JsonOption, say, show, show_json

if TYPE_CHECKING:
    from cathrt.runtime.processes.state_folder import StateFolder
    from cathrt.runtime.retention.backup import Given
    from cathrt.runtime.retention.backup_folder import Manifest


def backup_command(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="STATE DEST",
            readable=False,
            help="State folder of `cathrt run`; folder of backups. --verify: DEST.",
        ),
    ],
    verify: Annotated[
        bool, typer.Option("--verify", help="Check the newest backup of DEST instead of making one.")
    ] = False,
    keep: Annotated[int, typer.Option(min=0, help="Backups to keep, the newest ones. 0: all.")] = 0,
    config: ConfigOption = None,
    bundle: BundlesOption = None,
    json_: JsonOption = False,
) -> None:
    """Back up a state folder while everything runs, or check a backup.

    Journals, received objects, places of outlets and of the study process, configuration and bundles in force. Received
    objects that DEST has already are not copied again. If it is cut short, the backups before it stay whole.
    """
    from cathrt.runtime.processes.state_folder import StateFolder
    from cathrt.runtime.retention.backup import Backup
    from cathrt.runtime.retention.backup_folder import BackupFolder

    if len(folders) != (1 if verify else 2):
        raise typer.BadParameter(f"{len(folders)} folders, expected {'DEST alone' if verify else 'STATE and DEST'}")
    dest = BackupFolder(folders[-1])
    if verify:
        manifest = dest.verify(dest.newest().number)
        _show(manifest, "whole", json_=json_)
        return
    state = StateFolder(folders[0])
    given = _given(state, config, tuple(bundle or ()))
    manifest = Backup(state.path, given, state.backup_lock, keep).make(dest)
    _show(manifest, "made", json_=json_)


def restore_command(
    dest: Annotated[Path, typer.Argument(readable=False, help="Folder of backups.")],
    state: Annotated[Path, typer.Argument(readable=False, help="Empty folder, or one that is not there.")],
    json_: JsonOption = False,
) -> None:
    """Put the newest backup of DEST into an empty state folder. It is verified first.

    `cathrt run STATE` then goes on. The configuration and the bundles that were in force lie in STATE/given.
    """
    from cathrt.runtime.processes.state_folder import StateFolder
    from cathrt.runtime.retention.backup_folder import BackupFolder
    from cathrt.runtime.retention.restore import restore

    manifest = restore(BackupFolder(dest), state, StateFolder(state).restoring)
    _show(manifest, "restored", json_=json_)
    say(f"{state}: start it with `cathrt run`; configuration and bundles as they were are in {state / 'given'}")


def _given(state: StateFolder, config: Path | None, bundles: tuple[Path, ...]) -> Given:
    """What the running `cathrt run` was started with; options go before it, and are all there is if none runs."""
    from cathrt.runtime.processes.health import CONFIGURED
    from cathrt.runtime.processes.state_folder import GIVEN
    from cathrt.runtime.processes.swap_files import swapped_in
    from cathrt.runtime.retention.backup import Given

    report = state.read_report(GIVEN) or {}
    effective = state.read_report(CONFIGURED)
    if config is None and report.get("config"):
        config = Path(report["config"])
    known = bundles or tuple(map(Path, report.get("bundles", ())))
    swapped = tuple(path for each in swapped_in(state) if (path := Path(each.bundle)).is_dir())
    return Given(
        config,
        None if effective is None else json.dumps(effective, indent=2).encode(),
        tuple(dict.fromkeys((*known, *swapped))),
    )


def _show(manifest: Manifest, what: str, *, json_: bool) -> None:
    row = {
        "type": "backup",
        "what": what,
        "number": manifest.number,
        "made_at": manifest.made_at,
        "files": len(manifest.files),
        "objects": len(manifest.objects),
        "bytes": manifest.bytes,
        "journals": [
            {"name": journal.name, "rows": journal.rows, "pruned": journal.pruned, "head": journal.head}
            for journal in manifest.journals
        ],
        "notice": NOTICE,
    }
    if json_:
        show_json(row)
        return
    show(f"backup {manifest.number} {what}: {len(manifest.files)} files, {len(manifest.objects)} objects")
    for journal in manifest.journals:
        show(f"  {journal.name:16}{journal.rows} rows, head {journal.head}")
    show(NOTICE)
