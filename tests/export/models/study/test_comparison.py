"""What is compared is told in clinical terms, and each limit of the gate is a limit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from cathrt.export.models.study.comparison import Comparison, compared
from cathrt.export.models.study.gate import GATES, failures_of
from cathrt.runtime.errors import EngineError
from cathrt.runtime.models.study.answers import logit
from cathrt.runtime.models.study.section import StudyClip, StudyQuestion, StudySection

Float32 = NDArray[np.float32]
SECTION = StudySection(
    product="made up",
    clip=StudyClip(16, 224, 224, 1, 122.0, 28.8),
    runs=4,
    empty="hidden",
    views=0,
    questions=(
        StudyQuestion("ef", "EF", "ef", "amount", low=0.0, high=50.0, unit="%"),
        StudyQuestion("cto", "CTO", "cto", "probability", threshold=0.02),
        StudyQuestion("risk", "Risk", "risk", "category", categories=("low", "middle", "high")),
    ),
)
FEATURES = np.linspace(-1, 1, 24, dtype=np.float32).reshape(2, 3, 4)
AT = logit(0.02)


def study(ef: float = 30.0, cto: float = AT - 0.5, risk: tuple[float, float, float] = (1.0, 2.0, 0.0)) -> Float32:
    return np.array([[ef, cto, *risk]], np.float32)


def of(*pairs: tuple[Float32, Float32], features: Float32 = FEATURES) -> Comparison:
    return compared(SECTION, (FEATURES, features), ([one for one, _ in pairs], [two for _, two in pairs]))


def test_equal_answers_differ_in_nothing() -> None:
    found = of((study(), study()), (study(ef=80.0), study(ef=90.0)))
    assert (found.flips, found.logit_error, found.percent_error) == ((), 0.0, 0.0)
    assert str(found.same).startswith("4 of 4")
    assert not any(failures_of(found, gate) for gate in GATES.values())


def test_a_call_that_flips_is_told_with_its_margin() -> None:
    found = of((study(), study()), (study(cto=AT - 0.04), study(cto=AT + 0.01)), (study(), study(risk=(1.0, 1.4, 1.5))))
    assert list(map(str, found.flips)) == [
        "risk, study 2: middle → high (margin 1)",
        "cto, study 1: negative → positive (margin 0.04)",
    ]
    assert (found.same.hits, found.same.of) == (4, 6)  # type: ignore[union-attr]
    cto = found.questions[1]
    assert (cto.called, len(cto.flips)) == (3, 1)
    assert cto.nearest == pytest.approx(0.04, abs=1e-5)
    assert cto.error == pytest.approx(0.05, abs=1e-5)


def test_amounts_differ_in_percent_of_their_bounds() -> None:
    found = of((study(ef=30.0), study(ef=31.0)), (study(ef=20.0), study(ef=20.0)))
    assert found.percent_error == pytest.approx(1.0)
    assert found.logit_error == 0.0


def test_features_differ_relative_to_the_largest_and_to_their_size() -> None:
    found = of((study(), study()), features=FEATURES + np.float32(0.01))
    assert found.feature_error == pytest.approx(0.01, rel=1e-3)
    assert found.feature_noise == pytest.approx(0.01 / np.sqrt(np.square(FEATURES).mean()), rel=1e-3)


def test_an_engine_that_gives_no_numbers_fails() -> None:
    found = of((study(), study()), (study(), study(cto=np.nan)))
    assert found.not_finite == 1
    assert "finite outputs: found 1 studies with NaN or infinity" in str(failures_of(found, GATES["int8"])[0])
    nothing = of((study(), study()), features=np.full_like(FEATURES, np.nan))
    assert len(failures_of(nothing, GATES["int8"])) == 2


def test_a_network_that_gives_no_numbers_is_no_reference() -> None:
    with pytest.raises(EngineError, match="the float32 network gives NaN or infinity"):
        of((study(cto=np.nan), study()))


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"calls": 0.9}, "calls"),
        ({"flip_margin": 0.01}, "margin of a flipped call"),
        ({"logit_error": 0.01}, "logit error"),
        ({"percent_error": 0.5}, "mean error of an amount, percent"),
        ({"feature_error": 1e-3}, "largest feature error"),
        ({"feature_noise": 1e-3}, "noise of the features"),
    ],
)
def test_each_limit_fails_alone(changes: dict[str, float], what: str) -> None:
    found = of((study(ef=30.0, cto=AT - 0.04), study(ef=30.5, cto=AT + 0.01)), features=FEATURES + np.float32(0.01))
    wide = replace(GATES["int8"], calls=0.0, flip_margin=1.0, logit_error=1.0, percent_error=10.0)
    assert failures_of(found, wide) == ()
    (failure,) = failures_of(found, replace(wide, **changes))
    assert failure.what.startswith(what)
    assert not failure.too_few


def test_each_precision_is_held_closer_than_the_next() -> None:
    order = [GATES[name] for name in ("float32", "float16", "bfloat16", "int8")]
    for name in ("flip_margin", "logit_error", "percent_error", "feature_error", "feature_noise"):
        assert [getattr(one, name) for one in order] == sorted(getattr(one, name) for one in order)
