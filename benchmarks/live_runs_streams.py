"""Streams of pictures with known pedal times, for benchmarks/live_runs.py: phantom runs as a video tap shows them.

A display repeats each pulse, holds the last one, shows stills and replays, burns a clock in; a coder adds its noise.
Only signatures are kept. Not for: what is found in them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from cathrt.kernels._kernels import TemporalFilter, TemporalSettings
from cathrt.runtime.phantom import PhantomSource, SceneKind, sample_scene
from cathrt.runtime.phantom.encoders import jpeg_from_pixels
from cathrt.runtime.sources.capture.sighting import signature_of

Coding = Literal["exact", "jpeg", "h264", "h264, temporal filter"]
FILTERED: Coding = "h264, temporal filter"  # kernels/reference/temporal.py behind the decoder
CODINGS: tuple[Coding, ...] = ("exact", "jpeg", "h264", FILTERED)
RATES_HZ = (7.5, 10.0, 15.0, 30.0)
DISPLAYS_HZ = (25.0, 30.0, 50.0, 60.0)
_KINDS: tuple[SceneKind, ...] = ("coronary", "no_contrast", "panning", "lv_gram", "coronary", "other_vessels")
_MATRIX = 256
_RUN_S = 1.8
# Of the temporal filter: noise of about one percent at half dose, averaging about nine still pictures.
_FILTER = TemporalSettings(0.35, 0.05, 0.2, 0.8, 0.4, 5.0)

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class TrueRun:
    """One press of the pedal. first, last: the pictures that first show its first and its last pulse.

    replay: shown from store, not from the X-ray tube.
    """

    first: int
    last: int
    replay: bool


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """What came from one display. pulses: of each picture, which pulse it shows (-1: none, of no run)."""

    name: str
    coding: Coding
    rate_hz: float
    display_hz: float
    signatures: NDArray[np.float32]
    pulses: NDArray[np.int64]
    runs: tuple[TrueRun, ...]


def streams(seeds: Iterable[int]) -> Iterator[Stream]:
    """One stream for every seed and coding: rate, display, clock and scenes are the seed's."""
    for seed in seeds:
        yield from _of_seed(seed)


