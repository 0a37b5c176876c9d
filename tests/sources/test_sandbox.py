"""The wall between a decoder and the line: what the child cannot do, and what the parent does not believe."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame, LostFrame
from cathrt.runtime.sources.decoder.sandbox import open_source
from cathrt.runtime.sources.discover import Input
from tests.sources.dicom_bytes import part10, pictures, xa_elements, xa_file
from tests.sources.liars import SAY_RUN, liar
from tests.sources.reading import LIMITS, only_input


def test_a_file_too_big_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "run.dcm"
    path.write_bytes(xa_file() + bytes(2 << 20))
    with pytest.raises(SourceError, match=r"limits\.max_file_mib = 1"):
        open_source(only_input(path), LimitsConfig(max_file_mib=1))


def test_a_fifo_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.dcm")
    with pytest.raises(SourceError, match="not a regular file"):
        open_source(Input("dicom", "pipe.dcm", (tmp_path / "pipe.dcm",)), LIMITS)


@pytest.mark.slow
def test_a_long_run_is_never_in_memory_whole(tmp_path: Path) -> None:
    path = tmp_path / "run.dcm"
    with path.open("wb") as file:
        head = part10(xa_elements(2000, 512, 512), b"")
        size = 2000 * 512 * 512 * 2
        file.write(head + b"\xe0\x7f\x10\x00OW\0\0" + size.to_bytes(4, "little"))
        for _ in range(2000):
            file.write(pictures(1, 512, 512)[0].tobytes())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    source = open_source(only_input(path), LimitsConfig(decoder_memory_mib=512))
    assert sum(isinstance(item, Frame) for item in source.frames()) == 2000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10  # KiB; the run has 1 GiB


def test_the_script_that_stands_in_for_a_decoder_can_tell_the_truth() -> None:
    source = liar(
        SAY_RUN + "for i in range(3): show(7); say(json.dumps({'frame': i, 'angles': [None, 1.5], 'grayscale': 0}))"
    )
    frames = list(source.frames())
    assert all(isinstance(frame, Frame) and (frame.pixels == 7).all() for frame in frames)
    source.close()


@pytest.mark.parametrize(
    "behaviour",
    [
        "say('no json')",
        "say('[1, 2]')",
        "say('[' * 100000)",
        "say('{}')",
        "run['rows'] = 1 << 40; " + SAY_RUN,
        "run['rows'] = -1; " + SAY_RUN,
        "run['frame_count'] = 10**9; " + SAY_RUN,
        "run['bits_stored'] = 64; " + SAY_RUN,
        "run['run_id'] = '../../etc'; " + SAY_RUN,
        "run['flags'] = ['<script>']; " + SAY_RUN,
        "run['modality'] = 'xa\\n[ERROR]'; " + SAY_RUN,
        "run['timing']['frame_rate_hz'] = 0; " + SAY_RUN,
        "run['timing']['frame_time_vector_ms'] = [0.0]; " + SAY_RUN,
        "grey['exposed'] = [[1, 0, 9], [1, 0, 1]]; " + SAY_RUN,
        "grey['exposed'] = [[1, 0, 1]]; " + SAY_RUN,
        "grey['exposed'] = [[3, 0, 1], [-1, 0, 1]]; " + SAY_RUN,
        "grey['exposed'] = [[10**12, 0, 1]]; " + SAY_RUN,
        "grey['exposed'] = []; " + SAY_RUN,
        "grey['pixel_intensity_relationship'] = 'lin\\n'; " + SAY_RUN,
        "run['grayscales'] = []; " + SAY_RUN,
        "run['grayscales'] *= 257; " + SAY_RUN,
        "run['geometry'] = {'positioner_primary_angle_deg': float('nan')}; " + SAY_RUN,
        "grey['voi'] = {'first_input': 0, 'values': [], 'bits': 12}; " + SAY_RUN,
        "run['dicom'] = dict.fromkeys(['sop_class_uid', 'sop_instance_uid', 'study_instance_uid', "
        "'series_instance_uid', 'transfer_syntax_uid'], '../x'); " + SAY_RUN,
        "os.write(replies, b'x' * (9 << 20))",
        "sys.exit('gone')",
    ],
)
def test_a_description_that_cannot_be_is_refused(behaviour: str) -> None:
    with pytest.raises(SourceError, match=r"^liar: "):
        liar(behaviour)


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ('show(7); say(\'{"frame": 2, "angles": [null, null]}\')', "frame 0 was due"),
        ('show(7); say(\'{"frame": 0, "angles": [1e9, null]}\')', "an angle is none"),
        ("show(7); say('{\"frame\": 0}')", "angles are no pair"),
        ('show(7); say(\'{"frame": 0, "angles": [null, null], "grayscale": 1}\')', "grayscale is none of the run's"),
        ('show(7); say(\'{"frame": 0, "angles": [null, null], "grayscale": -1}\')', "grayscale is none of the run's"),
        ('show(7); say(\'{"frame": 0, "angles": [null, null], "grayscale": true}\')', "grayscale is none of the run's"),
        ('show(7); say(\'{"frame": 0, "angles": [null, null]}\')', "grayscale is none of the run's"),
        ('show(1024); say(\'{"frame": 0, "angles": [null, null], "grayscale": 0}\')', "beyond 10 bits"),
        ('say(\'{"lost": 1, "reason": "x", "failed": true}\')', "frame 0 was due"),
        ("say('x' * 100000)", "the decoder was stopped"),
        ("os._exit(3)", "ended with status 3"),
        ("os.kill(os.getpid(), 11)", "SIGSEGV"),
        ("say(json.dumps({'refused': 'memory', 'ours': True}))", "memory"),
    ],
)
def test_a_frame_that_cannot_be_ends_the_decoder_and_the_run_adds_up(behaviour: str, reason: str) -> None:
    source = liar(SAY_RUN + behaviour)
    items = list(source.frames())
    assert len(items) == 3
    assert all(isinstance(item, LostFrame) and item.failed and reason in item.reason for item in items), items
    assert all(isinstance(item, LostFrame) and item.ours for item in items)


def test_a_decoder_that_gives_an_input_up_says_whose_doing_it_is() -> None:
    source = liar(SAY_RUN + "say(json.dumps({'refused': 'no \\x1b[31mmore'}))")
    items = list(source.frames())
    assert len(items) == 3
    assert all(isinstance(item, LostFrame) and item.failed and "no  [31mmore" in item.reason for item in items)
    assert not any(isinstance(item, LostFrame) and item.ours for item in items)


def test_a_lost_frame_is_ours_only_where_the_decoder_says_so() -> None:
    said = "\n".join(
        f"say(json.dumps({{'lost': {index}, 'reason': 'r', {rest}}}))"
        for index, rest in enumerate(
            ("'failed': True", "'failed': True, 'ours': True", "'failed': False, 'ours': True")
        )
    )
    items = [item for item in liar(SAY_RUN + said).frames() if isinstance(item, LostFrame)]
    assert [(item.failed, item.ours) for item in items] == [(True, False), (True, True), (False, False)]


def test_a_decoder_cannot_shrink_the_ring_under_its_parent() -> None:
    source = liar(
        SAY_RUN + "os.read(credits, 1)\ntry: os.ftruncate(ring, 0)\nexcept PermissionError: sys.exit('sealed')"
    )
    items = list(source.frames())
    assert isinstance(items[0], LostFrame)
    assert "sealed" in items[0].reason


def test_a_decoder_that_says_nothing_is_stopped() -> None:
    with pytest.raises(SourceError, match=r"limits.first_frame_s = 0.5"):
        liar("import time; time.sleep(60)", LimitsConfig(first_frame_s=0.5))


def test_a_decoder_that_floods_standard_error_does_not_block() -> None:
    source = liar(
        "os.write(2, b'noise' * 100000)\n"
        + SAY_RUN
        + "for i in range(3): show(7); os.write(2, b'noise' * 100000); "
        + "say(json.dumps({'frame': i, 'angles': [None, None], 'grayscale': 0}))"
    )
    assert all(isinstance(item, Frame) for item in source.frames())
    source.close()
