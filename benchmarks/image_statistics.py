"""What a still looks like in numbers, and how far apart two sets of stills are (definitions: docs/phantom.md).

A still is (rows, columns) uint8 as a display shows it; all is measured over its middle three quarters each way.
Not for: where the stills come from (realism.py), or what they show: nothing here knows a heart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.stats import rankdata, skew, wasserstein_distance

Float = NDArray[np.floating[Any]]
Distance = Callable[["Sequence[StillStatistics]", "Sequence[StillStatistics]"], float]

SMALLEST = 256  # below this the lowest band of the power spectrum may hold no frequency at all
BANDS = 0.005 * 10.0 ** (0.2 * np.arange(11))  # cycles per pixel, edges
EDGE_SIGMAS = (1.0, 2.0, 4.0, 8.0)
RIDGE_SIGMAS = (1.5, 3.0, 5.0)
_BACKGROUND_SIGMA = 24.0
_DECADES = np.linspace(-2.0, 2.5, 91)  # edges, log10 of grey levels
_RIDGE_DECADES = np.linspace(0.0, 2.0, 41)  # from one grey level up: below it is noise, not vessel
_RIDGE_SEEN = 4.0
_NOISE_SIGMA = 1.5
_PENALTY = 1.0  # of the logistic regression, on standardised figures


@dataclass(frozen=True, slots=True, eq=False)
class StillStatistics:
    """All that is measured of one still.

    histograms: shares that sum to 1; "grey", "grey windowed", and one per filter and scale.
    figures: one number each, by the name the table prints; the vector that told_apart sees.
    """

    histograms: Mapping[str, Float]
    figures: Mapping[str, float]


def measure_still(still: NDArray[np.uint8]) -> StillStatistics:
    """Measure one still. Raises ValueError for anything but (rows, columns) uint8 of SMALLEST or more each way."""
    if still.ndim != 2 or still.dtype != np.uint8 or min(still.shape) < SMALLEST:
        raise ValueError(f"{still.dtype} {still.shape}: expected (rows, columns) uint8, {SMALLEST} or more each way")
    top, left = still.shape[0] // 8, still.shape[1] // 8
    grey = still[top : still.shape[0] - top, left : still.shape[1] - left].astype(np.float32)
    histograms, figures = _grey(grey)
    for band, power in zip(BANDS, log_power(grey), strict=False):
        figures[f"log10 power from {band:.3f} c/px"] = float(power)
    figures["noise SD"], figures["noise grain"] = noise(grey)
    figures["background SD"] = float(gaussian_filter(grey, _BACKGROUND_SIGMA, mode="nearest").std())
    for sigma in EDGE_SIGMAS:
        gradient, laplacian = edges(grey, sigma)
        histograms[f"gradient {sigma:g}"] = _log_histogram(gradient, _DECADES)
        histograms[f"laplacian {sigma:g}"] = _log_histogram(np.abs(laplacian), _DECADES)
        figures[f"gradient median, sigma {sigma:g}"] = float(np.median(gradient))
        figures[f"gradient 99 %, sigma {sigma:g}"] = float(np.percentile(gradient, 99))
    for sigma in RIDGE_SIGMAS:
        ridge = ridges(grey, sigma)
        histograms[f"ridge {sigma:g}"] = _log_histogram(ridge, _RIDGE_DECADES)
        figures[f"ridge share %, sigma {sigma:g}"] = float(100.0 * (ridge > _RIDGE_SEEN).mean())
        figures[f"ridge 99 %, sigma {sigma:g}"] = float(np.percentile(ridge, 99))
    return StillStatistics(histograms, figures)


def _grey(grey: Float) -> tuple[dict[str, Float], dict[str, float]]:
    """Histograms of the grey levels, as they are and after the still's own 1-99 % window, and their figures."""
    low, high = np.percentile(grey, [1, 99])
    windowed = np.rint(np.clip((grey - low) / max(high - low, 1.0), 0.0, 1.0) * 255.0)
    histograms: dict[str, Float] = {
        name: np.bincount(values.astype(np.int64).ravel(), minlength=256) / values.size
        for name, values in (("grey", grey), ("grey windowed", windowed))
    }
    figures = {
        "grey mean": float(grey.mean()),
        "grey SD": float(grey.std()),
        "grey 1 %": float(low),
        "grey 99 %": float(high),
        "grey skewness": float(skew(grey, axis=None)) if high > low else 0.0,
        "clipped %": float(100.0 * ((grey == 0) | (grey == 255)).mean()),
    }
    return histograms, figures


