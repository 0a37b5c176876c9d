"""The real decoder behind its walls: every input decodes, nothing is imported late, and a missing wall is named."""

from __future__ import annotations

from pathlib import Path

import av
import imagecodecs
import numpy as np
import pytest
from PIL import Image

from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame
from cathrt.runtime.sources.decoder.process import DecoderProcess
from cathrt.runtime.sources.decoder.sandbox import SandboxedSource, open_source
from cathrt.runtime.sources.discover import discover
from cathrt.runtime.sources.messages import Request
from tests.conftest import ROOT
from tests.sources.dicom_bytes import (
    DEFLATED,
    J2K_LOSSLESS,
    JPEG_BASELINE,
    RLE,
    encapsulated,
    native,
    part10,
    pictures,
    xa_elements,
    xa_file,
)
from tests.sources.kernel_walls import kernel_has
from tests.sources.picture_files import exif
from tests.sources.reading import LIMITS, only_input, read_sandboxed
from tests.sources.stand_ins import server


# One small input of every kind that loads other libraries.
def inputs(folder: Path) -> dict[str, Path]:
    """Name: path of a file."""
    deep, flat = pictures(6, 32, 40), pictures(6, 32, 40, stored=8).astype(np.uint8)
    grey = xa_elements(6, 32, 40, allocated=8, stored=8)
    made = {
        "native.dcm": part10(xa_elements(6, 32, 40), native(deep)),
        "deflated.dcm": part10(xa_elements(6, 32, 40), native(deep, 16, DEFLATED), DEFLATED),
        "rle.dcm": part10(xa_elements(6, 32, 40), encapsulated([_rle(frame) for frame in deep]), RLE),
        "jpeg.dcm": part10(grey, encapsulated([imagecodecs.jpeg8_encode(frame) for frame in flat]), JPEG_BASELINE),
        "still.jpg": imagecodecs.jpeg8_encode(flat[0]),
        "colour.jpg": imagecodecs.jpeg8_encode(np.stack(flat[:3], -1)),
        "still.jls": imagecodecs.jpegls_encode(deep[0]),
        "still.j2k": imagecodecs.jpeg2k_encode(deep[0], codecformat="j2k", reversible=True),
    }
    for suffix, encode in {
        "4.80": imagecodecs.jpegls_encode,
        "4.201": imagecodecs.htj2k_encode,
        "4.90": lambda frame: imagecodecs.jpeg2k_encode(frame, codecformat="j2k", reversible=True, bitspersample=10),
    }.items():
        uid = f"{J2K_LOSSLESS.removesuffix('4.90')}{suffix}"
        frames = encapsulated([encode(frame) for frame in deep])
        made[f"{suffix}.dcm"] = part10(xa_elements(6, 32, 40), frames, uid)
    for name, data in made.items():
        (folder / name).write_bytes(data)
    for suffix, options in {"png": {}, "bmp": {}, "tif": {}, "lzw.tif": {"compression": "tiff_lzw"}}.items():
        Image.fromarray(flat[0]).save(folder / f"grey.{suffix}", **options)
        Image.fromarray(np.stack(flat[:3], -1)).save(folder / f"colour.{suffix}", **options)
    Image.fromarray(flat[0]).convert("P").save(folder / "palette.bmp")
    Image.fromarray(flat[0]).convert("LA").save(folder / "alpha.png")
    Image.fromarray(flat[0]).convert("CMYK").save(folder / "inks.tif")
    Image.fromarray(flat[0]).convert("CMYK").save(folder / "inks.jpg", exif=b"Exif\0\0" + exif(6))
    for codec, (form, suffix) in {
        "libx264": ("yuv420p", "mp4"),
        "ffv1": ("gray10le", "mkv"),
        "mjpeg": ("yuvj420p", "avi"),
        "png": ("rgb24", "mov"),
    }.items():
        with av.open(str(folder / f"{codec}.{suffix}"), "w") as container:
            stream = container.add_stream(codec, rate=15)
            stream.width, stream.height, stream.pix_fmt = 40, 32, form
            for frame in flat:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray").reformat(format=form)))
            container.mux(stream.encode(None))
    return {path.name: path for path in sorted(folder.iterdir())}


def _rle(frame: np.ndarray) -> bytes:
    from rle.rle import encode_frame

    return bytes(encode_frame(frame.tobytes(), *frame.shape, 1, 16, "<"))


def test_every_kind_of_input_is_decoded_behind_both_walls_in_every_thread(tmp_path: Path) -> None:
    kernel_has("seccomp")
    kernel_has("landlock")
    for name, path in inputs(tmp_path).items():
        source = open_source(only_input(path), LIMITS)
        first = next(source.frames())
        tasks = [task.read_text() for task in Path(f"/proc/{source.decoder_pid}/task").glob("*/status")]
        limits = Path(f"/proc/{source.decoder_pid}/limits").read_text()
        source.close()
        assert isinstance(first, Frame), (name, first)
        assert len(tasks) == 1 or path.suffix in (".mov", ".mp4", ".mkv"), "FFmpeg starts some, behind the walls"
        for status in tasks:
            facts = dict(line.split(":\t") for line in status.splitlines() if ":\t" in line)
            wanted = {"Seccomp": "2", "NoNewPrivs": "1", "CapEff": "0" * 16, "CapPrm": "0" * 16}
            assert {key: facts[key] for key in wanted} == wanted, name
        assert f"{LIMITS.decoder_memory_mib << 20}" in next(row for row in limits.splitlines() if "address" in row)
        assert next(row for row in limits.splitlines() if "Max file size" in row).split()[3] == "0"
        assert not [flag for flag in source.run.flags if flag.startswith("decoder_without")]