def _of_seed(seed: int) -> Iterator[Stream]:
    rng = np.random.default_rng(seed)
    rate_hz = RATES_HZ[seed % len(RATES_HZ)]
    display_hz = float(rng.choice([hz for hz in DISPLAYS_HZ if hz >= rate_hz]))
    one = _rendered(seed * 10, _KINDS[seed % len(_KINDS)], rate_hz)
    other = _rendered(seed * 10 + 1, _KINDS[(seed + 1) % len(_KINDS)], rate_hz)
    half = len(one) // 2
    show = _Display(rate_hz, display_hz)
    show.still(_rendered(seed * 10 + 2, "coronary", rate_hz, pulses=1)[0], 1.3)
    show.run(one[:half])
    show.hold(float(rng.uniform(0.7, 1.5)))
    show.run(one[half:])  # the same view, a moment later
    show.hold(float(rng.uniform(0.7, 2.5)))
    show.still(other[len(other) // 2], 1.0)  # a reference picture
    show.run(other)
    show.hold(1.2)
    show.run(one[:half], replay=True)
    show.hold(0.9)
    show.run(other[: len(other) // 2], replay=True)
    show.run(one[half:], replay=True)  # another scene without a pause
    show.hold(1.5)
    pictures = show.pictures if seed % 2 else _with_clock(show.pictures, display_hz)
    quality, crf = int(rng.integers(60, 91)), int(rng.integers(17, 25))
    decoded = list(_through_h264(pictures, display_hz, crf))
    shown: dict[Coding, Iterable[Pixels]] = {
        "exact": pictures,
        "jpeg": _through_jpeg(pictures, quality),
        "h264": decoded,
        FILTERED: _filtered(decoded),
    }
    for coding, pixels in shown.items():
        signatures = np.stack(list(_of_each(signature_of, pixels)))
        assert len(signatures) == len(pictures), f"{coding} lost pictures of seed {seed}"
        name = f"seed {seed}, {rate_hz:g} pulses at {display_hz:g} Hz"
        yield Stream(name, coding, rate_hz, display_hz, signatures, np.array(show.pulses), tuple(show.runs))


class _Display:
    """Shows pulses at its own rate, each until the next one."""

    def __init__(self, rate_hz: float, display_hz: float) -> None:
        self.pictures: list[Pixels] = []
        self.pulses: list[int] = []
        self.runs: list[TrueRun] = []
        self._rate_hz, self._display_hz = rate_hz, display_hz
        self._pulses_shown = 0

    def run(self, pulses: NDArray[np.uint8], *, replay: bool = False) -> None:
        first = len(self.pictures)
        count = int(len(pulses) * self._display_hz / self._rate_hz)
        places = [int(k * self._rate_hz / self._display_hz + 1e-9) for k in range(count)]
        views = list(pulses)  # the same object as long as the same is shown
        self.pictures += [views[place] for place in places]
        self.pulses += [self._pulses_shown + place for place in places]
        self._pulses_shown += len(pulses)
        self.runs.append(TrueRun(first, first + places.index(places[-1]), replay))

    def hold(self, seconds: float) -> None:
        """The last image: it is the last pulse still, but of no run."""
        self.still(self.pictures[-1], seconds)

    def still(self, pixels: Pixels, seconds: float) -> None:
        count = round(seconds * self._display_hz)
        self.pictures += [pixels] * count
        self.pulses += [-1] * count


def _rendered(seed: int, kind: SceneKind, rate_hz: float, pulses: int | None = None) -> NDArray[np.uint8]:
    scene = sample_scene(seed, kind=kind, matrix=_MATRIX)
    scene = replace(scene, frame_rate_hz=rate_hz, frame_count=round(2 * _RUN_S * rate_hz))
    source = PhantomSource(scene)
    first = 0 if pulses is None else scene.frame_count // 2
    wanted = range(first, scene.frame_count if pulses is None else first + pulses)
    shift = scene.display.bits_stored - 8
    return np.stack([(source.render(index) >> shift).astype(np.uint8) for index in wanted])


def _with_clock(pictures: list[Pixels], display_hz: float) -> list[Pixels]:
    """A clock with tenths of seconds in a corner, running also while the last image is held."""
    font = ImageFont.load_default(size=11)
    shown: list[Pixels] = []
    before: tuple[int, int] | None = None
    for number, pixels in enumerate(pictures):
        tenths = int(number / display_hz * 10.0 + 1e-9)
        if before == (before := (id(pixels), tenths)):
            shown.append(shown[-1])
            continue
        image = Image.fromarray(pixels)
        text = f"10:04:{tenths // 10 % 60:02d}.{tenths % 10}"
        ImageDraw.Draw(image).text((_MATRIX - 64, _MATRIX - 16), text, fill=230, font=font)
        shown.append(np.asarray(image))
    return shown


def _through_jpeg(pictures: list[Pixels], quality: int) -> Iterator[Pixels]:
    from imagecodecs import jpeg8_decode

    return _of_each(lambda pixels: jpeg8_decode(jpeg_from_pixels(pixels, quality)), pictures)


def _filtered(pictures: Iterable[Pixels]) -> Iterator[Pixels]:
    temporal = TemporalFilter((_MATRIX, _MATRIX), 8, _FILTER)
    for pixels in pictures:
        out = np.empty_like(pixels)
        temporal(np.ascontiguousarray(pixels), out)
        yield out


def _of_each(what: Callable[[Pixels], Any], pictures: Iterable[Pixels]) -> Iterator[Any]:
    """what(picture) of each; of the very same picture again, what it was before."""
    before, result = None, None
    for pixels in pictures:
        if pixels is not before:
            before, result = pixels, what(pixels)
        yield result


def _through_h264(pictures: list[Pixels], display_hz: float, crf: int) -> Iterator[Pixels]:
    """As an encoder box sends them: no delay, an intra picture every second."""
    import av

    encoder: Any = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = _MATRIX, _MATRIX, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, round(display_hz)), round(display_hz)
    encoder.gop_size = round(display_hz)
    encoder.options = {"preset": "veryfast", "tune": "zerolatency", "crf": str(crf)}
    decoder: Any = av.CodecContext.create("h264", "r")

    def decoded(packets: Iterable[Any]) -> Iterator[Pixels]:
        for packet in packets:
            for frame in decoder.decode(packet):
                yield frame.to_ndarray(format="gray")

    for number, pixels in enumerate(pictures):
        frame: Any = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="gray")
        frame = frame.reformat(format="yuv420p")
        frame.pts = number
        yield from decoded(encoder.encode(frame))
    yield from decoded(encoder.encode(None))
    yield from decoded([None])
