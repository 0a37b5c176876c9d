"""`cathrt deidentify`: DICOM files without what points at a patient, checked before they are written.

Not for: how (deidentify/).
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated

import typer

from cathrt.runtime.alert import NOTICE
from cathrt.runtime.commands.options import UNJUDGED, ConfigOption, JsonOption, say, show, show_json
from cathrt.runtime.errors import SinkError, SourceError
from cathrt.runtime.models import load_config


def deidentify_command(
    source: Annotated[Path, typer.Argument(readable=False, help="DICOM file, or folder of them.")],
    out: Annotated[Path, typer.Argument(readable=False, help="Folder for the result; made if it is not there.")],
    key_file: Annotated[
        Path | None,
        typer.Option(
            "--key-file",
            readable=False,
            help="File with a secret of one line: files made with the same one fit together. Default: a new secret, "
            "which is thrown away.",
        ),
    ] = None,
    shift_dates: Annotated[
        bool, typer.Option("--shift-dates", help="Keep the time between dates: move them, by patient.")
    ] = False,
    keep_device: Annotated[
        bool, typer.Option("--keep-device", help="Keep what names the machine: maker, station, serial number.")
    ] = False,
    clean_pixels: Annotated[
        bool, typer.Option("--clean-pixels", help="Paint over text in pictures; without it such files are refused.")
    ] = False,
    config: ConfigOption = None,
    json_: JsonOption = False,
) -> None:
    """De-identify DICOM files by the Basic Profile of PS3.15, and check the result a second time.

    A file that is not surely clean is refused and not written. Ends with 9 if one was refused, 4 if all were.
    """
    from cathrt.runtime.deidentify.files import Deidentifier
    from cathrt.runtime.deidentify.pictures import text_detector
    from cathrt.runtime.deidentify.profile import Options, profile
    from cathrt.runtime.deidentify.pseudonyms import Pseudonyms
    from cathrt.runtime.outside.secret_file import secret_from
    from cathrt.runtime.sources.decoder.sandbox import prepare_decoders
    from cathrt.runtime.sources.discover import Input

    settings = load_config(config)
    chosen = profile(Options(shift_dates, keep_device, clean_pixels))
    key = secrets.token_bytes(32) if key_file is None else secret_from(key_file, "--key-file").encode()
    detect = text_detector()
    if detect is None:
        say("no text detector here (pip install '.[deidentify]'): pictures are judged by the border rule")
    files = sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else [source]
    if not files:
        raise SourceError(f"{source}: no file there")
    prepare_decoders([Input("dicom", "", ())])
    working, refused = Deidentifier(chosen, Pseudonyms(key), settings.limits, detect), 0
    try:
        out.mkdir(parents=True, exist_ok=True)
        for number, path in enumerate(files, 1):
            try:
                done = working.file(path, out)
            except SourceError as exc:
                refused += 1
                _show(number, path, None, 0, str(exc), json_=json_)
            else:
                _show(number, path, done.written, done.painted, None, json_=json_)
    except OSError as exc:
        raise SinkError(f"{exc.filename or out}: cannot be written ({exc.strerror}): check the disk") from exc
    raise typer.Exit(SourceError.exit_code if refused == len(files) else UNJUDGED if refused else 0)


def _show(number: int, path: Path, written: Path | None, painted: int, error: str | None, *, json_: bool) -> None:
    if json_:
        document = {"number": number, "source": str(path), "written": None if written is None else str(written)}
        show_json({"type": "deidentified", **document, "painted": painted, "error": error, "notice": NOTICE})
    elif written is None:
        say(f"REFUSED {path}: {error}")
    else:
        show(f"{path} -> {written}{f', {painted} boxes of text painted over' if painted else ''}")
