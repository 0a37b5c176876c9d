"""What each kernel and each network must at least move and compute: bytes of DRAM, and operations.

Counted from shapes, never measured. A kernel reads each input byte once a pass and writes each output byte once; what a
later pass finds in the cache is counted as if it had to come from DRAM. A network reads its weights once a call, unless
they fit the cache, and its activations are taken to stay on chip, so a floor is a floor. A multiply-add counts two.
Not for: times (roofline.py) and peaks (roofline_devices.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Literal

from cathrt.export.models.keyframe.convnext import ARCHS, DEPTHWISE_KERNEL, MLP_RATIO, ConvNextArch

Element = Literal["float16", "int8"]
BYTES: Mapping[Element, int] = {"float16": 2, "int8": 1}
SIDE = 224  # of the network's input
CHANNELS = 3
CLIP_FRAMES, CLIP_SIDE = 16, 512
VESSELNESS_CELLS, VESSELNESS_RADIUS = 256 * 256, 6


@dataclass(frozen=True, slots=True)
class Work:
    """dram_bytes: moved, at least, but for weights. operations: of ordinary cores in a kernel, of tensor cores in a
    network. weight_bytes: of a network, read once a call where they do not fit the cache."""

    dram_bytes: int
    operations: int
    formula: str
    weight_bytes: int = 0


def kernels(side: int, stored_bytes: int, element: Element) -> dict[str, Work]:
    """Work of each kernel on one frame of side x side stored values. element: of the network's input."""
    pixels = side * side
    frame = pixels * stored_bytes
    tensor = CHANNELS * SIDE * SIDE * BYTES[element]
    taps = 2 * ceil(max(side / SIDE, 1.0))  # width of the antialiasing triangle, in input pixels
    clip_in = CLIP_FRAMES * CLIP_SIDE * CLIP_SIDE * stored_bytes
    clip_taps = 2 * ceil(CLIP_SIDE / SIDE)
    clip_out = CLIP_FRAMES * CHANNELS * SIDE * SIDE * BYTES["float16"]
    return {
        "histogram": Work(frame, 2 * pixels, "read the frame once; mask and count each pixel"),
        "ingest": Work(
            frame + tensor,
            pixels * 6 + SIDE * (side + SIDE) * taps * 2 + CHANNELS * SIDE * SIDE * 2,
            "read the frame once, write the tensor; window (6 a pixel), rows then columns of the resize, normalise",
        ),
        "temporal": Work(
            2 * frame + 8 * pixels, 30 * pixels, "read frame and state, write both; 3x3 mean, gain, limit: about 30"
        ),
        "clahe": Work(3 * frame, 14 * pixels, "read twice (histograms, then mapping), write once; 2 + 12 a pixel"),
        "subtraction": Work(
            frame + 6 * pixels,
            14 * pixels,
            "read frame and float mask, write 16 bits; bilinear shift (10), difference (4)",
        ),
        "repeats": Work(2 * frame, 12 * pixels, "read this frame and the one before; hash (6), difference (6)"),
        "vesselness": Work(
            frame,
            2 * pixels + VESSELNESS_CELLS * (2 * 3 * VESSELNESS_RADIUS + 22),
            "read the frame once; cells (2 a pixel), then on 256² of them two passes of a Gaussian of radius 6 "
            "(3 a pair of taps), Hessian and response (22)",
        ),
        "clip": Work(
            clip_in + clip_out,
            CLIP_FRAMES * (CLIP_SIDE**2 * 6 + SIDE * (CLIP_SIDE + SIDE) * clip_taps * 2),
            f"{CLIP_FRAMES} frames of {CLIP_SIDE}² read once, the clip written once; as ingest",
        ),
    }


def convnext(arch: ConvNextArch, element: Element, classes: int = 6) -> Work:
    """One frame of 224²: multiply-adds of every convolution and linear layer, weights read once."""
    side = SIDE // 4
    multiplies, weights = side * side * 16 * CHANNELS * arch.widths[0], 16 * CHANNELS * arch.widths[0]
    for stage, (depth, width) in enumerate(zip(arch.depths, arch.widths, strict=True)):
        if stage:
            side //= 2
            halving = 4 * arch.widths[stage - 1] * width
            multiplies, weights = multiplies + side * side * halving, weights + halving
        block = width * DEPTHWISE_KERNEL**2 + 2 * MLP_RATIO * width * width
        multiplies, weights = multiplies + depth * side * side * block, weights + depth * block
    head = arch.widths[-1] * classes
    return Work(
        CHANNELS * SIDE * SIDE * BYTES[element],
        2 * (multiplies + head),
        "layers counted from depths and widths; weights and input read once",
        (weights + head) * BYTES[element],
    )


# Of the published systems, per call: giga multiply-adds, mega parameters, and where they come from.
_PUBLISHED: Mapping[str, tuple[float, float, str]] = {
    "MViTv2-S clip encoder, 16x224² (DeepCORO-CLIP)": (64.2, 34.2, "64.22 GMAC and 34.23 M counted over its layers"),
    "SigLIP-So400m, 896² (Gemma3 vision)": (2730.0, 416.9, "27 layers of 1152 over 4096 patches, MLP 4304"),
    "Gemma3-4B prefill, 600 tokens": (600 * 3.2, 3880.0, "3.2 GMAC a token; 34 layers of 2560, MLP 10240"),
    "Gemma3-4B decode, one token": (3.2, 3880.0, "every weight read for each token; the KV cache left out"),
    "fVLM visual tower, one organ": (161.8, 95.4, "161.8 GMAC at grid 7x18x11; 92.29 + 3.15 M parameters"),
}


def networks(element: Element) -> dict[str, Work]:
    """Work of one call of each network, its weights and products in `element`."""
    found = {name: convnext(arch, element) for name, arch in ARCHS.items()}
    for name, (giga, mega, formula) in _PUBLISHED.items():
        found[name] = Work(0, round(2e9 * giga), formula, round(mega * 1e6) * BYTES[element])
    return found
