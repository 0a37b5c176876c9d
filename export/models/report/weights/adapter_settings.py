"""A PEFT adapter_config.json: rank and scale of each module. What would give another network than the merged one, or
is not known here, is refused by name. Not for: the adapter's tensors (adapter.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cathrt.export.models.report.weights.config_table import ConfigTable
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.sources.syntax import printable

ADAPTER_CONFIG = "adapter_config.json"

# Settings that say how it was trained, or which modules; the tensors themselves say what changed.
_TRAINING = {
    "alpha_pattern", "auto_mapping", "base_model_name_or_path", "bias", "corda_config", "ensure_weight_tying",
    "eva_config", "exclude_modules", "fan_in_fan_out", "inference_mode", "init_lora_weights", "layers_pattern",
    "layers_to_transform", "lora_alpha", "lora_dropout", "lora_ga_config", "loftq_config", "megatron_core",
    "modules_to_save", "peft_type", "peft_version", "qalora_group_size", "r", "rank_pattern", "revision",
    "runtime_config", "target_modules", "target_parameters", "task_type", "use_dora", "use_rslora",
}  # fmt: skip
# Starts that leave the base's weights as they are; others train against a changed base, which is not in the folder.
_STARTS = (None, True, False, "gaussian", "eva", "orthogonal", "mica")
_SAVE_PLAIN = (
    "PEFT changed the base's weights before this training: save it once more with "
    "save_pretrained(..., path_initial_model_for_weight_conversion=...), which makes a plain adapter of it"
)


@dataclass(frozen=True, slots=True)
class AdapterSettings:
    """dora: each row's length is a weight of its own. targets: what was to be trained, as PEFT was asked; empty where
    a pattern was given. saved_modules: replaced as a whole. tying: the output layer follows the embedding."""

    rank: int
    alpha: float
    ranks: Mapping[str, int]
    alphas: Mapping[str, float]
    rslora: bool
    dora: bool
    targets: tuple[str, ...]
    parameters: tuple[str, ...]
    saved_modules: tuple[str, ...]
    tying: bool

    def rank_of(self, module: str) -> int:
        """module: its path in the model that was trained, which patterns are matched with, as PEFT does."""
        return self.ranks.get(_pattern(self.ranks, module), self.rank)

    def scale_of(self, module: str) -> float:
        rank = self.rank_of(module)
        alpha = self.alphas.get(_pattern(self.alphas, module), self.alpha)
        return alpha / (rank**0.5 if self.rslora else rank)

    def is_parameter(self, path: str) -> bool:
        """Whether PEFT trained this parameter by itself, not as the weight of a module."""
        return any(path == one or path.endswith("." + one) for one in self.parameters)

    def saved_by(self, path: str) -> tuple[str, ...]:
        """The entries of saved_modules that made PEFT train this weight as a whole."""
        steps = path.split(".")
        modules = [".".join(steps[: count + 1]) for count in range(len(steps) - 1)]
        return tuple(one for one in self.saved_modules if any(module.endswith(one) for module in modules))


def settings_from_config(document: Mapping[str, Any]) -> AdapterSettings:
    """Raises ConfigError where the adapter is of another kind, or a setting is not known."""
    table = ConfigTable(ADAPTER_CONFIG, document)
    table.refuse("peft_type", ("LORA",), "cathrt merges LoRA, rsLoRA and DoRA alone")
    table.refuse("bias", (None, "none"), "cathrt does not merge trained biases: train with bias none")
    table.refuse("fan_in_fan_out", (None, False), "Gemma3's layers are stored the other way round")
    table.refuse("init_lora_weights", _STARTS, _SAVE_PLAIN)
    if strange := [
        key for key, value in document.items() if key not in _TRAINING and value not in (None, False, [], {})
    ]:
        raise ConfigError(
            f"{ADAPTER_CONFIG}: {', '.join(printable(key, 60) for key in strange)}: cathrt does not know how to merge "
            "an adapter with these settings: merge it with PEFT (merge_and_unload), save the model and give that as "
            "the base"
        )
    ranks = table.table("rank_pattern")
    alphas = table.table("alpha_pattern")
    return AdapterSettings(
        rank=table.whole("r", 8),
        alpha=table.number("lora_alpha", 8.0),
        ranks={_known(pattern): ranks.whole(pattern, 8) for pattern in ranks.values},
        alphas={_known(pattern): alphas.number(pattern, 8.0) for pattern in alphas.values},
        rslora=table.truth("use_rslora", False),
        dora=table.truth("use_dora", False),
        targets=_texts(table, "target_modules"),
        parameters=_texts(table, "target_parameters"),
        saved_modules=_texts(table, "modules_to_save"),
        tying=table.truth("ensure_weight_tying", False),
    )


def _pattern(patterns: Mapping[str, object], module: str) -> str:
    """The first pattern that fits the path's end; the path where none does."""
    return next((one for one in patterns if re.match(rf"(.*\.)?({one})$", module)), module)


def _known(pattern: str) -> str:
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as exc:
        raise ConfigError(f"{ADAPTER_CONFIG}: pattern {printable(pattern, 80)}: {exc}: check the file") from exc
    return pattern


def _texts(table: ConfigTable, key: str) -> tuple[str, ...]:
    """A list of names; a pattern for all of them, which is one text, gives none."""
    value = table.values.get(key)
    if value is None or isinstance(value, str):
        return ()
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ConfigError(f"{ADAPTER_CONFIG}: {key}: expected a list of names: check the file")
    return tuple(value)
