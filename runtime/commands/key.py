"""`cathrt key trust | list`: whose signature this machine accepts. `cathrt key new` comes from the export side.

Not for: private keys (export/bundle/sign.py).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from cathrt.runtime.alert import NOTICE
from cathrt.runtime.bundle.keys import PublicKey, public_key_from_file, public_key_from_text
from cathrt.runtime.commands.help import GroupWithWholeSummaries
from cathrt.runtime.commands.options import ConfigOption, JsonOption, show, show_json
from cathrt.runtime.config import Config
from cathrt.runtime.models import load_config

SHIPPED, CONFIGURED = "shipped", "trust.keys"

key_app = typer.Typer(
    name="key",
    help="Make signing keys, and say whose signature is accepted.",
    no_args_is_help=True,
    rich_markup_mode=None,
    cls=GroupWithWholeSummaries,
)

KeyNameOption = Annotated[
    str | None, typer.Option("--name", help="Whose key it is, for the reader: at most 64 characters.")
]


@key_app.command("trust")
def trust_command(
    file: Annotated[Path, typer.Argument(readable=False, metavar="FILE.pub", help="The signer's public key.")],
    config: Annotated[
        Path,
        typer.Option(
            "--config",
            readable=False,
            help="TOML file whose trust.keys gets the key; it is made if it is missing. Give the same file to the "
            "commands that shall open the signer's bundles.",
        ),
    ],
    name: KeyNameOption = None,
) -> None:
    """Accept the bundles of a signer.

    Writes the public key into trust.keys of the configuration. Compare the fingerprint with the signer first, by
    telephone for instance: a signature proves no more than that.
    """
    key = public_key_from_file(file)
    if name is not None:
        key = public_key_from_text(f"{key.public} {name}", "--name")
    settings = load_config(None if _is_new(config) else config)
    known = next(((old, origin) for old, origin in trusted_keys(settings) if old.public == key.public), None)
    if known is not None:
        show(f"trusted already ({known[1]}): {_described(known[0])}")
        return
    from cathrt.runtime.commands.trust import trust

    trust(config, key)
    show(f"trusted:     {_described(key)}")
    show(f"public key:  {key.public}")
    show(f"to take it back, remove its line from trust.keys in {config}")


@key_app.command("list")
def list_command(config: ConfigOption = None, json_: JsonOption = False) -> None:
    """Show whose signatures are accepted, with fingerprints."""
    for key, origin in trusted_keys(load_config(config)):
        if json_:
            facts = {"name": key.name, "public_key": key.public, "fingerprint": key.fingerprint, "origin": origin}
            show_json({"type": "key", **facts, "notice": NOTICE})
        else:
            show(f"{_described(key)}  {key.public}  {origin}")


def trusted_keys(settings: Config) -> list[tuple[PublicKey, str]]:
    """Every key whose signature is accepted, once, and where it comes from. Raises ConfigError for an entry that is
    none, ManifestError where this install lacks its own."""
    from cathrt.runtime.bundle.shipped import shipped_keys

    found = [(replace(public_key_from_text(text, SHIPPED), name="demonstration"), SHIPPED) for text in shipped_keys()]
    for text in settings.trust.keys:
        key = public_key_from_text(text, CONFIGURED)
        if key.public not in {known.public for known, _ in found}:
            found.append((key, CONFIGURED))
    return found


def _is_new(path: Path) -> bool:
    """Whether there is nothing yet, in a folder that is there. What cannot be looked at is load_config's to refuse."""
    try:
        path.lstat()
    except FileNotFoundError:
        return path.absolute().parent.is_dir()
    except OSError:
        return False
    return False


def _described(key: PublicKey) -> str:
    return f"{key.fingerprint}  {key.name or '(no name)'}"
