"""What the phantom does to every pixel: chords through tubes, shifts, iodine, noise, low-pass, blur.

Arrays are C-contiguous. All raise ValueError for shapes, types and numbers that do not fit, and TypeError where what is
filled is read-only. The same arguments give the same bytes on every IEEE machine, whatever compiler, instruction set or
C library: the only library function used is the square root, multiply-adds are not contracted, and no sum's order
depends on the width of vectors. No threads are started; the interpreter lock is released meanwhile.
"""

import numpy as np
from numpy.typing import NDArray

def add_chords(
    image: NDArray[np.float32],
    points: NDArray[np.float64],
    seen: NDArray[np.float64],
    radii: NDArray[np.float64],
    joined: NDArray[np.bool_],
    weight: NDArray[np.float64] | None,
    blur_variance: NDArray[np.float64],
) -> None:
    """Add the chord length, mm, of each pixel's ray through the tubes to image, (rows, columns).

    points: (N, 3) mm. seen: (N, 3), where each falls on the image: column, row, and pixels per mm there. radii: (N,)
    mm. joined: (N - 1,), link k joins point k and k + 1. weight: (N,) factor of the chord, None for 1; links whose two
    weights sum to at most 1e-3 cost nothing. blur_variance: (N,) pixel² across the tube.
    """

def shift_layers(
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    share: float,
    margin: int,
    row_shift: float,
    column_shift: float,
    out: NDArray[np.float32],
) -> None:
    """Add first * (1 - share) + second * share, without its margins, to out, its content moved down by row_shift and
    right by column_shift pixels (bilinear).

    first, second: (rows + 2 margin, columns + 2 margin), may be the same array: with share 0 or 1 only one is read.
    out: (rows, columns). Shifts beyond the margin stop there.
    """

def add_noise(
    signal: NDArray[np.float32], per_photon: float, electronic_square: float, noise_share: float, seed: int
) -> None:
    """Add Gaussian noise of SD sqrt(signal * per_photon + electronic_square) * noise_share to signal, (rows, columns).

    seed: 0 to 2**64 - 1. A pixel's draw depends on the seed and its place in the array alone. Largest: 6.66 SD.
    Where the variance is negative there is no noise.
    """

def transmit(
    primary: NDArray[np.float32], path: NDArray[np.float32], mu: NDArray[np.float64], share: NDArray[np.float64]
) -> None:
    """primary *= sum of share[k] * exp(-mu[k] * path) over the bins k of the beam, where path is above 1e-3 mm.

    primary, path: (rows, columns), path in mm. mu: (bins,) per mm. share: (bins,). Within 1e-5 of the sum.
    """

def low_pass(
    image: NDArray[np.float32], row_spread: NDArray[np.float32], column_spread: NDArray[np.float32], block: int
) -> NDArray[np.float32]:
    """row_spread @ (means of the image's blocks of block x block pixels) @ column_spread. A new array.

    image: (rows, columns). row_spread: (rows, ceil(rows / block)). column_spread: (ceil(columns / block), columns).
    Blocks that stick out repeat the image's edge. Uses no BLAS, whose threads stall each other when several processes
    draw at once.
    """

def separable_blur3(image: NDArray[np.float32], neighbour: float, reach: int) -> NDArray[np.float32]:
    """The image, (rows, columns), blurred along both axes by weight neighbour for the pixels `reach` away on each side
    and 1 - 2 neighbour for the middle; edges repeat. A new array. neighbour: 0 to 0.5. reach: 1 to 1024 pixels.
    """