def log_power(grey: Float) -> Float:
    """log10 of the power spectrum averaged over each band of BANDS, grey levels squared: white noise of SD 1 is 0."""
    rows, columns = grey.shape
    window = np.outer(np.hanning(rows), np.hanning(columns))
    power = np.abs(np.fft.rfft2((grey - grey.mean()) * window)) ** 2 / (window**2).sum()
    frequency = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns))
    band = np.searchsorted(BANDS, frequency.ravel(), side="right")
    total, count = (np.bincount(band, weights, len(BANDS) + 1) for weights in (power.ravel(), np.ones(power.size)))
    return np.asarray(np.log10(total[1:-1] / count[1:-1] + 1e-6))


def noise(grey: Float) -> tuple[float, float]:
    """SD of what a Gaussian leaves in the flattest quarter, and its grain: the correlation of neighbours in it.

    The SD is scaled so that white noise gives its own; noise that was smoothed reads lower, its grain higher.
    """
    impulse = np.zeros((33, 33))
    impulse[16, 16] = 1.0
    gain = float(np.linalg.norm(impulse - gaussian_filter(impulse, _NOISE_SIGMA)))
    residual = grey - gaussian_filter(grey, _NOISE_SIGMA, mode="nearest")
    slope, _ = edges(grey, 4.0)
    smooth = gaussian_filter(grey, 4.0, mode="nearest")
    inside = (smooth > 2.0) & (smooth < 253.0)  # where a display clips there is no noise to see
    if inside.mean() < 0.05:
        return 0.0, 0.0
    flat = inside & (slope <= np.percentile(slope[inside], 25))
    spread = float(residual[flat].std())
    pairs = [
        (residual[:, :-1] * residual[:, 1:])[flat[:, :-1] & flat[:, 1:]],
        (residual[:-1] * residual[1:])[flat[:-1] & flat[1:]],
    ]
    return spread / gain, float(np.concatenate(pairs).mean() / max(spread**2, 1e-9))


def edges(grey: Float, sigma: float) -> tuple[Float, Float]:
    """Gradient magnitude and Laplacian at this scale, in grey levels per sigma and per sigma squared."""
    smooth = gaussian_filter(grey, sigma, mode="nearest")
    down, across = np.gradient(smooth)
    laplacian = np.gradient(down, axis=0) + np.gradient(across, axis=1)
    return np.hypot(down, across) * np.float32(sigma), laplacian * np.float32(sigma**2)


def ridges(grey: Float, sigma: float) -> Float:
    """How strongly each pixel lies on a dark line of this scale, grey levels: the larger eigenvalue of the Hessian
    times sigma squared, less the size of the other one, so that a line answers and a blob does not. Never below 0."""
    down, across = np.gradient(gaussian_filter(grey, sigma, mode="nearest"))
    (dd, da), aa = np.gradient(down), np.gradient(across, axis=1)
    middle, half = 0.5 * (dd + aa), np.hypot(0.5 * (dd - aa), da)
    return np.asarray(np.maximum(middle + half - np.abs(middle - half), 0.0) * np.float32(sigma**2))


def _log_histogram(values: Float, decades: Float) -> Float:
    """Shares of log10(values) per bin; what lies beyond the ends counts in the end bins."""
    logs = np.log10(np.maximum(values, 1e-6))
    return np.histogram(np.clip(logs, decades[0], decades[-1]), decades)[0] / values.size


def _pooled_distance(
    real: Sequence[StillStatistics], other: Sequence[StillStatistics], name: str, step: float
) -> float:
    """Wasserstein-1 between the mean histograms of two sets; step: width of one bin."""
    mine, theirs = (np.mean([still.histograms[name] for still in stills], axis=0) for stills in (real, other))
    return float(np.abs(np.cumsum(mine - theirs)).sum() * step)


def column(stills: Sequence[StillStatistics], name: str) -> Float:
    """One figure of every still, (stills,)."""
    return np.array([still.figures[name] for still in stills])


def _power_distance(real: Sequence[StillStatistics], other: Sequence[StillStatistics]) -> float:
    names = [name for name in real[0].figures if name.startswith("log10 power")]
    gaps = [np.median(column(real, name)) - np.median(column(other, name)) for name in names]
    return float(np.sqrt(np.mean(np.square(gaps))))


