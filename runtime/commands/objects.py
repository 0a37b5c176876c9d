"""`cathrt objects`: DICOM objects of confirmed results as files: key images, reports, marks, pictures, drafts.

Not for: sending them (outlets), what they hold (objects/dicom/).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from cathrt.runtime.alert import NOTICE
from cathrt.runtime.commands.options import ConfigOption, JsonOption, show, show_json
from cathrt.runtime.models import load_config


def objects_command(
    state: Annotated[Path, typer.Argument(readable=False, help="State folder of `cathrt run`, which may be running.")],
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN_OR_STUDY...",
            help="A run by its run_id or SOP Instance UID, a study by its Study Instance UID or its name in records.",
        ),
    ],
    out: Annotated[Path, typer.Option(readable=False, help="Folder for the files; of several names, a folder each.")],
    sr: Annotated[
        Literal["3d", "comprehensive"],
        typer.Option(
            help="SOP class of measurement reports: Comprehensive 3D SR, or Comprehensive SR for archives "
            "that take no other."
        ),
    ] = "3d",
    character_set: Annotated[
        Literal["utf-8", "japanese"],
        typer.Option(help="japanese: ISO 2022 IR 13, 87 and 159, where all of an object's text fits in."),
    ] = "utf-8",
    best: Annotated[
        Literal["study", "series"], typer.Option(help="Of what the Best In Set key images are the best.")
    ] = "study",
    json_: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Write the DICOM objects of confirmed runs and studies to files.

    All are preliminary and unverified. The same results give the same files. Needs the extra `objects`.
    """
    from cathrt.runtime.objects.chosen import chosen, confirmed_in
    from cathrt.runtime.objects.dicom.study_objects import ObjectOptions, bytes_of, objects_of
    from cathrt.runtime.objects.frame_reader import FrameReader
    from cathrt.runtime.outside.output_files import output_folder, whole_file
    from cathrt.runtime.processes.state_folder import StateFolder

    settings, folder = load_config(config), StateFolder(state)
    options = ObjectOptions(report=sr, best_of_series=best == "series", character_set=character_set)
    confirmed = confirmed_in(folder.study_journal, folder.store, folder.gateway_journal)
    if not json_:
        show(NOTICE)
    for number, name in enumerate(names, 1):
        results = chosen(confirmed, name)
        into = out if len(names) == 1 else out / str(number)
        made = objects_of(results, FrameReader(settings.limits), options)
        output_folder(into)
        for each in made:
            path = into / f"{each.SeriesNumber}-{each.InstanceNumber:03}-{str(each.Modality).lower()}.dcm"
            with whole_file(path) as part:
                part.write_bytes(bytes_of(each))
            if json_:
                told = {
                    "type": "object",
                    "file": str(path),
                    "sop_class_uid": each.SOPClassUID,
                    "sop_instance_uid": each.SOPInstanceUID,
                    "revision": results.revision,
                    "title": each.SeriesDescription,
                    "notice": results.notice,
                }
                show_json(told)
            else:
                show(f"{path}: {each.SeriesDescription}")
