"""The two rotary embeddings of a Gemma3 text config: rope_parameters of transformers 5, rope_theta and others before.

Both sets of keys may stand in one file; which one counts is as in transformers. Not for: computing them (graphs/).
"""

from __future__ import annotations

from cathrt.export.models.report.shape import Rotary
from cathrt.export.models.report.weights.config_table import ConfigTable
from cathrt.runtime.errors import ConfigError

_KNOWN = {"rope_type", "type", "rope_theta", "factor"}
_GLOBAL_THETA, _SLIDING_THETA = 1_000_000.0, 10_000.0


def rotaries_from_config(text: ConfigTable) -> tuple[Rotary, Rotary]:
    """(of global layers, of sliding layers). Raises ConfigError for other kinds than default and linear."""
    both = text.table("rope_parameters")
    if strange := sorted(both.values.keys() - {"full_attention", "sliding_attention"}):
        raise ConfigError(
            f"{both.where}: found {', '.join(strange)}, expected full_attention and sliding_attention: check the file"
        )
    of_global = both.table("full_attention")
    scaling = text.table("rope_scaling").values
    of_global = ConfigTable(of_global.where, {**of_global.values, **scaling})
    return (
        _rotary(of_global, text.number("rope_theta", _GLOBAL_THETA)),
        _rotary(both.table("sliding_attention"), text.number("rope_local_base_freq", _SLIDING_THETA)),
    )


def _rotary(table: ConfigTable, theta: float) -> Rotary:
    kind = table.text("rope_type", table.text("type", "default"))
    strange = sorted(key for key, value in table.values.items() if key not in _KNOWN and value is not None)
    if kind not in ("default", "linear") or strange:
        raise ConfigError(
            f"{table.where}: found rope_type {kind}{' with ' + ', '.join(strange) if strange else ''}, expected "
            "default, or linear with its factor: cathrt computes no other rotary embedding"
        )
    # Linear without a factor is an error, and default with one ignores it, both as in transformers.
    if kind == "linear" and table.values.get("factor") is None:
        raise ConfigError(f"{table.where}: rope_type linear without a factor: check the file")
    factor = table.number("factor", 1.0) if kind == "linear" else 1.0
    return Rotary(table.number("rope_theta", theta), factor)