def _mean_pooled(family: str, sigmas: Sequence[float], step: float) -> Distance:
    return lambda real, other: float(
        np.mean([_pooled_distance(real, other, f"{kind} {s:g}", step) for kind in family.split("|") for s in sigmas])
    )


DISTANCES: dict[str, Distance] = {
    "histogram_distance": lambda real, other: _pooled_distance(real, other, "grey windowed", 1 / 255),
    "histogram_unwindowed_distance": lambda real, other: _pooled_distance(real, other, "grey", 1 / 255),
    "noise_power_distance": _power_distance,
    "noise_sd_distance": lambda real, other: float(
        wasserstein_distance(*(np.log10(np.maximum(column(stills, "noise SD"), 1e-3)) for stills in (real, other)))
    ),
    "edge_spectrum_distance": _mean_pooled("gradient|laplacian", EDGE_SIGMAS, float(_DECADES[1] - _DECADES[0])),
    "background_distance": lambda real, other: float(
        wasserstein_distance(column(real, "background SD"), column(other, "background SD"))
    ),
    "vessel_distance": _mean_pooled("ridge", RIDGE_SIGMAS, float(_RIDGE_DECADES[1] - _RIDGE_DECADES[0])),
}


def floor(real: Sequence[StillStatistics], distance: Distance, splits: int = 20) -> float:
    """The distance that chance makes: median over `splits` random halvings of the one set."""
    halves = [np.random.default_rng(seed).permutation(len(real)) for seed in range(splits)]
    middle = len(real) // 2
    return float(
        np.median([distance([real[i] for i in half[:middle]], [real[i] for i in half[middle:]]) for half in halves])
    )


def share_higher(real: Float, other: Float) -> float:
    """How often one of `other` lies above one of `real`, ties half: 0.5 where they overlap, the area under the ROC."""
    ranks = rankdata(np.concatenate([real, other]))[len(real) :].sum()
    return float((ranks - len(other) * (len(other) + 1) / 2) / (len(real) * len(other)))


def told_apart(real: Sequence[StillStatistics], other: Sequence[StillStatistics], shuffles: int = 5) -> float:
    """Balanced accuracy of logistic regression over all figures and their squares, 5-fold, mean over shuffles.

    0.5: whoever sees these figures has to guess. The squares see a set that merely spreads wider.
    """
    names = list(real[0].figures)
    table = np.array([[still.figures[name] for name in names] for still in (*real, *other)])
    truth = np.repeat([0.0, 1.0], [len(real), len(other)])
    scores = []
    for seed in range(shuffles):
        rng = np.random.default_rng(seed)
        fold = np.empty(len(truth), dtype=int)
        for side in (truth == 0, truth == 1):  # each fold holds both in the same proportion
            fold[side] = rng.permutation(np.arange(side.sum()) % 5)
        right = np.zeros(len(truth), dtype=bool)
        for number in range(5):
            train, held = fold != number, fold == number
            right[held] = (_logit(table[train], truth[train], table[held]) > 0.0) == (truth[held] == 1)
        scores.append(0.5 * (right[truth == 0].mean() + right[truth == 1].mean()))
    return float(np.mean(scores))


def _logit(train: Float, truth: Float, held: Float) -> Float:
    """Fit by Newton's method, both classes weighing the same; returns the logit of each held-out row."""
    centre, scale = train.mean(axis=0), train.std(axis=0) + 1e-9

    def spread(rows: Float) -> Float:
        z = np.clip((rows - centre) / scale, -5.0, 5.0)
        return np.hstack([np.ones((len(z), 1)), z, z**2 - 1.0])

    x = spread(train)
    weight = np.where(truth == 1, 0.5 / truth.mean(), 0.5 / (1.0 - truth.mean()))
    penalty = np.full(x.shape[1], _PENALTY)
    penalty[0] = 1e-6
    theta = np.zeros(x.shape[1])
    for _ in range(15):
        chance = 1.0 / (1.0 + np.exp(-np.clip(x @ theta, -30.0, 30.0)))
        slope = x.T @ (weight * (chance - truth)) + penalty * theta
        curve = (x * (weight * chance * (1.0 - chance))[:, None]).T @ x + np.diag(penalty)
        step = np.linalg.solve(curve, slope)
        theta -= step
        if np.abs(step).max() < 1e-3:
            break
    return np.asarray(spread(held) @ theta)
