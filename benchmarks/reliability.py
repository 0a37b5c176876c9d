"""The reliability plot: how often answers were right against the score they were given with, and how many they were.

matplotlib draws it without a display (extra `bench`). Not for: computing bins (keyframe/demo/evaluate.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cathrt.export.models.keyframe.demo.evaluate import CALIBRATION_BINS, CalibrationBin, calibration_error
from cathrt.runtime.errors import ConfigError, SinkError

_COLOURS = {"real": "#b2182b", "phantom": "#2166ac"}  # told apart in grey and by colour-blind readers
_TITLES = {"real": "real stills: side", "phantom": "phantom: likeliest class"}


def require_matplotlib() -> None:
    """Raises ConfigError where the plot could not be drawn, before the work and not after it."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as exc:
        raise ConfigError(f"--plot: {exc}: pip install '.[bench]', or leave --plot out") from exc


def write_plot(path: Path, reliability: Mapping[str, tuple[CalibrationBin, ...]], model_sha256: str) -> None:
    """Write a PNG. reliability: bins by "real" or "phantom", at least one. Raises SinkError if it cannot be written."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, 6.4), layout="constrained")
    curve, amount = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    curve.plot((0, 1), (0, 1), color="0.6", linewidth=1, label="as often right as said")
    for name, bins in reliability.items():
        scores, label = [entry.score for entry in bins], f"{_TITLES[name]}, error {calibration_error(bins):.3f}"
        curve.plot(
            scores,
            [entry.right for entry in bins],
            "o-",
            color=_COLOURS[name],
            markersize=4,
            linewidth=0.8,
            label=label,
        )
        amount.plot(scores, [entry.answers for entry in bins], "o-", color=_COLOURS[name], markersize=4)
    curve.set(xlim=(0, 1.02), ylim=(-0.03, 1.03), ylabel="share right")
    curve.set_title(f"model {model_sha256[:12]}, {CALIBRATION_BINS} bins", fontsize="medium")
    curve.legend(loc="upper left", frameon=False)
    amount.set(xlabel="score", ylabel="answers", yscale="log")
    try:
        figure.savefig(path, format="png", dpi=120)
    except OSError as exc:
        raise SinkError(f"{path}: plot not written ({exc.strerror}): give a file in a folder that exists") from exc
