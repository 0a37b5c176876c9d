"""Numbers and questions of a product that a release gives otherwise than our table: --settings, a TOML file.

    runs = 8
    mean = 110.5
    thresholds = { prox_rca_cto = 0.02 }
    [[questions]]                 # in place of the product's
    name = "ifr"
    title = "iFR"
    asks = "ifr"
    form = "amount"

Not for: the numbers themselves (products.py).
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Gt, Le

from cathrt.export.models.study.products import Product
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.models.study.section import StudyQuestion
from cathrt.runtime.outside.input_file import read_input_file
from cathrt.runtime.outside.validation import faults_of


@dataclass(frozen=True, slots=True)
class Settings:
    """What the file may hold; None and empty leave the product's."""

    __pydantic_config__ = {"extra": "forbid", "allow_inf_nan": False}  # noqa: RUF012 (pydantic reads it here)
    runs: Annotated[int, Ge(1), Le(64)] | None = None
    stride: Annotated[int, Ge(1)] | None = None
    mean: float | None = None
    std: Annotated[float, Gt(0.0)] | None = None
    thresholds: dict[str, float] = field(default_factory=dict)
    questions: tuple[StudyQuestion, ...] = ()


def with_settings(product: Product, path: Path | None) -> Product:
    """The product with what the file says. Raises ConfigError for a file that says nothing of it, or of no question."""
    if path is None:
        return product
    found = _read(path)
    numbers = {name: value for name in ("runs", "stride", "mean", "std") if (value := getattr(found, name)) is not None}
    told = {"mean, std" if name in ("mean", "std") else name: f"--settings {path.name}" for name in numbers}
    questions = found.questions or product.questions
    if unknown := sorted(found.thresholds.keys() - {one.name for one in questions}):
        raise ConfigError(
            f"{path}: thresholds of {', '.join(unknown[:5])}, which are no questions of {product.name}: check the names"
        )
    if found.questions or found.thresholds:
        told["questions"] = f"--settings {path.name}"
        questions = tuple(replace(one, threshold=found.thresholds.get(one.name, one.threshold)) for one in questions)
    return replace(product, **numbers, questions=questions, sources={**product.sources, **told})


def _read(path: Path) -> Settings:
    from pydantic import TypeAdapter, ValidationError

    try:
        document = tomllib.loads(read_input_file(path).decode("utf-8"))
        return TypeAdapter(Settings).validate_python(document)
    except OSError as exc:
        raise ConfigError(f"--settings {path}: cannot be read ({exc.strerror}): check the path") from exc
    except ValidationError as exc:
        raise ConfigError(f"--settings {path}: {'; '.join(faults_of(exc)[:10])}: see docs/export.md") from exc
    except ValueError as exc:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise ConfigError(f"--settings {path}: is no TOML ({exc}): see docs/export.md") from exc