def started_with(path: Path, *program: str) -> SandboxedSource:
    input_ = only_input(path)
    request = Request(input_.kind, input_.name, (str(path),), LIMITS)
    started = server(input_.kind, *program)
    return SandboxedSource(lambda _: DecoderProcess(request, started), input_.name, LIMITS, lambda: 0)


def test_no_kind_of_input_imports_or_opens_anything_late(tmp_path: Path) -> None:
    program = str(Path(__file__).with_name("late_imports.py"))
    for name, path in inputs(tmp_path).items():
        source = started_with(path, program)
        assert all(isinstance(item, Frame) for item in source.frames()), name
        source.close()


HOSTILE = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from cathrt.runtime.errors import SourceError
from cathrt.runtime.sources.decoder import child, fork_server
from tests.sources import forbidden_acts
def read(request, contents):
    forbidden_acts._me = os.getpid()  # it was imported before the fork
    raise SourceError("succeeded: " + str([act for act, error in forbidden_acts.tried().items() if error is None]))
    yield
child.READERS["dicom"] = lambda: read
fork_server.main(sys.argv[1:])
"""


def test_a_library_that_is_taken_over_in_the_real_decoder_can_do_none_of_it(tmp_path: Path) -> None:
    kernel_has("seccomp")
    path = tmp_path / "run.dcm"
    path.write_bytes(xa_file())
    with pytest.raises(SourceError) as refused:
        started_with(path, "-c", HOSTILE)
    assert str(refused.value) == "run.dcm: succeeded: []"


OLDER = f"""
import errno, sys
sys.path.insert(0, {str(ROOT)!r})
from cathrt.runtime.sources.decoder import fork_server
from tests.sources.forbidden_acts import lack
lack(LACKING, ERROR)
fork_server.main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("lacking", "flags"),
    [
        (["seccomp"], {"decoder_without_seccomp"}),
        (["landlock_create_ruleset"], {"decoder_without_landlock"}),
        (["seccomp", "landlock_create_ruleset"], {"decoder_without_seccomp", "decoder_without_landlock"}),
    ],
)
def test_a_run_decoded_behind_fewer_walls_says_which_are_missing(
    lacking: list[str], flags: set[str], tmp_path: Path
) -> None:
    kernel_has("seccomp")
    kernel_has("landlock")
    path = tmp_path / "run.dcm"
    path.write_bytes(xa_file(9))
    source = started_with(path, "-c", OLDER.replace("LACKING", repr(lacking)).replace("ERROR", "errno.ENOSYS"))
    assert all(isinstance(item, Frame) for item in source.frames())
    source.close()
    assert {flag for flag in source.run.flags if flag.startswith("decoder_without")} == flags


def test_a_wall_that_cannot_be_put_up_is_a_refusal_that_names_those_that_stand(tmp_path: Path) -> None:
    path = tmp_path / "run.dcm"
    path.write_bytes(xa_file())
    code = OLDER.replace("LACKING", "['seccomp']").replace("ERROR", "errno.EACCES")
    with pytest.raises(SourceError, match=r"cannot be confined \(.*seccomp; resource limits and Landlock \d+ stand"):
        started_with(path, "-c", code)


def test_a_sequence_longer_than_the_open_files_allowed_is_refused_with_the_remedy(tmp_path: Path) -> None:
    for index in range(40):
        Image.fromarray(pictures(1, stored=8)[0].astype(np.uint8)).save(tmp_path / f"f{index:02}.png")
    (input_,) = discover([tmp_path]).inputs
    code = "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (MOST, MOST))\n"
    code += "from cathrt.runtime.sources.decoder import fork_server; fork_server.main(sys.argv[1:])"
    paths = tuple(str(path) for path in input_.paths)
    request = Request("stills", "stills", paths, LIMITS)

    def opened(most: int) -> SandboxedSource:
        started = server("stills", "-c", code.replace("MOST", str(most)))
        return SandboxedSource(lambda _: DecoderProcess(request, started), "stills", LIMITS, lambda: 0)

    with pytest.raises(SourceError, match=r"40 files are read at once, and a process may open 64 here: .*ulimit -n 72"):
        opened(64)
    source = opened(72)
    assert sum(isinstance(item, Frame) for item in source.frames()) == 40
    source.close()


def test_a_transfer_syntax_may_be_named_anywhere_in_the_file(tmp_path: Path) -> None:
    frames = encapsulated([imagecodecs.jpeg8_encode(frame) for frame in pictures(3, stored=8).astype(np.uint8)])
    data = part10(xa_elements(3, allocated=8, stored=8), frames, JPEG_BASELINE)
    before = data.index(b"\x02\x00\x10\x00UI")
    long_value = b"\x02\x00\x01\x00OB\0\0" + (70_000).to_bytes(4, "little") + bytes(70_000)
    path = tmp_path / "run.dcm"
    path.write_bytes(data[:before] + long_value + data[before:])
    assert all(isinstance(item, Frame) for item in read_sandboxed(only_input(path))[1])
