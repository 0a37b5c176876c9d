"""Intervals of known value."""

from __future__ import annotations

import numpy as np
import pytest

from cathrt.export.models.keyframe.scores import f1_macro_of_counts
from cathrt.export.qualify.intervals import bootstrap, wilson


def test_wilson_gives_the_published_intervals() -> None:
    # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3
    for hits, of, expected in ((81, 263, (0.2553, 0.3662)), (15, 148, (0.0624, 0.1605)), (0, 20, (0.0, 0.1611))):
        assert wilson(hits, of) == pytest.approx(expected, abs=5e-5)
    with pytest.raises(ValueError, match="expected at least one trial"):
        wilson(0, 0)


def test_the_bootstrap_gives_the_same_interval_again_and_holds_the_figure() -> None:
    counts = np.array([[[1, 0, 0], [0, 0, 0]]] * 25 + [[[0, 0, 0], [0, 1, 0]]] * 25 + [[[0, 0, 1], [0, 0, 0]]] * 10)
    low, high = bootstrap(counts, f1_macro_of_counts)
    assert (low, high) == bootstrap(counts, f1_macro_of_counts)
    assert low < f1_macro_of_counts(counts.sum(axis=0)) < high
    assert 0.05 < high - low < 0.25
