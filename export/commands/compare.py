"""`cathrt compare A B`: two bundles, or two engines of one bundle, on the same runs.

Not for: how they are judged and compared (compare/), or qualifying an engine, which has limits (`cathrt qualify`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from cathrt.runtime.alert import NOTICES, Refusal
from cathrt.runtime.commands.options import (
    UNJUDGED,
    ConfigOption,
    JsonOption,
    bundle_at,
    progress_bar,
    say,
    settings_from,
    show,
    show_json,
)
from cathrt.runtime.errors import ConfigError, SourceError

if TYPE_CHECKING:
    from cathrt.export.compare.compared import Compared
    from cathrt.export.compare.pairs import CompareInput
    from cathrt.runtime.bundle.opening import Bundle
    from cathrt.runtime.config import Config

PAGE = "comparison.html"
_PICTURES = 24  # frames on the page


def compare_command(
    a: Annotated[Path, typer.Argument(readable=False, metavar="A", help="A bundle folder.")],
    b: Annotated[
        Path, typer.Argument(readable=False, metavar="B", help="Another bundle folder, or the same with --engine-b.")
    ],
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            readable=False,
            help="Recorded runs: DICOM files, videos, stills, or folders of these. Without any: generated runs.",
        ),
    ] = None,
    engine_a: Annotated[str | None, typer.Option(help="Engine for A. Default: engine.name.")] = None,
    engine_b: Annotated[str | None, typer.Option(help="Engine for B. Default: engine.name.")] = None,
    phantoms: Annotated[
        int, typer.Option(min=1, max=10_000, help="Number of generated runs, where no path is given.")
    ] = 12,
    out: Annotated[
        Path,
        typer.Option(
            readable=False, help="Folder for comparison.html. It shows frames: of real runs it is confidential."
        ),
    ] = Path("comparison"),
    json_: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Compare two bundles, or two engines of one, on the same runs.

    Shows what they agree on, the frames on which they differ and how long each takes; of generated runs also how often
    each is right. It is no gate: nothing is signed or refused.
    """
    settings = [settings_from(config, engine) for engine in (engine_a, engine_b)]
    bundles = [bundle_at(path, own) for path, own in zip((a, b), settings, strict=True)]
    from cathrt.export.compare.inputs import pictures_of
    from cathrt.export.compare.page import compare_page
    from cathrt.runtime.outside.output_files import output_folder, whole_file

    output_folder(out)
    with _inputs(paths or [], phantoms, settings[0], shown=not json_) as inputs:
        with progress_bar("comparing", shown=not json_) as advance:
            compared = _compared(bundles, settings, inputs, _described(paths or [], phantoms), advance)
        pictures = pictures_of(compared.agreement.differences[:_PICTURES], inputs)
    with whole_file(out / PAGE) as part:
        part.write_text(compare_page(compared, pictures), encoding="utf-8")
    for refusal in compared.refused:
        say(f"refused {refusal.source}: {refusal.message}")
    if json_:
        show_json(compared.record(str(out / PAGE)))
    else:
        _show(compared, out / PAGE)
    if not compared.runs:
        raise typer.Exit(SourceError.exit_code)
    raise typer.Exit(UNJUDGED if compared.refused else 0)


def _compared(
    bundles: Sequence[Bundle],
    settings: Sequence[Config],
    inputs: Sequence[CompareInput],
    on: str,
    advance: Callable[[int, int], None],
) -> Compared:
    from datetime import UTC, datetime
    from importlib.metadata import version

    from cathrt.export.compare.compared import Compared, side_name
    from cathrt.export.compare.latency import latencies
    from cathrt.export.compare.pairs import RunPair, judged_pairs, opened_side
    from cathrt.export.models import frame_kind

    manifests = [bundle.manifest for bundle in bundles]
    kinds = {manifest.kind for manifest in manifests}
    if len(kinds) > 1:
        raise ConfigError(f"A is a {manifests[0].kind} model, B a {manifests[1].kind} model: compare two of one kind")
    row = frame_kind(manifests[0].kind, "cathrt compare, kind of model")
    if row.agreement is None:
        raise ConfigError(f"{manifests[0].kind} models cannot be compared: their kind says nothing of agreement")
    agreement = row.agreement()
    pairs: list[RunPair] = []
    refused: list[Refusal] = []
    with opened_side(bundles[0], settings[0]) as a, opened_side(bundles[1], settings[1]) as b:
        for one in judged_pairs(inputs, a, b):
            if isinstance(one, Refusal):
                refused.append(one)
            else:
                pairs.append(one)
                frames = sum(pair.a.summary.frames for pair in pairs)
                advance(frames, round(frames * len(inputs) / (one.number + 1)))
        made = f"cathrt {version('cathrt')}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC."
        return Compared(
            side_name(a),
            side_name(b),
            max((manifest.notice for manifest in manifests), key=NOTICES.index),
            on,
            made,
            len(pairs),
            tuple(refused),
            agreement(pairs, *manifests),
            latencies(pairs),
        )


@contextmanager
def _inputs(paths: Sequence[Path], phantoms: int, settings: Config, *, shown: bool) -> Iterator[list[CompareInput]]:
    from cathrt.export.compare.inputs import phantom_inputs, recorded_inputs

    if paths:
        yield recorded_inputs(paths, settings.limits)
        return
    with TemporaryDirectory(prefix="cathrt-compare-") as folder:
        with progress_bar("drawing phantom runs", shown=shown) as advance:
            drawn = phantom_inputs(phantoms, Path(folder), settings.limits, advance)
        yield drawn


def _described(paths: Sequence[Path], phantoms: int) -> str:
    from cathrt.export.compare.inputs import FIRST_SEED

    if paths:
        return f"recorded runs of {', '.join(map(str, paths))}"
    return f"{phantoms} generated runs, seeds {FIRST_SEED} to {FIRST_SEED + phantoms - 1}"


def _show(compared: Compared, page: Path) -> None:
    from cathrt.export.compare.compared import TIME_HEADER

    show(compared.notice)
    for letter, side in (("A", compared.a), ("B", compared.b)):
        show(f"{letter}: {side.bundle} on {side.engine}, manifest {side.manifest_sha256[:12]}")
    show(f"on {compared.on}")
    show("")
    show("A and B alike (95 % interval):")
    for line in _in_columns([(counted, what) for what, counted in compared.common_rows()]):
        show(line)
    if truth := compared.truth_rows():
        show("")
        show("against the truth (95 % interval):")
        sides = [row for what, a, b in truth for row in (("A", a, what), ("B", b, ""))]
        for line in _in_columns(sides):
            show(line)
    show("")
    for line in _in_columns([TIME_HEADER, *compared.time_rows()]):
        show(line)
    show("")
    show(f"{len(compared.agreement.flips)} flips; pictures of the frames that differ most: {page}")
    show("This is no gate: nothing is signed or refused for these figures.")


def _in_columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
