"""Which safetensors files a checkpoint's folder holds: one, or parts with an index that fits them.

Not for: what is in the files (stored.py).
"""

from __future__ import annotations

from pathlib import Path

from cathrt.export.models.report.weights.config_table import read_json_table
from cathrt.export.models.report.weights.faults import listed
from cathrt.export.models.report.weights.tensor_file import TensorFile
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.sources.input_names import shown_name

CONFIG, GENERATION = "config.json", "generation_config.json"
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
_ADAPTER = "adapter_config.json"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt")


def require_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise ConfigError(f"{shown_name(folder)}: no such folder: give the folder that holds {CONFIG}")
    if not (folder / CONFIG).exists() and (folder / _ADAPTER).exists():
        raise ConfigError(
            f"{shown_name(folder)}: holds an adapter and no model: give it with --lora, and its base here"
        )


def weight_files(folder: Path) -> tuple[TensorFile, ...]:
    """The files that make up the model, headers read. Raises ConfigError where that is not clear."""
    single, index = (folder / SINGLE).exists(), (folder / INDEX).exists()
    if single and index:
        raise ConfigError(
            f"{shown_name(folder)}: holds both {SINGLE} and {INDEX}: remove the one that is not the model meant"
        )
    if single:
        return (TensorFile(folder / SINGLE),)
    if index:
        return _indexed(folder)
    raise ConfigError(_nothing(folder))


def _indexed(folder: Path) -> tuple[TensorFile, ...]:
    places = read_json_table(folder / INDEX).get("weight_map")
    if not isinstance(places, dict) or not places or not all(isinstance(file, str) for file in places.values()):
        raise ConfigError(f"{INDEX}: weight_map: expected a file's name for each tensor: fetch it again")
    names = sorted(set(places.values()))
    if outside := [name for name in names if not _is_plain(name)]:
        raise ConfigError(
            f"{INDEX}: names files outside its folder or of another kind ({listed(outside)}): expected names like "
            "model-00001-of-00002.safetensors: do not use this checkpoint"
        )
    if absent := [name for name in names if not (folder / name).exists()]:
        raise ConfigError(f"{INDEX}: files that are not there: {listed(absent)}: fetch them too")
    files = {name: TensorFile(folder / name) for name in names}
    differences = [
        f"{tensor} is not in {file}" for tensor, file in places.items() if tensor not in files[file].stored
    ] + [
        f"{tensor} in {name} is not in the index"
        for name, file in files.items()
        for tensor in file.stored
        if places.get(tensor) != name
    ]
    if differences:
        raise ConfigError(f"{INDEX}: does not fit its files: {listed(differences)}: fetch the folder again")
    return tuple(files.values())


def _is_plain(name: str) -> bool:
    return Path(name).name == name and "\\" not in name and name.endswith(".safetensors")


def _nothing(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir())
    pickles = [name for name in names if name.endswith(_PICKLES)]
    parts = [name for name in names if name.endswith(".safetensors")]
    where = shown_name(folder)
    if pickles:
        return (
            f"{where}: holds {listed(pickles)}, expected {SINGLE}: reading such a file could run code from it, and "
            "nothing was read. Where you trust who made it, load the model with transformers once and save it with "
            "model.save_pretrained(FOLDER)"
        )
    if any(name.endswith(".gguf") for name in names):
        return f"{where}: holds weights of llama.cpp, expected {SINGLE}: give the model that they were made of"
    if parts:
        return f"{where}: holds {listed(parts)} without {INDEX}: fetch the index too"
    return f"{where}: holds neither {SINGLE} nor {INDEX}: give the folder of a Gemma3 model, as it was saved"
