"""Reading a JSON table of settings: a value of the right type, its default, or a refusal that says where.

Not for: what the settings mean (config.py, adapter_settings.py).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cathrt.runtime.errors import ConfigError
from cathrt.runtime.sources.input_names import shown_name
from cathrt.runtime.sources.syntax import printable

_MOST_BYTES = 1 << 26  # an index of a large model has a few MB


def read_json_table(path: Path) -> dict[str, Any]:
    """A file that holds one JSON object. Raises ConfigError."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ConfigError(f"{shown_name(path)}: {path.stat().st_size} bytes: expected a small JSON file: check it")
        document = json.loads(path.read_bytes())
    except FileNotFoundError as exc:
        raise ConfigError(f"{shown_name(path)}: not in the folder: give the folder as it was saved, with it") from exc
    except OSError as exc:
        raise ConfigError(f"{shown_name(path)}: cannot be read ({exc.strerror}): check the file") from exc
    except (ValueError, RecursionError) as exc:
        raise ConfigError(f"{shown_name(path)}: not JSON ({printable(str(exc), 120)}): fetch it again") from exc
    if not isinstance(document, dict):
        raise ConfigError(f"{shown_name(path)}: expected a JSON object: fetch it again")
    return document


@dataclass(frozen=True, slots=True)
class ConfigTable:
    """where: for messages, such as config.json or text_config. A value that is null counts as not there."""

    where: str
    values: Mapping[str, Any]

    def table(self, key: str) -> ConfigTable:
        value = self.values.get(key)
        if value is not None and not isinstance(value, Mapping):
            raise self._wrong(key, value, "an object")
        return ConfigTable(f"{self.where}: {key}", value or {})

    def whole(self, key: str, default: int) -> int:
        """A whole number from 1."""
        value = self._value(key, default)
        if not _is_whole(value) or value < 1:
            raise self._wrong(key, value, "a whole number from 1")
        return int(value)

    def number(self, key: str, default: float) -> float:
        """A finite number above 0."""
        value = self._value(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value > 0):
            raise self._wrong(key, value, "a number above 0")
        return float(value)

    def truth(self, key: str, default: bool) -> bool:
        value = self._value(key, default)
        if not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return value

    def text(self, key: str, default: str) -> str:
        value = self._value(key, default)
        if not isinstance(value, str):
            raise self._wrong(key, value, "a text")
        return printable(value, 80)

    def square(self, key: str, default: int) -> int:
        """A length, or a list of two equal ones."""
        value = self._value(key, default)
        both = value if isinstance(value, list) and len(value) == 2 else [value, value]
        if not _is_whole(both[0]) or both[0] != both[1] or both[0] < 1:
            raise self._wrong(key, value, "one length for both sides")
        return int(both[0])

    def token(self, keys: Sequence[str], default: int) -> int:
        """The first of these keys that is there: a token's id."""
        key = next((key for key in keys if self.values.get(key) is not None), keys[0])
        value = self._value(key, default)
        if not _is_whole(value) or value < 0:
            raise self._wrong(key, value, "a token's id")
        return int(value)

    def tokens(self, key: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """One token's id or a list of them."""
        value = self._value(key, list(default))
        ids = value if isinstance(value, list) else [value]
        if not ids or any(not _is_whole(one) or one < 0 for one in ids):
            raise self._wrong(key, value, "a token's id or a list of them")
        return tuple(dict.fromkeys(int(one) for one in ids))

    def refuse(self, key: str, allowed: tuple[Any, ...], reason: str) -> None:
        """Raises ConfigError where the value is none of these."""
        value = self.values.get(key)
        if not any(value is one or (type(value) is type(one) and value == one) for one in allowed):
            raise self._wrong(key, value, " or ".join(json.dumps(one) for one in allowed if one is not None), reason)

    def _value(self, key: str, default: Any) -> Any:
        value = self.values.get(key)
        return default if value is None else value

    def _wrong(self, key: str, value: Any, expected: str, reason: str = "check the file") -> ConfigError:
        found = printable(json.dumps(value, default=str), 80)
        return ConfigError(f"{self.where}: {key}: found {found}, expected {expected or 'nothing'}: {reason}")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
