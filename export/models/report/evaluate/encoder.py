"""Any image-text encoder as a folder: encoder.json, two ONNX networks and a tokenizer.json.

encoder.json says what the networks are fed; _Settings below is its schema, docs/status.md has an example. They run on
ONNX Runtime on the CPU. Not for: what is made of the embeddings (vlscore.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Le
from numpy.typing import NDArray

from cathrt.export.models.report.evaluate.vlscore import LARGEST_AREA, Embedding
from cathrt.runtime.errors import ConfigError, EngineError
from cathrt.runtime.outside.input_file import read_input_file
from cathrt.runtime.outside.validation import faults_of

SETTINGS = "encoder.json"
_STRICT = {"extra": "forbid", "strict": True, "allow_inf_nan": False}


@dataclass(frozen=True, slots=True)
class _Picture:
    """The picture network. input: (1, 3, side, side) float32: grey in [0, 1], three times, less mean, by std."""

    __pydantic_config__ = _STRICT
    file: str
    input: str
    output: str
    side: Annotated[int, Ge(1), Le(4096)]
    mean: tuple[float, float, float]
    std: tuple[Annotated[float, Gt(0.0)], Annotated[float, Gt(0.0)], Annotated[float, Gt(0.0)]]


@dataclass(frozen=True, slots=True)
class _Text:
    """The text network. ids, mask: its inputs, (1, tokens) int64; mask: None where it takes none.

    length: every text is padded and cut to so many tokens; None: as long as it is. pad: id that pads.
    """

    __pydantic_config__ = _STRICT
    file: str
    ids: str
    output: str
    tokenizer: str
    mask: str | None = None
    length: Annotated[int, Ge(1), Le(1 << 16)] | None = None
    pad: Annotated[int, Ge(0)] = 0


@dataclass(frozen=True, slots=True)
class _Settings:
    """encoder.json. zero_area: the triangle's area from which on VLScore is 0."""

    __pydantic_config__ = _STRICT
    picture: _Picture
    text: _Text
    zero_area: Annotated[float, Gt(0.0)] = LARGEST_AREA


class Encoder:
    """Both networks, opened. An embedding is the mean over all but the last dimension of what a network gives."""

    def __init__(self, folder: Path, settings: _Settings, tokenizer: Any) -> None:
        self._settings, self._tokenizer = settings, tokenizer
        self._picture = _opened(folder / settings.picture.file)
        self._text = _opened(folder / settings.text.file)
        self.zero_area = settings.zero_area

    def picture(self, path: Path) -> Embedding:
        """Of a picture file, resized to a square without regard to its aspect."""
        own = self._settings.picture
        grey = _grey(path, own.side)
        mean, std = (np.array(values, np.float32).reshape(3, 1, 1) for values in (own.mean, own.std))
        return _embedding(self._picture, own.output, {own.input: ((grey - mean) / std)[None].astype(np.float32)})

    def text(self, text: str) -> Embedding:
        """Of a text in any language that the tokenizer knows."""
        own = self._settings.text
        ids = list(self._tokenizer.encode(text).ids)
        if not ids:
            raise ConfigError(f"{own.tokenizer}: an empty text, expected at least one token: give every report a text")
        ids, seen = _to_length(ids, own.length, own.pad)
        feeds = {own.ids: np.array([ids], np.int64)}
        if own.mask is not None:
            feeds[own.mask] = np.array([seen], np.int64)
        return _embedding(self._text, own.output, feeds)


def open_encoder(folder: Path) -> Encoder:
    """Read encoder.json and open what it names. Raises ConfigError and EngineError."""
    from pydantic import TypeAdapter, ValidationError

    try:
        settings = TypeAdapter(_Settings).validate_json(read_input_file(folder / SETTINGS))
    except OSError as exc:
        raise ConfigError(f"{folder / SETTINGS}: cannot be read ({exc.strerror}): see docs/status.md") from exc
    except ValidationError as exc:
        raise ConfigError(f"{folder / SETTINGS}: {'; '.join(faults_of(exc))}: see docs/status.md") from exc
    return Encoder(folder, settings, _tokenizer(folder / settings.text.tokenizer))


def _tokenizer(path: Path) -> Any:
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_buffer(read_input_file(path, max_bytes=256 << 20))
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read ({exc.strerror}): put a tokenizer.json there") from exc
    except ValueError as exc:
        raise ConfigError(f"{path}: not a tokenizer.json of Hugging Face tokenizers ({exc})") from exc


def _opened(path: Path) -> Any:
    import onnxruntime as ort

    from cathrt.runtime.engines.onnxruntime_session import ERRORS

    if not path.is_file():
        raise ConfigError(f"{path}: no such file: {SETTINGS} names it")
    options = ort.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except ERRORS as exc:
        raise EngineError(f"{path}: ONNX Runtime cannot open it: {exc}") from exc


def _embedding(session: Any, output: str, feeds: Mapping[str, NDArray[Any]]) -> Embedding:
    from cathrt.runtime.engines.onnxruntime_session import ERRORS

    try:
        (found,) = session.run([output], dict(feeds))
    except (*ERRORS, ValueError) as exc:
        raise EngineError(f"the encoder: inference failed: {exc}: compare {SETTINGS} with its networks") from exc
    values = np.asarray(found, np.float64)
    return np.asarray(values.reshape(-1, values.shape[-1]).mean(axis=0))


def _to_length(ids: list[int], length: int | None, pad: int) -> tuple[list[int], list[int]]:
    """The ids, and a mask that is 1 where they are a text's own."""
    if length is None:
        return ids, [1] * len(ids)
    kept = ids[:length]
    return kept + [pad] * (length - len(kept)), [1] * len(kept) + [0] * (length - len(kept))


def _grey(path: Path, side: int) -> NDArray[np.float32]:
    """(3, side, side) in [0, 1]."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            small = image.convert("L").resize((side, side), Image.Resampling.BILINEAR)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as exc:
        raise ConfigError(f"{path}: cannot be read as a picture ({exc}): give PNG or JPEG") from exc
    return np.repeat(np.asarray(small, np.float32)[None] / 255.0, 3, axis=0)
